"""Options for cleaning outlines: method, tolerance, least area of footprints and of holes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from geofcn.errors import UsageError

METHODS = ("raw", "simplify", "square")
# Square metres on the ground. Labelled houses are larger, but for pieces that a scene's edge cuts
# off and for a few sheds; most specks of a mask are smaller.
LEAST_AREA = 4.0
# How far a simplified outline may stray by default, in pixels; it is what rounding to pixels needs.
TOLERANCE = 1.5
# The same in net pixels, for outlines with right angles: a net rounds corners off, and its walls
# waver, by some share of what it sees as one pixel (tests/benchmarks/bench_outlines.py).
SQUARE_TOLERANCE = 1.25


@dataclass(frozen=True)
class Outline:
    """How the outlines of finished polygons are cleaned.

    Parameters
    ----------
    method : {"simplify", "raw", "square"}
        ``raw`` keeps the pixels' corners; ``simplify`` drops vertices (Douglas and Peucker, 1973);
        ``square`` gives right angles to the outlines that have them and simplifies the others.
    simplify : float, optional
        How far a simplified outline may stray, in pixels. Default: TOLERANCE, but for ``square``
        SQUARE_TOLERANCE net pixels where that is more.
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
    Outline(method='square', simplify=None, min_area=15, fill_holes=0.0)
    >>> Outline(min_area=-1)
    Traceback (most recent call last):
    geofcn.errors.UsageError: min_area -1: give a number from 0 up.
    """

    method: str = "simplify"
    simplify: float | None = None
    min_area: float | None = None
    fill_holes: float = 0.0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UsageError(f"outline {self.method}: choose one of {', '.join(METHODS)}.")
        for name in ("simplify", "min_area", "fill_holes"):
            number = getattr(self, name)
            if number is not None and not number >= 0:
                raise UsageError(f"{name} {number}: give a number from 0 up.")

    @property
    def tolerance(self) -> float:
        """How far a simplified outline may stray, in pixels; TOLERANCE where nothing says so."""
        return TOLERANCE if self.simplify is None else self.simplify

    def at_net_pixel(self, width: float) -> Outline:
        """The same for outlines of a mask whose net saw `width` pixels as one; see `simplify`.

        Examples
        --------
        >>> Outline("square").at_net_pixel(4).tolerance, Outline("square").at_net_pixel(1).tolerance
        (5.0, 1.5)
        >>> Outline("simplify").at_net_pixel(4).tolerance
        1.5
        >>> Outline("square", simplify=2).at_net_pixel(4).tolerance
        2
        """
        if self.method != "square" or self.simplify is not None:
            return self
        return replace(self, simplify=max(TOLERANCE, SQUARE_TOLERANCE * width))

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
    Outline(method='square', simplify=None, min_area=None, fill_holes=4)
    """
    numbers = {"simplify": simplify, "min_area": min_area, "fill_holes": fill_holes}
    options = {name: number for name, number in numbers.items() if number is not None}
    if not isinstance(outline, Outline):
        return Outline(outline, **options)
    if options:
        raise UsageError(f"{', '.join(options)}: the Outline that is given says so; give it there.")
    return outline
