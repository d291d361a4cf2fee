"""Finished polygons made clean: simplified, or squared where they are houses with right angles.

Everything here is in pixels, on whole arrays of polygons. What becomes of a polygon never depends
on the others of its array, to the last bit: the only sums that run across polygons are integer.
"""

from __future__ import annotations

import numpy as np
import shapely

from geofcn.squaring import squared

RAW, SIMPLIFIED, SQUARED = "raw", "simplified", "squared"
METHODS = ("raw", "simplify", "square")
# A clean outline that agrees less with the raw one (intersection over union) is not used.
MIN_AGREEMENT = 0.80
# A polygon with more holes is speckle and stays raw: GEOS takes time by their square.
MAX_HOLES = 5_000


def clean(polygons: np.ndarray, method: str, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Clean outlines of finished polygons, and what was done to each.

    polygons   (n,) valid shapely Polygons in integer pixel corner coordinates
    method     "raw": as they are; "simplify": Douglas-Peucker; "square": right angles where an
               outline has them, else simplified
    tolerance  of Douglas-Peucker, in pixels

    Returns (n,) valid Polygons with as many holes, and (n,) strings: "squared", "simplified", or
    "raw" where nothing else was valid and agreed with the raw outline to MIN_AGREEMENT, or the
    polygon has more than MAX_HOLES holes. Raises ValueError for an unknown method, or when asked
    to square coordinates that are not integers.
    """
    if method not in METHODS:
        raise ValueError(f"an outline is one of {', '.join(METHODS)}, not {method!r}")
    polygons = np.asarray(polygons, dtype=object)
    cleaned, status = polygons.copy(), np.full(len(polygons), RAW, dtype=object)
    if method == "raw":
        return cleaned, status
    some = np.flatnonzero(shapely.get_num_interior_rings(polygons) <= MAX_HOLES)
    raw = polygons[some]
    simple = shapely.simplify(raw, tolerance, preserve_topology=True)
    rest = np.ones(len(some), dtype=bool)
    if method == "square":
        which, square = squared(raw, simple, tolerance)
        good = _acceptable(square, raw[which])
        which = which[good]
        cleaned[some[which]], status[some[which]] = square[good], SQUARED
        rest[which] = False
    rest[rest] = _acceptable(simple[rest], raw[rest], _most_removed(simple[rest], raw[rest]))
    cleaned[some[rest]], status[some[rest]] = simple[rest], SIMPLIFIED
    return cleaned, status


def agreement(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union of valid polygons, pair by pair, from 0 to 1."""
    common = shapely.area(shapely.intersection(first, second))
    return common / (shapely.area(first) + shapely.area(second) - common)


def _acceptable(
    cleaned: np.ndarray, raw: np.ndarray, difference: np.ndarray | float = np.inf
) -> np.ndarray:
    """Where the clean outlines are valid, not empty, and near enough to the raw ones.

    difference  the area that is in one of the two only, at most: where that is little already,
                GEOS need not intersect them
    """
    good = shapely.is_valid(cleaned) & ~shapely.is_empty(cleaned)
    area = shapely.area(raw)
    unsure = good & ~(area - difference >= MIN_AGREEMENT * (area + difference))
    good[unsure] = agreement(cleaned[unsure], raw[unsure]) >= MIN_AGREEMENT
    return good


def _most_removed(simple: np.ndarray, raw: np.ndarray) -> np.ndarray:
    """(n,) the area by which a simplified outline differs from the raw one, at most.

    Each stretch between two vertices that are kept became a chord. Between the two lies at most the
    sum of the trapezoids under the stretch's edges: just that, unless the stretch turns back.
    """
    rings, polygon = shapely.get_rings(raw, return_index=True)
    if not len(raw) or len(rings) != len(shapely.get_rings(simple)):
        return np.full(len(raw), np.inf)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    kept = _kept(points, ring, simple)
    edge = np.flatnonzero(ring[1:] == ring[:-1])
    before, after = _chords(kept, ring, len(rings))
    start, end = points[before[edge]], points[after[edge + 1]]
    with np.errstate(invalid="ignore"):
        along = (end - start) / np.hypot(*(end - start).T)[:, None]
    # The vertices as seen from the chord: how far along it, and how far off.
    here, there = ((points[at] - start).T for at in (edge, edge + 1))
    run = (there[0] - here[0]) * along[:, 0] + (there[1] - here[1]) * along[:, 1]
    off = [np.abs(side[0] * along[:, 1] - side[1] * along[:, 0]) for side in (here, there)]
    trapezoids = np.abs(run) * (off[0] + off[1]) / 2
    return np.bincount(polygon[ring[edge]], trapezoids, len(raw))


def _kept(points: np.ndarray, ring: np.ndarray, simple: np.ndarray) -> np.ndarray:
    """Which vertices of raw rings are vertices of the same rings of the simplified polygons."""
    found, of = shapely.get_coordinates(shapely.get_rings(simple), return_index=True)
    place, number = np.unique(found.view(np.complex128).ravel(), return_inverse=True)
    wanted = points.view(np.complex128).ravel()
    at = np.minimum(np.searchsorted(place, wanted), len(place) - 1)
    kept = np.unique(of * len(place) + number)
    key = ring * len(place) + at
    index = np.minimum(np.searchsorted(kept, key), len(kept) - 1)
    return (place[at] == wanted) & (kept[index] == key)


def _chords(kept: np.ndarray, ring: np.ndarray, rings: int) -> tuple[np.ndarray, np.ndarray]:
    """The last kept vertex up to each vertex, and the first one from it on, around its ring.

    A ring's first vertex, which is its last one as well, need not be kept.
    """
    index, chosen = np.arange(len(kept)), np.flatnonzero(kept)
    bounds = np.searchsorted(ring[chosen], np.arange(rings + 1))
    lowest, highest = (chosen[at.clip(0, len(chosen) - 1)] for at in (bounds[:-1], bounds[1:] - 1))
    before = np.maximum.accumulate(np.where(kept, index, -1))
    after = np.minimum.accumulate(np.where(kept, index, len(kept))[::-1])[::-1]
    before = np.where(before < lowest[ring], highest[ring], before)
    after = np.where(after > highest[ring], lowest[ring], after)
    return before, after
