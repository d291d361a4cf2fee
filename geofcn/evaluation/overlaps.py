"""Which polygons of two sets overlap, and how much: for matching, and for houses that touch."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import shapely

from geofcn.core.windows import ceil_div
from geofcn.runtime import cores

# Coordinates are rounded: an overlap of exactly the least one must not fail for their last digit,
# nor exactly a half be more than a half.
SLACK = 1e-7
HALF = 0.5 + SLACK
# Pairs of polygons that a thread takes on at once.
PAIRS_AT_ONCE = 4096
# Vertices of a piece, at the most, and how often a polygon is halved for that, at the most: a block
# of houses that became one has thousands of truths inside, and GEOS looks at all of its vertices
# for each (80,000 vertices, 10,000 truths: 115 s, and 4 s by pieces).
PIECE, HALVINGS = 2048, 32


@dataclass(frozen=True)
class Overlaps:
    """Pairs of polygons of two sets that overlap much.

    Attributes
    ----------
    p, t : (k,) int array
        Indices of the first set's and the second set's polygon.
    iou : (k,) array
        Intersection over union, from 0 to 1.
    p_share, t_share : (k,) array
        Which share of the first (second) polygon lies in the other one, from 0 to 1.
    """

    p: np.ndarray
    t: np.ndarray
    iou: np.ndarray
    p_share: np.ndarray
    t_share: np.ndarray

    def select(self, chosen: np.ndarray) -> Overlaps:
        """Those chosen by a boolean or an index array."""
        columns = self.p, self.t, self.iou, self.p_share, self.t_share
        return Overlaps(*(column[chosen] for column in columns))


def overlaps(ps: np.ndarray, ts: np.ndarray, least: float) -> Overlaps:
    """The pairs that overlap by `least`, or of which one lies in the other by more than half.

    Parameters
    ----------
    ps, ts : (n,) and (m,) array of shapely.Polygon
        Valid, in one plane.
    least : float
        Intersection over union, above 0 and up to 1.

    Examples
    --------
    A house beside another, and a prediction of both in one:

    >>> houses = np.array([shapely.box(0, 0, 3, 1), shapely.box(3, 0, 4, 1)])
    >>> found = overlaps(np.array([shapely.box(0, 0, 4, 1)]), houses, 0.5)
    >>> found.t, found.iou, found.t_share
    (array([0, 1]), array([0.75, 0.25]), array([1., 1.]))
    """
    area_p, area_t = shapely.area(ps), shapely.area(ts)

    def may_count(p: np.ndarray, t: np.ndarray, most: np.ndarray) -> np.ndarray:
        smaller = np.minimum(area_p[p], area_t[t])
        most = np.minimum(most, smaller)
        may_match = most >= (least - SLACK) * (area_p[p] + area_t[t] - most)
        return may_match | (most > 0.5 * smaller)

    p, t, common = _common_areas(ps, ts, may_count)
    shares = common / area_p[p], common / area_t[t]
    found = Overlaps(p, t, common / (area_p[p] + area_t[t] - common), *shares)
    enough = (found.iou > 0) & (found.iou >= least - SLACK)
    return found.select(enough | (found.p_share > HALF) | (found.t_share > HALF))


def _common_areas(
    ps: np.ndarray,
    ts: np.ndarray,
    may_count: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of polygons, and the area that each has in common.

    `may_count` tells, from what is the most that pairs can have in common, which are looked at: no
    intersection is larger than that of the boxes, so most pairs need no overlay.
    """
    (parts_p, of_p), (parts_t, of_t) = _pieces(ps), _pieces(ts)
    p, t = shapely.STRtree(parts_t).query(parts_p)
    pair, member = np.unique(of_p[p] * len(ts) + of_t[t], return_inverse=True)
    first, second = np.divmod(pair, max(1, len(ts)))
    boxes = shapely.bounds(parts_p).reshape(-1, 4)[p], shapely.bounds(parts_t).reshape(-1, 4)[t]
    low, high = np.maximum(*boxes)[:, :2], np.minimum(*boxes)[:, 2:]
    most = np.bincount(member, (high - low).prod(axis=1), len(pair))
    counts = may_count(first, second, most)
    looked_at = counts[member]
    areas = in_threads(_common_area, parts_p[p[looked_at]], parts_t[t[looked_at]])
    common = np.bincount(member[looked_at], areas, len(pair))
    return first[counts], second[counts], common[counts]


def _common_area(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return shapely.area(shapely.intersection(first, second))


def _pieces(polygons: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Polygons in pieces of few vertices, (k,), and the index of the polygon that each is of."""
    pieces, owner = polygons, np.arange(len(polygons))
    for _ in range(HALVINGS):
        is_large = shapely.get_num_coordinates(pieces) > PIECE
        if not is_large.any():
            break
        halves, of = _halves(pieces[is_large])
        pieces = np.concatenate([pieces[~is_large], halves])
        owner = np.concatenate([owner[~is_large], owner[is_large][of]])
    return pieces, owner


def _halves(polygons: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The parts of polygons on both sides of the middle, and the index of each one's polygon."""
    west, south, east, north = shapely.bounds(polygons).T
    is_wide = east - west > north - south
    col = np.where(is_wide, (west + east) / 2, east)
    row = np.where(is_wide, north, (south + north) / 2)
    other_west, other_south = np.where(is_wide, col, west), np.where(is_wide, south, row)
    boxes = shapely.box(west, south, col, row), shapely.box(other_west, other_south, east, north)
    parts, of = shapely.get_parts(
        np.concatenate([shapely.intersection(polygons, box) for box in boxes]), return_index=True
    )
    is_polygon = shapely.get_type_id(parts) == shapely.GeometryType.POLYGON
    return parts[is_polygon], of[is_polygon] % len(polygons)


def in_threads(function: Callable[..., np.ndarray], *pairs: np.ndarray) -> np.ndarray:
    """function(first, second) of arrays (n,) of polygons, in parts side by side.

    Threads do: GEOS lets go of Python's lock.
    """
    count = max(1, ceil_div(len(pairs[0]), PAIRS_AT_ONCE))
    parts = [np.array_split(array, count) for array in pairs]
    with ThreadPoolExecutor(cores()) as pool:
        return np.concatenate(list(pool.map(function, *parts)))
