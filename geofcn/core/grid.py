"""Pixel grids: where a raster lies, of how many rows and columns, in which CRS."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from geofcn.core.windows import Window

# Two grids are one when no corner of the one is further from the other's than this, in pixels.
SAME = 1e-3

if TYPE_CHECKING:
    from affine import Affine
    from rasterio.crs import CRS


@dataclass(frozen=True)
class Grid:
    """Rows, columns, CRS and transform of a raster.

    Attributes
    ----------
    height, width : int
        Rows and columns, in pixels.
    crs : rasterio.crs.CRS or None
        None where the raster has no place on the ground.
    transform : affine.Affine
        Pixel corners (column, row) to CRS coordinates (x, y).

    Examples
    --------
    >>> from affine import Affine
    >>> grid = Grid(2, 3, None, Affine(0.5, 0, 100, 0, -0.5, 200))
    >>> grid.transform * (grid.width, grid.height)
    (101.5, 199.0)
    >>> grid.window
    Window(row=0, col=0, height=2, width=3)
    """

    height: int
    width: int
    crs: CRS | None
    transform: Affine

    @property
    def window(self) -> Window:
        """All of its pixels."""
        return Window(0, 0, self.height, self.width)

    def moved(self, x: float, y: float) -> Grid:
        """The grid elsewhere, by so many units of its CRS.

        Examples
        --------
        >>> from affine import Affine
        >>> Grid(2, 3, None, Affine(0.5, 0, 100, 0, -0.5, 200)).moved(1, -2).transform * (0, 0)
        (101.0, 198.0)
        """
        return replace(self, transform=type(self.transform).translation(x, y) * self.transform)

    def is_at(self, other: Grid) -> bool:
        """Whether another grid has the same pixels, to SAME of one, whatever the CRS say.

        Programs write the same transform with other last digits.

        Examples
        --------
        >>> from affine import Affine
        >>> grid = Grid(2, 3, None, Affine(0.5, 0, 100, 0, -0.5, 200))
        >>> grid.is_at(Grid(2, 3, None, Affine(0.5, 0, 100 + 1e-9, 0, -0.5, 200)))
        True
        >>> grid.is_at(Grid(2, 3, None, Affine(0.5, 0, 100.1, 0, -0.5, 200)))
        False
        """
        to_other = ~other.transform * self.transform
        corners = [(0, 0), (self.width, 0), (0, self.height), (self.width, self.height)]
        distances = (
            abs(there - here)
            for corner in corners
            for there, here in zip(to_other * corner, corner, strict=True)
        )
        return self.window == other.window and max(distances) <= SAME
