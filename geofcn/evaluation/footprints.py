"""Footprints of one side of an evaluation: polygons of a file, or traced in a raster."""

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
from geofcn.tracing.rings import Polygons
from geofcn.tracing.sweep import Sweep


@dataclass(frozen=True)
class Houses:
    """Footprints of houses, of one side of an evaluation.

    Attributes
    ----------
    polygons : (n,) array
        Valid shapely Polygons in the common CRS.
    scores : (n,) array
        The file's column `score`, NaN without one.
    """

    polygons: np.ndarray
    scores: np.ndarray

    def select(self, chosen: np.ndarray) -> Houses:
        """The houses chosen by a boolean array (n,)."""
        return Houses(self.polygons[chosen], self.scores[chosen])


def houses_of(frame: geopandas.GeoDataFrame, crs: CRS | pyproj.CRS | None) -> Houses:
    """Houses of a file's polygons, reprojected to `crs` and made valid.

    Each part of a multipolygon is a house; other geometries are left out.

    Parameters
    ----------
    frame : GeoDataFrame
        What the file holds, with a numeric column `score` or without.
    crs : CRS or None
        Of the houses; None, or a frame without a CRS: coordinates stay as they are.

    Examples
    --------
    >>> parts = shapely.union(shapely.box(0, 0, 1, 1), shapely.box(5, 5, 6, 6))
    >>> frame = geopandas.GeoDataFrame({"score": [0.9]}, geometry=[parts])
    >>> houses_of(frame, None).scores
    array([0.9, 0.9])
    """
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
    """Read the houses of two files of polygons.

    Parameters
    ----------
    prediction, labels : str
        Paths of vector files.

    Returns
    -------
    (Houses, Houses)
        Predicted and true ones.
    CRS or None
        The prediction's, in which both are.

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
        """Take the next row band.

        Parameters
        ----------
        window : Window
            The band's, in pixels of the raster.
        houses, counted : (rows, columns) bool array
            What is a house on this side, and what neither side leaves blank.
        """

    def finish(self) -> Houses:
        """All houses, after the last row band."""


class TracedHouses:
    """Collects the houses of a side that is a raster, by tracing its pixels.

    Parameters
    ----------
    raster : Scene
        Whose transform and width the row bands have.
    """

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
    """Collects the houses of a side that is a file: those that lie where nothing is blank.

    Parameters
    ----------
    houses : Houses
        Of the file, in the raster's CRS. Each lies where its representative point does; off the
        raster it does not count.
    raster : Scene
        Whose row bands pass by.
    """

    def __init__(self, houses: Houses, raster: Scene):
        self._houses = houses
        points = shapely.get_coordinates(shapely.point_on_surface(houses.polygons))
        col, row = np.floor(~raster.transform * points.T)
        inside = (col >= 0) & (col < raster.width) & (row >= 0) & (row < raster.height)
        # From top to bottom, as the row bands come.
        self._index = np.flatnonzero(inside)[np.argsort(row[inside], kind="stable")]
        self._row, self._col = row[self._index].astype(np.int64), col[self._index].astype(np.int64)
        self._counted = np.zeros(len(points), bool)

    def add(self, window: Window, houses: np.ndarray, counted: np.ndarray) -> None:
        """See HouseCollector."""
        band = slice(*np.searchsorted(self._row, [window.row, window.bottom]))
        self._counted[self._index[band]] = counted[self._row[band] - window.row, self._col[band]]

    def finish(self) -> Houses:
        """See HouseCollector."""
        return self._houses.select(self._counted)
