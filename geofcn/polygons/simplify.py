"""Douglas-Peucker on whole arrays of polygons, ring by ring, and how much it removes of each.

Everything here is in pixels. What becomes of a polygon never depends on the others of its array.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from geofcn.core.ragged import Rings, from_rings

# Points of the least ring, its last one the first again.
LEAST_RING = 4
# What keeps rings from crossing, and overlays, take GEOS time by the square of a polygon's holes.
MAX_HOLES = 5_000


@dataclass(frozen=True)
class Simplified:
    """Polygons simplified, one value for each.

    polygons  (n,) shapely Polygons, valid, with as many holes as before
    removed   (n,) the area that is in only one of the two, before and after, at most; inf where
              that is not known
    whole     (n,) bool, those that stay as they are: the exterior would be less than a triangle,
              or some of more than MAX_HOLES holes would cross others
    """

    polygons: np.ndarray
    removed: np.ndarray
    whole: np.ndarray


def simplify(raw: np.ndarray, tolerance: float) -> Simplified:
    """Drop the vertices that lie within `tolerance` of what is left (Douglas and Peucker, 1973).

    raw  (n,) valid shapely Polygons

    A ring that would vanish stays as it is. Where rings would cross, GEOS simplifies the polygon
    once more so that they do not, in ten times the time, unless it has too many of them.
    """
    if not len(raw):
        return Simplified(raw, np.zeros(0), np.zeros(0, bool))
    rings = Rings.of(raw)
    kept, vanishing = _kept(rings, tolerance)
    polygons = _assembled(rings, kept, len(raw))
    removed = np.bincount(rings.polygon[rings.ring], _trapezoids(rings, kept), len(raw))
    crossing = ~shapely.is_valid(polygons)
    speckle = crossing & (shapely.get_num_interior_rings(raw) > MAX_HOLES)
    whole = (vanishing[rings.is_exterior] & ~crossing) | speckle
    polygons[speckle] = raw[speckle]
    crossing &= ~speckle
    polygons[crossing] = shapely.simplify(raw[crossing], tolerance, preserve_topology=True)
    removed[crossing] = np.inf
    return Simplified(polygons, removed, whole)


def _kept(rings: Rings, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """(p,) bool, the vertices that stay; (r,) bool, the rings that would vanish, and stay whole.

    The last vertex of a ring stays if the first one does.
    """
    numbered = np.column_stack([rings.points, np.arange(len(rings.points))])
    lines = shapely.linearrings(numbered, indices=rings.ring)
    lines = shapely.simplify(lines, tolerance, preserve_topology=False)
    kept = np.zeros(len(rings.points), bool)
    kept[shapely.get_coordinates(lines, include_z=True)[:, 2].astype(np.intp)] = True
    kept[rings.last] = kept[rings.first[:-1]]
    count = np.bincount(rings.ring[kept], minlength=len(rings.polygon))
    vanishing = count < LEAST_RING
    kept |= vanishing[rings.ring]
    ends = _needless_ends(rings, kept, tolerance) & (count > LEAST_RING)
    kept[rings.first[:-1][ends]] = kept[rings.last[ends]] = False
    return kept, vanishing


def _needless_ends(rings: Rings, kept: np.ndarray, tolerance: float) -> np.ndarray:
    """(r,) bool: a ring's first vertex lies within `tolerance` of the line between those that are
    kept before and after it. Douglas-Peucker, which cuts a ring there, never tries it.
    """
    chosen = np.flatnonzero(kept)
    begin = np.searchsorted(chosen, rings.first)
    end = rings.points[rings.first[:-1]]
    after, before = rings.points[chosen[begin[:-1] + 1]], rings.points[chosen[begin[1:] - 2]]
    along, aside = after - before, end - before
    length = (along**2).sum(axis=1)
    share = (along * aside).sum(axis=1) / np.where(length > 0, length, 1)
    off = aside - share.clip(0, 1)[:, None] * along
    return np.hypot(*off.T) <= tolerance


def _assembled(rings: Rings, kept: np.ndarray, count: int) -> np.ndarray:
    """(count,) polygons of the vertices that are kept; a ring ends where it begins."""
    chosen = np.flatnonzero(kept)
    begin = np.searchsorted(chosen, rings.first)
    # A ring without its first vertex ends with its second one, in the place of its last.
    open_rings = np.flatnonzero(~kept[rings.first[:-1]])
    chosen = np.insert(chosen, begin[1:][open_rings], chosen[begin[:-1][open_rings]])
    length = np.diff(begin)
    length[open_rings] += 1
    offsets = np.append(0, np.cumsum(length))
    return from_rings(rings.points[chosen], offsets, rings.polygon, count)


def _trapezoids(rings: Rings, kept: np.ndarray) -> np.ndarray:
    """(p,) the area between the edge after each vertex and the chord that took its place.

    Each stretch between two vertices that are kept became a chord. Between the two lies at most the
    sum of the trapezoids under the stretch's edges: just that, unless the stretch turns back.
    """
    areas = np.zeros(len(kept))
    before, after = _chords(rings, kept)
    # An edge that is its own chord has nothing below it.
    edge = np.flatnonzero((rings.ring[1:] == rings.ring[:-1]) & ~(kept[1:] & kept[:-1]))
    start, end = before[edge], after[edge + 1]
    x, y = np.ascontiguousarray(rings.points.T)
    along_x, along_y = x[end] - x[start], y[end] - y[start]
    # The vertices as seen from the chord, times its length: how far along it, and how far off.
    run = (x[edge + 1] - x[edge]) * along_x + (y[edge + 1] - y[edge]) * along_y
    here, there = (
        np.abs((x[at] - x[start]) * along_y - (y[at] - y[start]) * along_x)
        for at in (edge, edge + 1)
    )
    with np.errstate(invalid="ignore"):
        areas[edge] = np.abs(run) * (here + there) / (2 * (along_x**2 + along_y**2))
    return areas


def _chords(rings: Rings, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The last kept vertex up to each vertex, and the first one from it on, around its ring."""
    index, chosen = np.arange(len(kept)), np.flatnonzero(kept)
    begin = np.searchsorted(chosen, rings.first)
    lowest, highest = chosen[begin[:-1]], chosen[begin[1:] - 1]
    before = np.maximum.accumulate(np.where(kept, index, -1))
    after = np.minimum.accumulate(np.where(kept, index, len(kept))[::-1])[::-1]
    before = np.where(before < lowest[rings.ring], highest[rings.ring], before)
    after = np.where(after > highest[rings.ring], lowest[rings.ring], after)
    return before, after
