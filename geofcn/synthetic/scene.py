"""Synthetic aerial scene of villages in farmland or of a town, with its house labels known exactly.

The scene is a pure function of (size, seed, dense). Any window is painted from the cells of the
countryside, or of the town, that touch it, in memory that depends on the window alone, and two
windows agree on the pixels they share.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import shapely
from rasterio.crs import CRS
from rasterio.transform import Affine
from shapely import Polygon

from geofcn.core.windows import Window
from geofcn.defaults import LEAST_SAMPLE_SIZE
from geofcn.errors import UsageError
from geofcn.synthetic import countryside, render, town

GROUND_RESOLUTION = 0.2  # metres


@dataclass(frozen=True)
class SyntheticScene:
    """A square synthetic scene, painted and labelled window by window.

    Parameters
    ----------
    size : int
        Pixels a side.
    seed : int
        Which scene; the same one for the same number.
    dense : bool
        A town, most of whose houses have a wall in common with a neighbour, instead of villages.

    Raises
    ------
    UsageError
        For a size that is too small.
    """

    size: int
    seed: int = 0
    dense: bool = False

    def __post_init__(self) -> None:
        if self.size < LEAST_SAMPLE_SIZE:
            raise UsageError(
                f"size {self.size}: a synthetic scene needs at least {LEAST_SAMPLE_SIZE} pixels a "
                "side; choose a larger one."
            )

    @property
    def crs(self) -> CRS:
        """UTM zone 32 north."""
        return CRS.from_epsg(32632)

    @property
    def transform(self) -> Affine:
        """From (column, row) to metres."""
        return Affine(GROUND_RESOLUTION, 0, 677_000, 0, -GROUND_RESOLUTION, 5_152_000)

    def paint(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """The image of a window, and which of its pixels are not blank.

        Returns
        -------
        image : (3, rows, columns) array
            uint8; 0 in all bands in the blank collar, and nowhere else.
        valid : (rows, columns) array
            bool, false in the collar.
        """
        valid = self._valid(window)
        if not valid.any():
            return np.zeros((3, *window.shape), np.uint8), valid
        wide = render.scope(window)
        surfaces, trees = [], []
        for cell in self._cells(wide):
            near = np.flatnonzero(_touch(cell.bounds, wide))
            surfaces += [cell.surfaces[index] for index in near]
            trees += [tree for tree in cell.trees if _touch(np.array([tree.bounds]), wide)]
        return render.paint(surfaces, trees, window, self.seed) * valid, valid

    def labels(self, window: Window) -> np.ndarray:
        """House labels (rows, columns) uint8: 1 if a pixel's centre is inside a house, else 0."""
        houses = [house for cell in self._cells(window) for house in cell.houses]
        near = _touch(shapely.bounds(houses).reshape(-1, 4), window)
        return render.burn([houses[index] for index in np.flatnonzero(near)], window)

    def footprints(self) -> Iterator[Polygon]:
        """Every house of the scene once, as a polygon of (column, row) pixel coordinates."""
        for cell in self._cells(Window(0, 0, self.size, self.size)):
            yield from cell.houses

    def _valid(self, window: Window) -> np.ndarray:
        """True where a pixel's centre is inside the slanted quadrilateral."""
        y = np.arange(window.row, window.bottom)[:, None] + 0.5
        x = np.arange(window.col, window.right) + 0.5
        corners = countryside.ground_corners(self.size)
        valid = np.ones(window.shape, bool)
        for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
            valid &= (x1 - x0) * (y - y0) >= (y1 - y0) * (x - x0)
        return valid

    def _cells(self, window: Window) -> Iterator[countryside.Cell]:
        """The cells that may have something in a window."""
        corners = window.col, window.row, window.right, window.bottom
        cells_near = town.cells_near if self.dense else countryside.cells_near
        return cells_near(self.size, self.seed, *corners)


def _touch(bounds: np.ndarray, window: Window) -> np.ndarray:
    """Which of the bounds (n, 4) have a part in a window: (n,) bool."""
    x0, y0, x1, y1 = bounds.T
    return (x0 < window.right) & (x1 > window.col) & (y0 < window.bottom) & (y1 > window.row)
