"""Pixel grids: where a raster lies, of how many rows and columns, in which CRS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from geofcn.core.windows import Window

# Two grids are the same when no corner is further off than this, in pixels.
SAME_GRID = 1e-3

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

    def is_same(self, other: Grid) -> bool:
        """Whether the pixels are those of another grid, whatever the CRS of either.

        No corner may lie further than a thousandth of a pixel from the other's.

        Examples
        --------
        >>> from affine import Affine
        >>> grid = Grid(2, 3, None, Affine(0.5, 0, 100, 0, -0.5, 200))
        >>> grid.is_same(Grid(2, 3, None, Affine(0.5, 0, 100 + 1e-9, 0, -0.5, 200)))
        True
        """
        if (self.height, self.width) != (other.height, other.width):
            return False
        shift = ~self.transform * other.transform
        corners = [(x, y) for x in (0, self.width) for y in (0, self.height)]
        return all(
            abs(shifted - place) <= SAME_GRID
            for corner in corners
            for shifted, place in zip(shift * corner, corner, strict=True)
        )
