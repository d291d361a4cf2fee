"""Options for cleaning outlines: method, tolerance, least area of footprints and of holes."""

from __future__ import annotations

from dataclasses import dataclass

from geofcn.errors import UsageError

METHODS = ("raw", "simplify", "square")


@dataclass(frozen=True)
class Outline:
    """How the outlines of finished polygons are cleaned.

    Parameters
    ----------
    method : {"simplify", "raw", "square"}
        ``raw`` keeps the pixels' corners; ``simplify`` drops vertices (Douglas and Peucker, 1973);
        ``square`` gives right angles to the outlines that have them and simplifies the others.
    simplify : float
        How far a simplified outline may stray, in pixels.
    min_area : float
        Smaller footprints are left out, in square metres on the ground.
    fill_holes : float
        Smaller holes are filled, in square metres on the ground.

    Raises
    ------
    UsageError
        For an unknown method or a negative number.

    Examples
    --------
    >>> Outline("square", min_area=15)
    Outline(method='square', simplify=1.5, min_area=15, fill_holes=0.0)
    >>> Outline(min_area=-1)
    Traceback (most recent call last):
    geofcn.errors.UsageError: min_area -1: give a number from 0 up.
    """

    method: str = "simplify"
    simplify: float = 1.5
    min_area: float = 0.0
    fill_holes: float = 0.0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UsageError(f"outline {self.method}: choose one of {', '.join(METHODS)}.")
        for name in ("simplify", "min_area", "fill_holes"):
            if not getattr(self, name) >= 0:
                raise UsageError(f"{name} {getattr(self, name)}: give a number from 0 up.")


DEFAULT_OUTLINE = Outline()


def make_outline(
    outline: str | Outline,
    simplify: float | None = None,
    min_area: float | None = None,
    fill_holes: float | None = None,
) -> Outline:
    """An Outline from the verbs' options: a method with its numbers, or one that is made already.

    Parameters
    ----------
    outline : str or Outline
        A method, or all in one.
    simplify, min_area, fill_holes : float, optional
        As Outline has them, and with its defaults.

    Raises
    ------
    UsageError
        Where an Outline is given and any number besides; and as Outline does.

    Examples
    --------
    >>> make_outline("square", fill_holes=4)
    Outline(method='square', simplify=1.5, min_area=0.0, fill_holes=4)
    """
    numbers = {"simplify": simplify, "min_area": min_area, "fill_holes": fill_holes}
    options = {name: number for name, number in numbers.items() if number is not None}
    if not isinstance(outline, Outline):
        return Outline(outline, **options)
    if options:
        raise UsageError(f"{', '.join(options)}: the Outline that is given says so; give it there.")
    return outline
