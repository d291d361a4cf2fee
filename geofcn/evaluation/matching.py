"""Matching of predicted and true houses by their overlap, and PoLiS distance of outlines.

Houses come from top to bottom, some at a time, and leave when all that may overlap them has come:
what is in memory are those on the line between. Polygons are valid shapely Polygons in one plane.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import inf, nan

import numpy as np
import shapely

from geofcn.core.ragged import Rings, intersection_over_union
from geofcn.core.windows import ceil_div
from geofcn.evaluation.sorted_houses import SortedHouses, worst_last
from geofcn.io.polygon_store import NumberedPolygons
from geofcn.runtime import cores

# Coordinates are rounded: an overlap of exactly the least one must not fail for their last digit.
SLACK = 1e-7
# Pairs of polygons that a thread takes on at once.
PAIRS_AT_ONCE = 4096
# Houses that are taken at once, at least.
TAKEN = 16_384


@dataclass(frozen=True)
class Matched:
    """Houses whose outcome is known.

    Attributes
    ----------
    prediction, truth : NumberedPolygons
        Those of either side.
    predicted_iou, true_iou : (n,) and (m,) array
        Intersection over union of the match of each, NaN without one.
    pairs : (p, 2) int array
        The matches among them: indices of a prediction and a truth.
    """

    prediction: NumberedPolygons
    truth: NumberedPolygons
    predicted_iou: np.ndarray
    true_iou: np.ndarray
    pairs: np.ndarray


@dataclass(frozen=True)
class _Pairs:
    """Pairs of houses that overlap enough, by their indices, and how much they do."""

    p: np.ndarray
    t: np.ndarray
    iou: np.ndarray

    @classmethod
    def joined(cls, parts: list[_Pairs]) -> _Pairs:
        return cls(*(np.concatenate(column) for column in zip(*map(_columns, parts), strict=True)))

    def select(self, chosen: np.ndarray) -> _Pairs:
        return _Pairs(*(column[chosen] for column in _columns(self)))


def _columns(pairs: _Pairs) -> tuple[np.ndarray, ...]:
    return pairs.p, pairs.t, pairs.iou


def match(prediction: SortedHouses, truth: SortedHouses, least: float = 0.5) -> Iterator[Matched]:
    """Match predicted with true houses by intersection over union, as SpaceNet does.

    Predictions choose one after the other, in the order of descending scores (NaN is last): each
    takes the truth, of those still free, with which its intersection over union is highest, if that
    is `least` or more (Van Etten et al., 2018). Among predictions of equal scores, or without any,
    the pair that overlaps most comes first, then the house of the lowest number.

    Parameters
    ----------
    prediction, truth : SortedHouses
        They are used up.
    least : float
        Intersection over union from which a pair matches, above 0 and up to 1.

    Yields
    ------
    Matched
        Every house once, from top to bottom.

    Notes
    -----
    A pair is sure to be served when it comes before all others of its two houses and no house that
    is yet to come can reach them. So the matches are those of all houses at once.
    """
    waiting = NumberedPolygons.joined([]), NumberedPolygons.joined([])
    pairs = _Pairs(np.zeros(0, int), np.zeros(0, int), np.zeros(0))
    for line, *new in _strips(prediction, truth):
        p, t = (NumberedPolygons.joined(list(side)) for side in zip(waiting, new, strict=True))
        olds = tuple(map(len, waiting))
        pairs = _Pairs.joined(
            [pairs, _overlaps(p, t, least, olds[0], 0), _overlaps(p, t, least, 0, olds[1], olds[0])]
        )
        over = tuple(shapely.bounds(side.polygons).reshape(-1, 4)[:, 1] >= line for side in (p, t))
        served, pairs = _serve(pairs, p, t, over)
        leaves = over[0].copy(), over[1].copy()
        leaves[0][pairs.p] = leaves[1][pairs.t] = False
        yield _matched(p, t, served, leaves)
        waiting = p.select(~leaves[0]), t.select(~leaves[1])
        pairs = _Pairs(
            _renumbered(pairs.p, ~leaves[0]), _renumbered(pairs.t, ~leaves[1]), pairs.iou
        )


def _strips(*sides: SortedHouses) -> Iterator[tuple[float, NumberedPolygons, NumberedPolygons]]:
    """The houses of both sides from top to bottom: some whose top is above a line, and the line."""
    line = inf
    while line > -inf:
        taken: list[list[NumberedPolygons]] = [[], []]
        while line > -inf and sum(len(part) for parts in taken for part in parts) < TAKEN:
            line = max(side.line for side in sides)
            for parts, side in zip(taken, sides, strict=True):
                parts.append(side.take(line))
        first, second = (NumberedPolygons.joined(parts) for parts in taken)
        yield line, first, second


def _overlaps(
    prediction: NumberedPolygons,
    truth: NumberedPolygons,
    least: float,
    first_p: int,
    first_t: int,
    end_p: int | None = None,
) -> _Pairs:
    """The pairs of some predictions and truths whose intersection over union is `least` or more."""
    ps, ts = prediction.polygons[first_p:end_p], truth.polygons[first_t:]
    p, t = shapely.STRtree(ts).query(ps)
    area_p, area_t = shapely.area(ps)[p], shapely.area(ts)[t]
    # No intersection is larger than that of the boxes: most pairs need no overlay.
    boxes = shapely.bounds(ps).reshape(-1, 4)[p], shapely.bounds(ts).reshape(-1, 4)[t]
    low, high = np.maximum(*boxes)[:, :2], np.minimum(*boxes)[:, 2:]
    bound = np.minimum((high - low).prod(axis=1), np.minimum(area_p, area_t))
    possible = bound >= (least - SLACK) * (area_p + area_t - bound)
    p, t = p[possible], t[possible]
    iou = _in_threads(intersection_over_union, ps[p], ts[t])
    enough = (iou > 0) & (iou >= least - SLACK)
    return _Pairs(p[enough] + first_p, t[enough] + first_t, iou[enough])


def _serve(
    pairs: _Pairs,
    prediction: NumberedPolygons,
    truth: NumberedPolygons,
    over: tuple[np.ndarray, np.ndarray],
) -> tuple[_Pairs, _Pairs]:
    """The pairs that are sure to be served, and those that wait for others.

    In each round a pair is served when no earlier one has either partner and all that may overlap
    them is known (`over`); those that it spoils fall out. Houses hardly ever need a second round.
    """
    order = np.lexsort(
        (
            truth.numbers[pairs.t],
            prediction.numbers[pairs.p],
            -pairs.iou,
            worst_last(prediction.scores)[pairs.p],
        )
    )
    pairs = pairs.select(order)
    free = np.ones(len(prediction), bool), np.ones(len(truth), bool)
    served, waiting = [], np.arange(len(pairs.p))
    while True:
        p, t = pairs.p[waiting], pairs.t[waiting]
        sure = waiting[_is_first(p) & _is_first(t) & over[0][p] & over[1][t]]
        if not len(sure):
            break
        served.append(sure)
        free[0][pairs.p[sure]] = free[1][pairs.t[sure]] = False
        waiting = waiting[free[0][pairs.p[waiting]] & free[1][pairs.t[waiting]]]
    chosen = np.concatenate(served) if served else np.zeros(0, int)
    return pairs.select(chosen), pairs.select(waiting)


def _is_first(values: np.ndarray) -> np.ndarray:
    """Whether each value occurs for the first time."""
    first = np.zeros(len(values), bool)
    first[np.unique(values, return_index=True)[1]] = True
    return first


def _matched(
    prediction: NumberedPolygons,
    truth: NumberedPolygons,
    served: _Pairs,
    leaves: tuple[np.ndarray, np.ndarray],
) -> Matched:
    ious = np.full(len(prediction), nan), np.full(len(truth), nan)
    ious[0][served.p] = ious[1][served.t] = served.iou
    pairs = np.column_stack([_renumbered(served.p, leaves[0]), _renumbered(served.t, leaves[1])])
    return Matched(
        prediction.select(leaves[0]),
        truth.select(leaves[1]),
        ious[0][leaves[0]],
        ious[1][leaves[1]],
        pairs[np.argsort(pairs[:, 0])],
    )


def _renumbered(indices: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Indices of what is kept, when all that is not has gone."""
    return (np.cumsum(kept) - 1)[indices]


