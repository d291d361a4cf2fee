"""Polygons as flat arrays of rings, and between pixels and map coordinates."""

from __future__ import annotations

import numpy as np
import shapely
from rasterio.transform import Affine

from geofcn.core.geodesy import Ground


def to_map(polygons: np.ndarray, transform: Affine) -> np.ndarray:
    """Polygons from pixel corners (column, row) to CRS coordinates (x, y)."""
    matrix = np.array([[transform.a, transform.d], [transform.b, transform.e]])
    offset = np.array([transform.c, transform.f])
    return shapely.transform(polygons, lambda points: points @ matrix + offset)


def _fill_holes(polygons: np.ndarray, ground: Ground, area: float) -> np.ndarray:
    """Leave out holes of less than `area` square metres."""
    holed = np.flatnonzero(shapely.get_num_interior_rings(polygons))
    if not len(holed):
        return polygons
    rings, owner = shapely.get_rings(polygons[holed], return_index=True)
    exterior = np.append(True, owner[1:] != owner[:-1])
    areas, _ = ground.measure(shapely.polygons(rings))
    kept = exterior | (areas >= area)
    points, ring = shapely.get_coordinates(rings[kept], return_index=True)
    offsets = np.searchsorted(ring, np.arange(np.count_nonzero(kept) + 1))
    polygon_offsets = np.searchsorted(owner[kept], np.arange(len(holed) + 1))
    filled = polygons.copy()
    filled[holed] = shapely.from_ragged_array(
        shapely.GeometryType.POLYGON, points, (offsets, polygon_offsets)
    )
    return filled
