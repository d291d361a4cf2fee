"""The area outside of which no house of either side counts in an evaluation."""

from __future__ import annotations

import numpy as np
import pyproj
import shapely
from rasterio.crs import CRS

from geofcn.errors import LabelsError
from geofcn.io.label_source import LabelSource
from geofcn.io.vector_reader import Tally, is_raster_path, no_crs, open_vectors


class Area:
    """Polygons of an area; all of them are in memory.

    Parameters
    ----------
    source : LabelSource
        A vector file.
    crs : CRS or None
        That of the houses, into which the polygons are brought.
    centre : float
        See `VectorLayer.batches`.

    Raises
    ------
    LabelsError
        Where it is a raster, or does not state its CRS though the houses have one.
    """

    def __init__(self, source: LabelSource, crs: pyproj.CRS | CRS | None, centre: float = 0.0):
        if is_raster_path(source.path):
            raise LabelsError(f"{source.path}: an area is given as polygons, not as a raster.")
        layer = open_vectors(source)
        if crs is not None and layer.crs is None:
            raise no_crs(layer.path)
        batches = [batch.polygons for batch in layer.batches(Tally(), crs, centre)]
        self.path = layer.path
        self._polygons = np.concatenate([np.zeros(0, object), *batches])

    def holds(self, houses: np.ndarray) -> np.ndarray:
        """Whether the representative point of each house (n,) lies in it, or on its edge.

        That point of a polygon does not depend on the other side: a house counts as a whole or not
        at all, be it predicted or true, of a raster or of a file.
        """
        inside = np.zeros(len(houses), bool)
        points = shapely.STRtree(shapely.point_on_surface(houses))
        inside[points.query(self._polygons, predicate="intersects")[1]] = True
        return inside
