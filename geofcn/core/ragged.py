"""Arrays of polygons as flat arrays of their rings, and how much pairs of them overlap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely


@dataclass(frozen=True)
class Rings:
    """The rings of an array of polygons, as flat arrays.

    Attributes
    ----------
    points : (p, 2) array
        Vertices, the last one of a ring the first again.
    ring : (p,) array
        The ring of each vertex.
    first : (r + 1,) array
        The first vertex of each ring, and the number of all.
    polygon : (r,) array
        The polygon of each ring; a polygon's first ring is its exterior.

    Examples
    --------
    >>> rings = Rings.of(np.array([shapely.box(0, 0, 2, 1), shapely.box(5, 5, 6, 6)]))
    >>> rings.first, rings.polygon
    (array([ 0,  5, 10]), array([0, 1]))
    """

    points: np.ndarray
    ring: np.ndarray
    first: np.ndarray
    polygon: np.ndarray

    @classmethod
    def of(cls, polygons: np.ndarray) -> Rings:
        """The rings of an array (n,) of shapely Polygons in order: exterior, holes, exterior ..."""
        rings, polygon = shapely.get_rings(polygons, return_index=True)
        points, ring = shapely.get_coordinates(rings, return_index=True)
        return cls(points, ring, np.searchsorted(ring, np.arange(len(rings) + 1)), polygon)

    def __len__(self) -> int:
        return len(self.polygon)

    @property
    def last(self) -> np.ndarray:
        """(r,) the last vertex of each ring."""
        return self.first[1:] - 1

    @property
    def is_exterior(self) -> np.ndarray:
        """(r,) bool, whether a ring is its polygon's exterior."""
        return np.diff(self.polygon, prepend=-1) > 0

    @property
    def edges(self) -> np.ndarray:
        """(e,) the vertices at which an edge starts: all but each ring's last."""
        return np.flatnonzero(self.ring[1:] == self.ring[:-1])


def from_rings(
    points: np.ndarray, first: np.ndarray, polygon: np.ndarray, count: int
) -> np.ndarray:
    """Polygons (count,) of closed rings, the inverse of Rings.of.

    Parameters
    ----------
    points : (p, 2) array
        Vertices, ring after ring.
    first : (r + 1,) array
        The first vertex of each ring, and the number of all.
    polygon : (r,) array
        The polygon of each ring, in order; its first ring is the exterior.
    count : int
        How many polygons there are; one without rings is empty.

    Returns
    -------
    (count,) array of shapely.Polygon

    Examples
    --------
    >>> rings = Rings.of(np.array([shapely.box(0, 0, 2, 1)]))
    >>> moved = from_rings(rings.points + 10, rings.first, rings.polygon, 1)
    >>> print(moved[0])
    POLYGON ((12 10, 12 11, 10 11, 10 10, 12 10))
    """
    offsets = np.searchsorted(polygon, np.arange(count + 1))
    return shapely.from_ragged_array(shapely.GeometryType.POLYGON, points, (first, offsets))


def intersection_over_union(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union of valid polygons, pair by pair, from 0 to 1.

    Parameters
    ----------
    first, second : (n,) array of shapely.Polygon

    Returns
    -------
    (n,) array of float64

    Examples
    --------
    >>> halves = np.array([shapely.box(0, 0, 2, 1)]), np.array([shapely.box(1, 0, 2, 1)])
    >>> intersection_over_union(*halves)
    array([0.5])
    """
    common = shapely.area(shapely.intersection(first, second))
    return common / (shapely.area(first) + shapely.area(second) - common)
