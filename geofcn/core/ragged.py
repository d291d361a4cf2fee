"""Arrays of polygons as flat arrays of their rings, and how much pairs of them overlap."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely

# Rings that shapely is asked for at once, and points that are worked on at once, about: one polygon
# may have a million rings, and a ring of shapely's takes far more bytes than its points.
RINGS_AT_ONCE, POINTS_AT_ONCE = 2**16, 2**17


@dataclass(frozen=True)
class Rings:
    """The rings of an array of polygons, as flat arrays.

    Attributes
    ----------
    points : (p, 2) array
        Vertices, the last one of a ring the first again.
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
    first: np.ndarray
    polygon: np.ndarray

    @classmethod
    def of(cls, polygons: np.ndarray) -> Rings:
        """The rings of an array (n,) of shapely Polygons in order: exterior, holes, exterior ..."""
        owners, sizes = [np.zeros(0, np.int64)], [np.zeros(1, np.int64)]
        for owner, _, rings in rings_in_turn(polygons):
            owners.append(owner)
            sizes.append(shapely.get_num_coordinates(rings))
        first = np.cumsum(np.concatenate(sizes))
        return cls(shapely.get_coordinates(polygons), first, np.concatenate(owners))

    def __len__(self) -> int:
        return len(self.polygon)

    @cached_property
    def ring(self) -> np.ndarray:
        """(p,) the ring of each vertex."""
        return np.repeat(np.arange(len(self)), np.diff(self.first))

    def parts(self) -> Iterator[tuple[slice, slice, Rings]]:
        """All rings, some with about POINTS_AT_ONCE points at a time: a ring is never divided.

        Yields
        ------
        (slice, slice, Rings)
            Which rings and which points these are, and they themselves.
        """
        number = self.first[:-1] // POINTS_AT_ONCE
        begins = np.flatnonzero(np.diff(number, prepend=-1))
        for begin, end in itertools.pairwise([*begins.tolist(), len(self)]):
            own, points = slice(begin, end), slice(self.first[begin], self.first[end])
            first = self.first[begin : end + 1] - self.first[begin]
            yield own, points, Rings(self.points[points], first, self.polygon[own])

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


def rings_in_turn(
    polygons: np.ndarray,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The rings of polygons as shapely's, RINGS_AT_ONCE at the most at a time.

    Parameters
    ----------
    polygons : (n,) array of shapely.Polygon

    Yields
    ------
    (k,) int array, (k,) bool array, (k,) array of shapely.LinearRing
        The polygon of each ring, whether it is the exterior, and the ring; in order.
    """
    count = np.where(shapely.is_empty(polygons), 0, 1 + shapely.get_num_interior_rings(polygons))
    polygon = np.repeat(np.arange(len(polygons)), count)
    # Of each ring its number among its polygon's holes, -1 of an exterior.
    number = np.arange(len(polygon)) - np.repeat(np.cumsum(count) - count, count) - 1
    for start in range(0, len(polygon), RINGS_AT_ONCE):
        some = slice(start, start + RINGS_AT_ONCE)
        owner, hole = polygon[some], number[some]
        is_exterior, rings = hole < 0, np.empty(len(hole), object)
        rings[is_exterior] = shapely.get_exterior_ring(polygons[owner[is_exterior]])
        rings[~is_exterior] = shapely.get_interior_ring(
            polygons[owner[~is_exterior]], hole[~is_exterior]
        )
        yield owner, is_exterior, rings


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
