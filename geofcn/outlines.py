"""One finished polygon, cleaned."""

from __future__ import annotations

import numpy as np
import shapely


def clean(polygons: np.ndarray, method: str, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Outlines and what was done to each, in pixel coordinates."""
    status = np.full(len(polygons), "raw", object)
    if method == "raw":
        return polygons, status
    simple = shapely.simplify(polygons, tolerance, preserve_topology=True)
    common = shapely.area(shapely.intersection(simple, polygons))
    union = shapely.area(simple) + shapely.area(polygons) - common
    good = shapely.is_valid(simple) & ~shapely.is_empty(simple) & (common >= 0.8 * union)
    status[good] = "simplified"
    return np.where(good, simple, polygons), status
