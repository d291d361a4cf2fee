"""Douglas-Peucker line simplification of arrays of polygons, and how much it removes of each.

Everything here is in pixels. What becomes of a polygon never depends on the others of its array.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from geofcn.core.ragged import Rings, from_rings
from geofcn.polygons.validity import are_valid

# Points of the least ring, its last one the first again.
LEAST_RING = 4
# What keeps rings from crossing, and overlays, take GEOS time by the square of a polygon's holes.
MAX_HOLES = 5_000


@dataclass(frozen=True)
class Simplified:
    """Simplified polygons, and how far they are from what they were.

    Attributes
    ----------
    polygons : (n,) array of Polygon
        Valid, with as many holes as before.
    removed : (n,) float array
        Area that is in only one of the two, before and after, at most, in square pixels; inf where
        that is not known.
    whole : (n,) bool array
        Polygons that stay as they are: the exterior would be less than a triangle, or some of more
        than MAX_HOLES holes would cross others.
    """

    polygons: np.ndarray
    removed: np.ndarray
    whole: np.ndarray


def simplify(raw: np.ndarray, tolerance: float) -> Simplified:
    """Drop the vertices that lie within a tolerance of what is left, ring by ring.

    Douglas and Peucker, Algorithms for the reduction of the number of points required to represent
    a digitized line or its caricature, 1973; and a ring's first vertex, which they keep, is tried
    as well.

    Parameters
    ----------
    raw : (n,) array of Polygon
        Valid.
    tolerance : float
        In pixels.

    Notes
    -----
    A ring that would vanish stays as it is. Where rings would cross, GEOS simplifies the polygon
    once more so that they do not, which takes far longer, unless it has more than MAX_HOLES holes.

    Examples
    --------
    >>> wall = shapely.Polygon([(0, 0), (5, 1), (10, 0), (10, 10), (0, 10)])
    >>> simple = simplify(np.array([wall]), 1.5)
    >>> len(simple.polygons[0].exterior.coords) - 1, simple.removed
    (4, array([5.]))
    """
    if not len(raw):
        return Simplified(raw, np.zeros(0), np.zeros(0, bool))
    rings = Rings.of(raw)
    stays, vanishing, removed = _choose(rings, tolerance, len(raw))
    exterior_vanishes = vanishing[rings.is_exterior]
    # One polygon may have millions of points: nothing of that size is kept longer than needed.
    rings = _simplified(rings, stays)
    del stays, vanishing
    polygons = from_rings(rings.points, rings.first, rings.polygon, len(raw))
    del rings
    crossing = ~are_valid(polygons)
    speckle = crossing & (shapely.get_num_interior_rings(raw) > MAX_HOLES)
    whole = (exterior_vanishes & ~crossing) | speckle
    polygons[speckle] = raw[speckle]
    crossing &= ~speckle
    polygons[crossing] = shapely.simplify(raw[crossing], tolerance, preserve_topology=True)
    removed[crossing] = np.inf
    return Simplified(polygons, removed, whole)


def _choose(
    rings: Rings, tolerance: float, count: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What stays of the rings of `count` polygons.

    Returns
    -------
    (p,) bool array
        The vertices that stay.
    (r,) bool array
        The rings that would vanish, and stay whole.
    (count,) array
        The area that is removed from each polygon or added to it, at most.
    """
    stays, vanishing = np.empty(len(rings.points), bool), np.empty(len(rings), bool)
    areas = np.empty(len(rings.points))
    for own, points, part in rings.parts():
        stays[points], vanishing[own] = _douglas_peucker(part, tolerance)
        areas[points] = trapezoids(part, stays[points])
    owner = np.repeat(rings.polygon, np.diff(rings.first))
    return stays, vanishing, np.bincount(owner, areas, count)


