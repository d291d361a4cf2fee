"""Houses of one side of an evaluation: polygons of a file, or of a raster by the sweep."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from pathlib import Path

import geopandas
import numpy as np
import pyproj
import shapely
from rasterio.crs import CRS

from geofcn.core.windows import Window
from geofcn.errors import LabelsError
from geofcn.io.scene import Scene
from geofcn.io.vector_reader import RASTER_SUFFIXES, read_vectors
from geofcn.polygons.ragged import to_map
from geofcn.tracing.sweep import Polygons, Sweep


@dataclass(frozen=True)
class Side:
    """The houses of one side.

    polygons  (n,) valid Polygons in the common CRS
    scores    (n,) what the file's column `score` says, NaN where nothing
    """

    polygons: np.ndarray
    scores: np.ndarray

    def select(self, chosen: np.ndarray) -> Side:
        """The houses chosen by a boolean array."""
        return Side(self.polygons[chosen], self.scores[chosen])


def is_raster(path: str) -> bool:
    return Path(path).suffix.lower() in RASTER_SUFFIXES


def houses_of(frame: geopandas.GeoDataFrame, crs: CRS | pyproj.CRS | None) -> Side:
    """The houses of a file in `crs`: a multipolygon's parts one by one; invalid ones mended."""
    if frame.crs is not None and crs is not None:
        frame = frame.to_crs(crs.to_wkt())
    shapes = shapely.force_2d(np.asarray(frame.geometry.values))
    areal = np.isin(shapely.get_type_id(shapes), (3, 6)) & np.isfinite(shapely.area(shapes))
    mended = shapely.make_valid(shapes[areal], method="structure", keep_collapsed=False)
    parts, owner = shapely.get_parts(mended, return_index=True)
    scores = np.full(len(shapes), nan)
    if "score" in frame and frame["score"].dtype.kind in "iuf":
        scores = frame["score"].to_numpy(float)
    return Side(parts, scores[areal][owner]).select(~shapely.is_empty(parts))


def open_both_sides(prediction: str, labels: str) -> tuple[tuple[Side, Side], pyproj.CRS | None]:
    """Two files of polygons in the prediction's CRS, and that. Raises LabelsError if far apart."""
    frames = read_vectors(prediction), read_vectors(labels)
    crs = frames[0].crs
    for path, frame in zip((prediction, labels), frames, strict=True):
        if frame.crs is None and frames[0].crs != frames[1].crs:
            raise LabelsError(
                f"{path}: it states no CRS, so its place is unknown; set it, for instance with "
                "`ogr2ogr -a_srs`."
            )
    sides = houses_of(frames[0], crs), houses_of(frames[1], crs)
    if all(len(side.polygons) for side in sides):
        extents = [shapely.box(*shapely.total_bounds(side.polygons)) for side in sides]
        if not shapely.intersects(*extents):
            raise LabelsError(f"{labels}: it does not overlap {prediction}; check both CRS.")
    return sides, crs


class NoHouses:
    """In the place of Labels, a file without polygons: background everywhere."""

    def read(self, window: Window) -> np.ndarray:
        """(rows, columns) uint8 classes."""
        return np.zeros(window.shape, np.uint8)


class TracedHouses:
    """The houses of a side that is a raster, from row bands."""

    def __init__(self, frame: Scene):
        self._transform = frame.transform
        self._sweep = Sweep(frame.width)
        self._found: list[np.ndarray] = []

    def add(self, window: Window, houses: np.ndarray, counted: np.ndarray) -> None:
        """Take a row band: boolean arrays, what is a house and what is not blank."""
        self._keep(self._sweep.push(houses & counted))

    def finish(self) -> Side:
        """All houses, after the last row band."""
        self._keep(self._sweep.finish())
        polygons = np.concatenate(self._found)
        return Side(polygons, np.full(len(polygons), nan))

    def _keep(self, found: Polygons) -> None:
        coords, offsets = found.coords.astype(np.float64), (found.rings, found.polygons)
        polygons = shapely.from_ragged_array(shapely.GeometryType.POLYGON, coords, offsets)
        self._found.append(to_map(polygons, self._transform))


class LocatedHouses:
    """The houses of a side that is a file: those that lie where the raster is not blank."""

    def __init__(self, side: Side, frame: Scene):
        self.houses_of = side
        points = shapely.get_coordinates(shapely.point_on_surface(side.polygons))
        col, row = np.floor(~frame.transform * points.T)
        on_frame = (col >= 0) & (col < frame.width) & (row >= 0) & (row < frame.height)
        self._which = np.flatnonzero(on_frame)[np.argsort(row[on_frame], kind="stable")]
        self._row, self._col = row[self._which].astype(np.int64), col[self._which].astype(np.int64)
        self._counted = np.zeros(len(points), bool)

    def add(self, window: Window, houses: np.ndarray, counted: np.ndarray) -> None:
        """See TracedHouses."""
        here = slice(*np.searchsorted(self._row, [window.row, window.bottom]))
        self._counted[self._which[here]] = counted[self._row[here] - window.row, self._col[here]]

    def finish(self) -> Side:
        """See TracedHouses."""
        return self.houses_of.select(self._counted)
