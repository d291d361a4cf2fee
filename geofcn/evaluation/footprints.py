"""Houses of one side of an evaluation: polygons of a file, or traced in a raster."""

from __future__ import annotations

import logging
from math import nan
from typing import Protocol

import numpy as np
import pyproj
import shapely

from geofcn.core.geodesy import Ground
from geofcn.core.windows import Window
from geofcn.errors import LabelsError
from geofcn.evaluation.area import Area
from geofcn.evaluation.sorted_houses import SortedHouses
from geofcn.io.label_source import LabelSource
from geofcn.io.polygon_store import NumberedPolygons
from geofcn.io.scene import Scene
from geofcn.io.vector_labels import VectorLabels
from geofcn.io.vector_reader import Tally, VectorLayer, no_crs, open_vectors
from geofcn.polygons.convert import to_map, to_shapely
from geofcn.tracing.instances import numbered_band
from geofcn.tracing.rings import Polygons
from geofcn.tracing.sweep import Sweep
from geofcn.tracing.walls import WalledSweep

log = logging.getLogger(__name__)


def read_both(
    prediction: LabelSource, labels: LabelSource, min_area: float, area: LabelSource | None = None
) -> tuple[tuple[SortedHouses, SortedHouses], pyproj.CRS | None]:
    """Read the houses of two files of polygons, in the CRS of the prediction.

    Parameters
    ----------
    prediction, labels : LabelSource
        Vector files.
    min_area : float
        Smaller houses are left out, in square metres on the ground.
    area : LabelSource, optional
        A vector file; houses that do not lie in its polygons are left out.

    Returns
    -------
    (SortedHouses, SortedHouses)
        Predicted and true ones.
    CRS or None
        The prediction's, in which both are.

    Raises
    ------
    LabelsError
        Where only one of them states a CRS, they lie far apart, or none lies in the area.
    """
    layers = open_vectors(prediction), open_vectors(labels)
    crs = layers[0].crs
    for layer in layers:
        if layer.crs is None and layers[0].crs != layers[1].crs:
            raise no_crs(layer.path)
    inside = None if area is None else Area(area, crs)
    first, second = (_read(layer, crs, min_area, inside) for layer in layers)
    if inside is not None:
        if not len(first) + len(second):
            raise LabelsError(
                f"{inside.path}: no house of either side lies in it; check its place and its CRS."
            )
    elif len(first) and len(second):
        extents = shapely.box(*first.bounds), shapely.box(*second.bounds)
        if not shapely.intersects(*extents):
            raise LabelsError(
                f"{labels.path}: it does not overlap {prediction.path}; check both CRS."
            )
    return (first, second), crs


def _read(
    layer: VectorLayer, crs: pyproj.CRS | None, min_area: float, area: Area | None
) -> SortedHouses:
    houses, number = SortedHouses(Ground(crs), min_area, area), 0
    for batch in layer.batches(Tally(), crs, centre=0.0):
        count = len(batch.polygons)
        numbers = np.arange(number, number + count)
        houses.add(NumberedPolygons(batch.polygons, batch.scores, numbers))
        number += count
    houses.finish()
    if not number:
        say_none(layer.source)
    return houses


def say_none(source: LabelSource) -> None:
    """Say in the log that no polygon of a side counts, which is no error on either."""
    chosen = "" if source.where is None else f" that fits {source.where!r}"
    log.warning(
        "%s: it holds no polygon%s; it is scored as of a place without houses.", source.path, chosen
    )


class HouseCollector(Protocol):
    """Collects the houses of one side while the row bands of a raster pass by."""

    def add(self, window: Window, houses: np.ndarray, counted: np.ndarray) -> None:
        """Take the next row band.

        Parameters
        ----------
        window : Window
            The band's, in pixels of the raster.
        houses : (rows, columns) array
            What is a house on this side: bool, or the number of the house, 0 where there is none.
        counted : (rows, columns) array of bool
            What neither side leaves blank.
        """

    def finish(self) -> SortedHouses:
        """All houses, after the last row band."""


class TracedHouses:
    """Collects the houses of a side that is a raster, by tracing its pixels.

    Parameters
    ----------
    raster : Scene
        Whose transform and width the row bands have.
    min_area : float
        Smaller houses are left out, in square metres on the ground.
    area : Area, optional
        Houses that do not lie in it are left out.
    numbered : bool
        Its houses have numbers, so that those that touch are apart.
    """

    def __init__(
        self,
        raster: Scene,
        min_area: float = 0,
        area: Area | None = None,
        numbered: bool = False,
    ):
        self._transform = raster.transform
        self._sweep = _NumberedSweep(raster.width) if numbered else Sweep(raster.width)
        self._houses = SortedHouses(Ground(raster.crs), min_area, area)
        self._number = 0

    def add(self, window: Window, houses: np.ndarray, counted: np.ndarray) -> None:
        """See HouseCollector."""
        self._append(self._sweep.push(houses * counted))

    def finish(self) -> SortedHouses:
        """See HouseCollector."""
        self._append(self._sweep.finish())
        self._houses.finish()
        return self._houses

    def _append(self, polygons: Polygons) -> None:
        traced = to_map(to_shapely(polygons), self._transform)
        numbers = np.arange(self._number, self._number + len(traced))
        self._number += len(traced)
        self._houses.add(NumberedPolygons(traced, np.full(len(traced), nan), numbers))


class _NumberedSweep:
    """Turns a raster that numbers its houses into polygons, as `Sweep` does a mask."""

    def __init__(self, width: int):
        self._sweep = WalledSweep(width)
        self._row_above: np.ndarray | None = None

    def push(self, numbers: np.ndarray) -> Polygons:
        band = numbered_band(numbers, self._row_above)
        self._row_above = numbers[-1]
        return self._sweep.push(band).polygons

    def finish(self) -> Polygons:
        return self._sweep.finish().polygons


class LocatedHouses:
    """Collects the houses of a side that is a file: those that lie where nothing is blank.

    Parameters
    ----------
    labels : VectorLabels
        Of the file, on the raster's grid. Each house lies where its representative point does; off
        the raster it does not count.
    raster : Scene
        Whose row bands pass by.
    min_area : float
        Smaller houses are left out, in square metres on the ground.
    area : Area, optional
        Houses that do not lie in it are left out.
    """

    def __init__(
        self, labels: VectorLabels, raster: Scene, min_area: float = 0, area: Area | None = None
    ):
        self._labels, self._raster = labels, raster
        self._houses = SortedHouses(Ground(raster.crs), min_area, area)

    def add(self, window: Window, houses: np.ndarray, counted: np.ndarray) -> None:
        """See HouseCollector."""
        # A pixel of slack: their boxes are rounded.
        near = self._labels.near(window, margin=1)
        points = shapely.get_coordinates(shapely.point_on_surface(near.polygons))
        col, row = np.floor(~self._raster.transform * points.T)
        inside = (col >= 0) & (col < window.width) & (row >= window.row) & (row < window.bottom)
        row, col = row[inside].astype(np.int64) - window.row, col[inside].astype(np.int64)
        self._houses.add(near.select(np.flatnonzero(inside)[counted[row, col]]))

    def finish(self) -> SortedHouses:
        """See HouseCollector."""
        self._houses.finish()
        return self._houses