def _douglas_peucker(rings: Rings, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """(p,) bool, the vertices that stay; (r,) bool, the rings that would vanish, and stay whole.

    The last vertex of a ring stays if the first one does.
    """
    numbered = np.column_stack([rings.points, np.arange(len(rings.points))])
    lines = shapely.linearrings(numbered, indices=rings.ring)
    lines = shapely.simplify(lines, tolerance, preserve_topology=False)
    stays = np.zeros(len(rings.points), bool)
    stays[shapely.get_coordinates(lines, include_z=True)[:, 2].astype(np.intp)] = True
    stays[rings.last] = stays[rings.first[:-1]]
    count = np.bincount(rings.ring[stays], minlength=len(rings.polygon))
    vanishing = count < LEAST_RING
    stays |= vanishing[rings.ring]
    needless = _needless_starts(rings, stays, tolerance) & (count > LEAST_RING)
    stays[rings.first[:-1][needless]] = stays[rings.last[needless]] = False
    return stays, vanishing


def _needless_starts(rings: Rings, stays: np.ndarray, tolerance: float) -> np.ndarray:
    """(r,) bool, whether a ring could do without its first vertex.

    It lies within `tolerance` of the line between those that stay before and after it.
    Douglas-Peucker, which cuts a ring there, never tries it.
    """
    chosen = np.flatnonzero(stays)
    begin = np.searchsorted(chosen, rings.first)
    end = rings.points[rings.first[:-1]]
    after, before = rings.points[chosen[begin[:-1] + 1]], rings.points[chosen[begin[1:] - 2]]
    along, aside = after - before, end - before
    length = (along**2).sum(axis=1)
    share = (along * aside).sum(axis=1) / np.where(length > 0, length, 1)
    off = aside - share.clip(0, 1)[:, None] * along
    return np.hypot(*off.T) <= tolerance


def _simplified(rings: Rings, stays: np.ndarray) -> Rings:
    """Rings of the vertices that stay; a ring ends where it begins."""
    chosen = np.flatnonzero(stays)
    begin = np.searchsorted(chosen, rings.first)
    # A ring without its first vertex ends with its second one, in the place of its last.
    open_rings = np.flatnonzero(~stays[rings.first[:-1]])
    chosen = np.insert(chosen, begin[1:][open_rings], chosen[begin[:-1][open_rings]])
    length = np.diff(begin)
    length[open_rings] += 1
    return Rings(rings.points[chosen], np.append(0, np.cumsum(length)), rings.polygon)


def trapezoids(rings: Rings, stays: np.ndarray) -> np.ndarray:
    """(p,) the area between the edge after each vertex and the chord that took its place.

    Parameters
    ----------
    rings : Rings
        Closed; or lines of which both ends stay.
    stays : (p,) array of bool
        The vertices that stay.

    Notes
    -----
    Each stretch between two vertices that stay became a chord. Between the two lies at most the
    sum of the trapezoids under the stretch's edges: just that, unless the stretch turns back.
    """
    areas = np.zeros(len(stays))
    before, after = _chords(rings, stays)
    # An edge that is its own chord has nothing below it.
    edge = np.flatnonzero((rings.ring[1:] == rings.ring[:-1]) & ~(stays[1:] & stays[:-1]))
    start, end = before[edge], after[edge + 1]
    x, y = np.ascontiguousarray(rings.points.T)
    along_x, along_y = x[end] - x[start], y[end] - y[start]
    # The vertices as seen from the chord, times its length: how far along it, and how far off.
    run = (x[edge + 1] - x[edge]) * along_x + (y[edge + 1] - y[edge]) * along_y
    off_start, off_end = (
        np.abs((x[vertex] - x[start]) * along_y - (y[vertex] - y[start]) * along_x)
        for vertex in (edge, edge + 1)
    )
    with np.errstate(invalid="ignore"):
        areas[edge] = np.abs(run) * (off_start + off_end) / (2 * (along_x**2 + along_y**2))
    return areas


def _chords(rings: Rings, stays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The last vertex that stays up to each vertex, and the first one from it on, in its ring."""
    index, chosen = np.arange(len(stays)), np.flatnonzero(stays)
    begin = np.searchsorted(chosen, rings.first)
    lowest, highest = chosen[begin[:-1]], chosen[begin[1:] - 1]
    before = np.maximum.accumulate(np.where(stays, index, -1))
    after = np.minimum.accumulate(np.where(stays, index, len(stays))[::-1])[::-1]
    before = np.where(before < lowest[rings.ring], highest[rings.ring], before)
    after = np.where(after > highest[rings.ring], lowest[rings.ring], after)
    return before, after
