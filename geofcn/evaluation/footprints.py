"""Houses of one side of an evaluation: polygons of a file, or of a raster by the sweep."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from typing import Protocol

import geopandas
import numpy as np
import pyproj
import shapely
from rasterio.crs import CRS

from geofcn.core.windows import Window
from geofcn.errors import LabelsError
from geofcn.io.scene import Scene
from geofcn.io.vector_reader import AREAL, no_crs, read_vectors
from geofcn.polygons.convert import to_map, to_shapely
from geofcn.tracing.sweep import Polygons, Sweep


@dataclass(frozen=True)
class Houses:
    """The houses of one side.

    Attributes
    ----------
    polygons : (n,) array
        Valid shapely Polygons in the common CRS.
    scores : (n,) array
        What the file's column `score` says, NaN where nothing.
    """

    polygons: np.ndarray
    scores: np.ndarray

    def select(self, chosen: np.ndarray) -> Houses:
        """The houses chosen by a boolean array."""
        return Houses(self.polygons[chosen], self.scores[chosen])


def houses_of(frame: geopandas.GeoDataFrame, crs: CRS | pyproj.CRS | None) -> Houses:
    """The houses of a file in `crs`: a multipolygon's parts one by one; invalid ones mended."""
    if frame.crs is not None and crs is not None:
        frame = frame.to_crs(crs.to_wkt())
    shapes = shapely.force_2d(np.asarray(frame.geometry.values))
    areal = np.isin(shapely.get_type_id(shapes), AREAL) & np.isfinite(shapely.area(shapes))
    mended = shapely.make_valid(shapes[areal], method="structure", keep_collapsed=False)
    parts, owner = shapely.get_parts(mended, return_index=True)
    scores = np.full(len(shapes), nan)
    if "score" in frame and frame["score"].dtype.kind in "iuf":
        scores = frame["score"].to_numpy(float)
    return Houses(parts, scores[areal][owner]).select(~shapely.is_empty(parts))


def open_both(prediction: str, labels: str) -> tuple[tuple[Houses, Houses], pyproj.CRS | None]:
    """The houses of two files of polygons, and the prediction's CRS, in which they are.

    Raises
    ------
    LabelsError
        Where only one of them states a CRS, or they lie far apart.
    """
    frames = read_vectors(prediction), read_vectors(labels)
    crs = frames[0].crs
    for path, frame in zip((prediction, labels), frames, strict=True):
        if frame.crs is None and frames[0].crs != frames[1].crs:
            raise no_crs(path)
    sides = houses_of(frames[0], crs), houses_of(frames[1], crs)
    if all(len(side.polygons) for side in sides):
        extents = [shapely.box(*shapely.total_bounds(side.polygons)) for side in sides]
        if not shapely.intersects(*extents):
            raise LabelsError(f"{labels}: it does not overlap {prediction}; check both CRS.")
    return sides, crs


class HouseCollector(Protocol):
    """Collects the houses of one side while the row bands of a raster pass by."""

    def add(self, window: Window, houses: np.ndarray, counted: np.ndarray) -> None:
        """Take a row band: boolean (rows, columns), what is a house and what is not blank."""

    def finish(self) -> Houses:
        """All houses, after the last row band."""


class TracedHouses:
    """The houses of a side that is a raster, traced in its row bands."""

    def __init__(self, raster: Scene):
        self._transform = raster.transform
        self._sweep = Sweep(raster.width)
        self._parts: list[np.ndarray] = []

    def add(self, window: Window, houses: np.ndarray, counted: np.ndarray) -> None:
        """See HouseCollector."""
        self._append(self._sweep.push(houses & counted))

    def finish(self) -> Houses:
        """See HouseCollector."""
        self._append(self._sweep.finish())
        polygons = np.concatenate(self._parts)
        return Houses(polygons, np.full(len(polygons), nan))

    def _append(self, polygons: Polygons) -> None:
        self._parts.append(to_map(to_shapely(polygons), self._transform))


class LocatedHouses:
    """The houses of a side that is a file: those that lie where the raster is not blank."""

    def __init__(self, houses: Houses, raster: Scene):
        self._houses = houses
        points = shapely.get_coordinates(shapely.point_on_surface(houses.polygons))
        col, row = np.floor(~raster.transform * points.T)
        inside = (col >= 0) & (col < raster.width) & (row >= 0) & (row < raster.height)
        self._which = np.flatnonzero(inside)[np.argsort(row[inside], kind="stable")]
        self._row, self._col = row[self._which].astype(np.int64), col[self._which].astype(np.int64)
        self._counted = np.zeros(len(points), bool)

    def add(self, window: Window, houses: np.ndarray, counted: np.ndarray) -> None:
        """See HouseCollector."""
        band = slice(*np.searchsorted(self._row, [window.row, window.bottom]))
        self._counted[self._which[band]] = counted[self._row[band] - window.row, self._col[band]]

    def finish(self) -> Houses:
        """See HouseCollector."""
        return self._houses.select(self._counted)
