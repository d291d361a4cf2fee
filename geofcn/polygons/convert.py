"""Traced polygons to shapely and to map coordinates, and small holes filled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import shapely

from geofcn.core.ragged import Rings, from_rings

if TYPE_CHECKING:
    from affine import Affine

    from geofcn.core.geodesy import Ground
    from geofcn.tracing.rings import Polygons


def to_shapely(polygons: Polygons) -> np.ndarray:
    """Traced polygons as shapely Polygons (n,) in pixel corners (column, row)."""
    return shapely.from_ragged_array(
        shapely.GeometryType.POLYGON,
        polygons.coords.astype(np.float64),
        (polygons.rings, polygons.polygons),
    )


def to_map(polygons: np.ndarray, transform: Affine) -> np.ndarray:
    """Polygons from pixel corners (column, row) to CRS coordinates (x, y).

    Parameters
    ----------
    polygons : (n,) array of Polygon
        In pixel corners.
    transform : Affine
        From pixel corners to CRS coordinates, as rasterio has it.

    Examples
    --------
    >>> from affine import Affine
    >>> pixel = np.array([shapely.box(0, 0, 1, 1)])
    >>> to_map(pixel, Affine(0.5, 0, 100, 0, -0.5, 200))[0].bounds
    (100.0, 199.5, 100.5, 200.0)
    """
    matrix = np.array([[transform.a, transform.d], [transform.b, transform.e]])
    offset = np.array([transform.c, transform.f])

    def placed(points: np.ndarray) -> np.ndarray:
        points = points @ matrix
        points += offset
        return points

    return shapely.transform(polygons, placed)


def fill_holes(polygons: np.ndarray, ground: Ground, area: float) -> np.ndarray:
    """Polygons without their small holes.

    Parameters
    ----------
    polygons : (n,) array of Polygon
        In CRS coordinates.
    ground : Ground
        Measures in their CRS.
    area : float
        Holes that are smaller go, in square metres on the ground.

    Examples
    --------
    >>> from geofcn.core.geodesy import Ground
    >>> court = shapely.box(0, 0, 9, 9).difference(shapely.box(1, 1, 3, 2))
    >>> len(fill_holes(np.array([court]), Ground(None), 2.0)[0].interiors)
    1
    >>> len(fill_holes(np.array([court]), Ground(None), 2.1)[0].interiors)
    0
    """
    holed = np.flatnonzero(shapely.get_num_interior_rings(polygons))
    if not len(holed):
        return polygons
    rings = Rings.of(polygons[holed])
    remaining = rings.is_exterior | (ground.ring_areas(rings) >= area)
    first = np.append(0, np.cumsum(np.diff(rings.first)[remaining]))
    points = rings.points[remaining[rings.ring]]
    filled = polygons.copy()
    filled[holed] = from_rings(points, first, rings.polygon[remaining], len(holed))
    return filled
