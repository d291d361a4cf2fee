"""Labels from polygons, burned onto a scene's grid window by window."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import pyproj
import shapely
from rasterio.features import rasterize
from rasterio.transform import Affine

from geofcn.core.grid import Grid
from geofcn.core.pixels import HOUSE
from geofcn.core.windows import Window
from geofcn.errors import LabelsError
from geofcn.io.identity import digest, files_behind
from geofcn.io.label_source import LabelSource
from geofcn.io.polygon_index import PolygonIndex
from geofcn.io.polygon_store import NumberedPolygons
from geofcn.io.scene import Scene
from geofcn.io.shift import in_units
from geofcn.io.vector_reader import (
    PolygonBatch,
    Tally,
    VectorLayer,
    no_crs,
    open_vectors,
)

VERTEX_STEPS = 1024


@dataclass(frozen=True)
class VectorLabels:
    """Polygons burned onto the scene's grid: a pixel is a house when its centre lies in one.

    The file is read once, when the first pixel is; the polygons that touch the scene are kept in
    an index, on disk where they are many.

    Attributes
    ----------
    source : LabelSource
        The file the labels come from, and what counts of it.
    grid : Grid
        Of the scene.
    state : str
        Changes when one of its files does; empty where nobody knows.
    """

    source: LabelSource
    grid: Grid
    state: str

    @classmethod
    def of(cls, source: LabelSource, scene: Scene) -> VectorLabels:
        """Labels for a scene; nothing is read yet."""
        return cls(source, scene.grid, _state(source.path))

    @property
    def path(self) -> str:
        """The file the labels come from."""
        return self.source.path

    @property
    def identity(self) -> str:
        """What changes when one of the files does, or other features count; empty: nobody knows."""
        parts = self.source.layer, self.source.where, self.source.shift
        chosen = "".join(f" {part!r}" for part in parts if part)
        return self.state and self.state + chosen

    def refuse_changed(self) -> None:
        """Nothing: all polygons are of the state that they were read in."""

    @property
    def crs(self) -> pyproj.CRS | None:
        """CRS of the file; None where none is stated."""
        return self._read.layer.crs

    @property
    def count(self) -> int:
        """Polygons of the file, wherever they lie."""
        return self._read.count

    @property
    def touching(self) -> int:
        """Polygons that lie on the scene, or reach into it."""
        return len(self._read.index)

    @property
    def left_out(self) -> int:
        """Features of the file that are no polygons."""
        return self._read.tally.left_out.total()

    def read(self, window: Window) -> np.ndarray:
        """Classes of a window that lies on the scene: (rows, columns) uint8."""
        polygons, _ = self.in_pixels(window)
        return _burned(
            polygons, np.full(len(polygons), HOUSE), np.zeros(window.shape, np.uint8), window
        )

    def instances(self, window: Window) -> np.ndarray:
        """Numbers of the houses in a window: (rows, columns) int32, 0 where there is none.

        A polygon's number is its place in the file, from 1. Where several overlap, the last counts.
        """
        polygons, numbers = self.in_pixels(window)
        return _burned(polygons, numbers + 1, np.zeros(window.shape, np.int32), window)

    def in_pixels(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """The polygons near a window in pixels (column, row) of the scene, and their numbers."""
        found = self.near(window)
        return _in_pixels(self.grid, found.polygons), found.numbers

    def near(self, window: Window, margin: int = 0) -> NumberedPolygons:
        """The polygons whose box comes within `margin` pixels of a window, in the scene's CRS."""
        return self._read.index.touching(window, margin)

    @cached_property
    def _read(self) -> _Read:
        grid, layer, tally = self.grid, open_vectors(replace(self.source, shift=())), Tally()
        shift = in_units(self.source, grid)
        index, count = PolygonIndex(grid.height, grid.width, partial(_boxes, grid)), 0
        for batch in _on_ground(layer, grid, tally):
            polygons = _moved(batch.polygons, shift)
            left, top, right, bottom = _boxes(grid, polygons).T
            touching = (left <= grid.width) & (right >= 0) & (top <= grid.height) & (bottom >= 0)
            numbers = count + np.arange(len(polygons))
            count += len(numbers)
            numbered = NumberedPolygons(polygons, batch.scores, numbers)
            index.add(numbered.select(touching))
        index.finish()
        if self.state and _state(self.path) != self.state:
            raise LabelsError(f"{self.path}: it has changed while it was read; leave it alone.")
        return _Read(index, count, layer, tally)

    def __getstate__(self) -> dict[str, Any]:
        """Other processes read the file themselves."""
        return {name: value for name, value in self.__dict__.items() if name != "_read"}


@dataclass(frozen=True)
class _Read:
    """What was read of a file: the polygons that touch the scene, and how many there are in all."""

    index: PolygonIndex
    count: int
    layer: VectorLayer
    tally: Tally


def _state(path: str) -> str:
    return digest(files_behind([path]))


def _on_ground(layer: VectorLayer, grid: Grid, tally: Tally) -> Iterator[PolygonBatch]:
    """The polygons of a layer, batch by batch, where the grid is."""
    if grid.crs is None:
        return layer.batches(tally)
    if layer.crs is None:
        raise no_crs(layer.path)
    centre, _ = grid.transform * (grid.width / 2, grid.height / 2)
    return layer.batches(tally, grid.crs, centre)


def _moved(polygons: np.ndarray, shift: tuple[float, float] | None) -> np.ndarray:
    """Polygons elsewhere, by so many units along x and y."""
    return polygons if shift is None else shapely.transform(polygons, lambda at: at + shift)


def _in_pixels(grid: Grid, polygons: np.ndarray) -> np.ndarray:
    """Polygons in pixels (column, row) of a grid, rounded to 1/VERTEX_STEPS of one."""
    return shapely.transform(polygons, partial(_to_pixels, ~grid.transform))


def _burned(
    polygons: np.ndarray, values: np.ndarray, pixels: np.ndarray, window: Window
) -> np.ndarray:
    """The pixels of a window with each polygon's value where a centre lies in it."""
    if len(polygons):
        place = Affine.translation(window.col, window.row)
        rasterize(zip(polygons, values.tolist(), strict=True), out=pixels, transform=place)
    return pixels


def _boxes(grid: Grid, polygons: np.ndarray) -> np.ndarray:
    """First column, first row, last column and last row of polygons, (n, 4)."""
    return shapely.bounds(_in_pixels(grid, polygons)).reshape(-1, 4)


def _to_pixels(map_to_pixels: Affine, points: np.ndarray) -> np.ndarray:
    """Map coordinates (n, 2) to (column, row), rounded to 1/VERTEX_STEPS of a pixel.

    Such coordinates lose no digit when a window's corner is subtracted from them: an edge that
    meets the centre of a pixel does so in every window.
    """
    return np.rint(np.column_stack(map_to_pixels * points.T) * VERTEX_STEPS) / VERTEX_STEPS
