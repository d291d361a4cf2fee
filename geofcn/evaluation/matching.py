"""Matching of predicted and true polygons by their overlap, and PoLiS distance of outlines.

Polygons are valid shapely Polygons, in arrays (n,), all in one plane.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import shapely

from geofcn.core.ragged import Rings, intersection_over_union
from geofcn.core.windows import ceil_div
from geofcn.runtime import cores

# Coordinates are rounded: an overlap of exactly the least one must not fail for their last digit.
SLACK = 1e-7
# Pairs of polygons that a thread takes on at once.
PAIRS_AT_ONCE = 4096


@dataclass(frozen=True)
class Matching:
    """Pairs of a prediction and a truth, each in one pair at most, in the predictions' order.

    Attributes
    ----------
    prediction, truth : (m,) int array
        Indices of a pair's polygons.
    iou : (m,) array
        Intersection over union of a pair, above 0 and up to 1.
    """

    prediction: np.ndarray
    truth: np.ndarray
    iou: np.ndarray

    def __len__(self) -> int:
        return len(self.iou)


def match(
    prediction: np.ndarray,
    truth: np.ndarray,
    least: float = 0.5,
    scores: np.ndarray | None = None,
) -> Matching:
    """Match predicted with true polygons by intersection over union, as SpaceNet does.

    Predictions choose one after the other, in the order of descending scores: each takes the
    truth, of those still free, with which its intersection over union is highest, if that is
    `least` or more (Van Etten et al., 2018). Among predictions of equal scores, or without any,
    the pair that overlaps most comes first.

    Parameters
    ----------
    prediction, truth : (n,) and (m,) array
        Polygons.
    least : float
        Intersection over union from which a pair matches, above 0 and up to 1.
    scores : (n,) array, optional
        Of the predictions; NaN is last.

    Examples
    --------
    >>> truth = np.array([shapely.box(0, 0, 4, 1), shapely.box(9, 9, 10, 10)])
    >>> prediction = np.array([shapely.box(0, 0, 2, 1), shapely.box(0, 0, 3, 1)])
    >>> match(prediction, truth)
    Matching(prediction=array([1]), truth=array([0]), iou=array([0.75]))
    >>> match(prediction, truth, scores=np.array([0.9, 0.4]))
    Matching(prediction=array([0]), truth=array([0]), iou=array([0.5]))
    """
    p, t, iou = _overlaps(prediction, truth, least)
    rank = np.zeros(len(prediction)) if scores is None else np.nan_to_num(-scores, nan=np.inf)
    order = np.lexsort((t, p, -iou, rank[p]))
    chosen = order[_first_come(p[order], t[order], len(prediction), len(truth))]
    chosen = chosen[np.argsort(p[chosen])]
    return Matching(p[chosen], t[chosen], iou[chosen])


def _overlaps(
    prediction: np.ndarray, truth: np.ndarray, least: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All pairs (prediction, truth) whose intersection over union is `least` or more, and it."""
    p, t = shapely.STRtree(truth).query(prediction)
    area_p, area_t = shapely.area(prediction)[p], shapely.area(truth)[t]
    # No intersection is larger than that of the boxes: most pairs need no overlay.
    boxes = shapely.bounds(prediction).reshape(-1, 4)[p], shapely.bounds(truth).reshape(-1, 4)[t]
    low, high = np.maximum(*boxes)[:, :2], np.minimum(*boxes)[:, 2:]
    bound = np.minimum((high - low).prod(axis=1), np.minimum(area_p, area_t))
    possible = bound >= (least - SLACK) * (area_p + area_t - bound)
    p, t = p[possible], t[possible]
    iou = _in_threads(intersection_over_union, prediction[p], truth[t])
    overlapping = (iou > 0) & (iou >= least - SLACK)
    return p[overlapping], t[overlapping], iou[overlapping]


def _in_threads(function: Callable[..., np.ndarray], *pairs: np.ndarray) -> np.ndarray:
    """function(first, second) of arrays (n,) of polygons, in parts side by side.

    Threads do: GEOS lets go of Python's lock.
    """
    count = max(1, ceil_div(len(pairs[0]), PAIRS_AT_ONCE))
    parts = [np.array_split(array, count) for array in pairs]
    with ThreadPoolExecutor(cores()) as pool:
        return np.concatenate(list(pool.map(function, *parts)))


def _first_come(p: np.ndarray, t: np.ndarray, predictions: int, truths: int) -> np.ndarray:
    """The pairs that are served, when each in turn is if both its partners are still free.

    A pair is sure to be served when no earlier one has either partner; those are served all at
    once, the pairs they spoil fall out, and so on. Houses hardly ever need a second round.
    """
    free_p, free_t = np.ones(predictions, bool), np.ones(truths, bool)
    served = []
    waiting = np.arange(len(p))
    while len(waiting):
        sure = waiting[_is_first(p[waiting]) & _is_first(t[waiting])]
        served.append(sure)
        free_p[p[sure]] = free_t[t[sure]] = False
        waiting = waiting[free_p[p[waiting]] & free_t[t[waiting]]]
    return np.concatenate(served) if served else waiting


def _is_first(values: np.ndarray) -> np.ndarray:
    """Whether each value occurs for the first time."""
    first = np.zeros(len(values), bool)
    first[np.unique(values, return_index=True)[1]] = True
    return first


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
