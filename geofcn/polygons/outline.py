"""Options for cleaning outlines: method, tolerance, least area of footprints and of holes."""

from __future__ import annotations

from dataclasses import dataclass

from geofcn.errors import UsageError

METHODS = ("raw", "simplify", "square")
# Square metres on the ground. Labelled houses are larger, but for pieces that a scene's edge cuts
# off and for a few sheds; most specks of a mask are smaller.
LEAST_AREA = 4.0


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
    min_area : float, optional
        Smaller footprints are left out, in square metres on the ground. Default: LEAST_AREA, but 0
        without a CRS, where nobody knows what a unit is.
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
    min_area: float | None = None
    fill_holes: float = 0.0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UsageError(f"outline {self.method}: choose one of {', '.join(METHODS)}.")
        for name in ("simplify", "min_area", "fill_holes"):
            number = getattr(self, name)
            if number is not None and not number >= 0:
                raise UsageError(f"{name} {number}: give a number from 0 up.")

    def least_area(self, has_crs: bool) -> float:
        """Area below which footprints are left out, with or without a CRS; see `min_area`.

        Examples
        --------
        >>> Outline().least_area(has_crs=True), Outline().least_area(has_crs=False)
        (4.0, 0.0)
        >>> Outline(min_area=9).least_area(has_crs=False)
        9
        """
        if self.min_area is None:
            return LEAST_AREA if has_crs else 0.0
        return self.min_area


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
    Outline(method='square', simplify=1.5, min_area=None, fill_holes=4)
    """
    numbers = {"simplify": simplify, "min_area": min_area, "fill_holes": fill_holes}
    options = {name: number for name, number in numbers.items() if number is not None}
    if not isinstance(outline, Outline):
        return Outline(outline, **options)
    if options:
        raise UsageError(f"{', '.join(options)}: the Outline that is given says so; give it there.")
    return outline
