"""A made-up aerial photograph of villages in farmland, with its house labels known exactly.

The scene is a pure function of (size, seed). Any window is painted from the cells of the
countryside that touch it, in memory that depends on the window alone, and two windows agree on the
pixels they share.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import shapely
from rasterio.crs import CRS
from rasterio.transform import Affine
from shapely import Polygon

from geofcn.core.grid import Grid
from geofcn.core.windows import Window, blocks
from geofcn.errors import OutputError, UsageError
from geofcn.io import raster_writer, vector_writer
from geofcn.progress import Progress, silent
from geofcn.synthetic import countryside, render

GROUND_RESOLUTION = 0.2  # metres
LEAST_SIZE = 128  # pixels a side: room for a house


@dataclass(frozen=True)
class SyntheticScene:
    """A square scene of `size` pixels a side, the same for the same seed; see the module.

    Raises UsageError for a size that is too small.
    """

    size: int
    seed: int = 0

    def __post_init__(self):
        if self.size < LEAST_SIZE:
            raise UsageError(
                f"size {self.size}: a synthetic scene needs at least {LEAST_SIZE} pixels a side; "
                "choose a larger one."
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
        """The image (3, rows, columns) uint8 and `valid` (rows, columns) bool of a window.

        A pixel of the blank collar is 0 in all bands, a valid one never.
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
        """1 where a pixel's centre is inside a house, else 0: (rows, columns) uint8."""
        houses = [house for cell in self._cells(window) for house in cell.houses]
        near = _touch(shapely.bounds(houses).reshape(-1, 4), window)
        return render.burn([houses[index] for index in np.flatnonzero(near)], window)

    def footprints(self) -> Iterator[Polygon]:
        """Every house of the scene once, as a polygon of (column, row) pixel coordinates."""
        cells = range(countryside.count_of_cells(self.size))
        for row in cells:
            for col in cells:
                yield from countryside.cell(self.size, self.seed, row, col).houses

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
        return countryside.cells_near(self.size, self.seed, *corners)


def _touch(bounds: np.ndarray, window: Window) -> np.ndarray:
    """Which of the bounds (n, 4) have a part in a window: (n,) bool."""
    x0, y0, x1, y1 = bounds.T
    return (x0 < window.right) & (x1 > window.col) & (y0 < window.bottom) & (y1 > window.row)


def write_sample(
    folder: str | os.PathLike,
    size: int = 2048,
    seed: int = 0,
    *,
    overwrite: bool = False,
    progress: Progress = silent,
) -> tuple[Path, Path, Path]:
    """Write a scene and its labels into a folder, which is made where it is missing.

    scene.tif    uint8 red, green, blue; the collar is 0, which is nodata
    labels.tif   uint8 on the same grid: 1 house, 0 background
    labels.gpkg  the footprints, layer `houses`, column `id`

    Returns the three paths. Memory does not depend on `size`. Raises OutputError where one of them
    exists (unless `overwrite`) or cannot be written, UsageError for a size that is too small.
    """
    scene = SyntheticScene(size, seed)
    folder = _made_folder(Path(folder))
    image_path = raster_writer.check_raster_target(folder / "scene.tif", overwrite)
    labels_path = raster_writer.check_raster_target(folder / "labels.tif", overwrite)
    houses_path = vector_writer.check_vector_target(folder / "labels.gpkg", overwrite)
    grid = Grid(size, size, scene.crs, scene.transform)
    colours = raster_writer.Band("uint8", nodata=0, count=3)
    classes = raster_writer.Band("uint8", description="house")
    with (
        raster_writer.RasterWriter(image_path, grid, colours) as image_file,
        raster_writer.RasterWriter(labels_path, grid, classes) as labels_file,
        progress("painting", size * size, "pixels") as step,
    ):
        # Several blocks at once: what stands around a window is painted with it.
        for window in blocks(Window(0, 0, size, size), 4 * raster_writer.BLOCK):
            image_file.write(window, scene.paint(window)[0])
            labels_file.write(window, scene.labels(window))
            step.advance(window.pixels)
    vector_writer.write_polygons(
        houses_path, _batches(scene), scene.crs, columns={"id": "int64"}, overwrite=overwrite
    )
    return image_path, labels_path, houses_path


def _made_folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{folder}: the folder cannot be made ({error.strerror}); choose another name."
        ) from error
    return folder


def _batches(scene: SyntheticScene) -> Iterator[vector_writer.FeatureBatch]:
    """The footprints in map coordinates, numbered from 1."""
    footprints, first = scene.footprints(), 1
    to_map = scene.transform
    scale, origin = np.array([to_map.a, to_map.e]), np.array([to_map.c, to_map.f])
    while houses := list(islice(footprints, 4096)):
        geometry = shapely.transform(np.array(houses), lambda corner: corner * scale + origin)
        yield vector_writer.FeatureBatch(geometry, {"id": np.arange(first, first + len(houses))})
        first += len(houses)