def _in_threads(function: Callable[..., np.ndarray], *pairs: np.ndarray) -> np.ndarray:
    """function(first, second) of arrays (n,) of polygons, in parts side by side.

    Threads do: GEOS lets go of Python's lock.
    """
    count = max(1, ceil_div(len(pairs[0]), PAIRS_AT_ONCE))
    parts = [np.array_split(array, count) for array in pairs]
    with ThreadPoolExecutor(cores()) as pool:
        return np.concatenate(list(pool.map(function, *parts)))


def polis(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """PoLiS distance of polygons (n,), pair by pair (Avbelj et al., 2015).

    Half the mean distance of the first one's vertices to the second one's boundary, plus the same
    the other way round; holes are part of the boundary.

    Returns
    -------
    (n,) array
        In the unit of the coordinates.

    Examples
    --------
    >>> polis(np.array([shapely.box(0, 0, 1, 1)]), np.array([shapely.box(0, 0, 2, 1)]))
    array([0.25])
    """
    return _in_threads(_polis, first, second)


def _polis(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return (_vertex_distance(first, second) + _vertex_distance(second, first)) / 2


def _vertex_distance(polygons: np.ndarray, counterparts: np.ndarray) -> np.ndarray:
    """The mean distance of each polygon's vertices to the boundary of its counterpart."""
    rings = Rings.of(polygons)
    # A ring's last point is its first.
    vertex = rings.edges
    owner = rings.polygon[rings.ring[vertex]]
    vertices = shapely.points(rings.points[vertex])
    distances = shapely.distance(vertices, shapely.boundary(counterparts)[owner])
    return np.bincount(owner, weights=distances) / np.bincount(owner)
