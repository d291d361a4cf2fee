"""Matching of predicted and true houses by their overlap, and PoLiS distance of outlines.

Houses come from top to bottom, some at a time, and leave when all that may overlap them has come:
what is in memory are those on the line between. Polygons are valid shapely Polygons in one plane.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf, nan

import numpy as np
import shapely

from geofcn.core.ragged import Rings
from geofcn.evaluation.overlaps import HALF, SLACK, Overlaps, in_threads, overlaps
from geofcn.evaluation.sorted_houses import SortedHouses, worst_last
from geofcn.io.polygon_store import NumberedPolygons

# Houses that are taken at once, at least.
TAKEN = 16_384


@dataclass(frozen=True)
class Outcomes:
    """Houses of one side, and what became of them.

    Attributes
    ----------
    houses : NumberedPolygons
        The houses.
    iou : (n,) array
        Intersection over union of the match of each, NaN without one.
    holds : (n,) int array
        How many houses of the other side lie in each by more than half of themselves. A prediction
        that holds several is merged, a truth that does is split.
    within : (n,) int array
        In how many houses of the other side each lies by more than half of itself.
    """

    houses: NumberedPolygons
    iou: np.ndarray
    holds: np.ndarray
    within: np.ndarray

    @classmethod
    def unknown(cls, houses: NumberedPolygons) -> Outcomes:
        """Of houses that nothing is known of."""
        count = len(houses)
        return cls(houses, np.full(count, nan), np.zeros(count, int), np.zeros(count, int))

    def __len__(self) -> int:
        return len(self.houses)

    @property
    def is_matched(self) -> np.ndarray:
        """(n,) bool, whether each has a match."""
        return ~np.isnan(self.iou)

    @property
    def holds_several(self) -> np.ndarray:
        """(n,) bool, whether each is merged, or split."""
        return self.holds > 1

    def select(self, chosen: np.ndarray) -> Outcomes:
        """Those chosen by a boolean array."""
        return Outcomes(
            self.houses.select(chosen), self.iou[chosen], self.holds[chosen], self.within[chosen]
        )

    def followed_by(self, houses: NumberedPolygons) -> Outcomes:
        """These, and houses that nothing is known of."""
        new = Outcomes.unknown(houses)
        return Outcomes(
            NumberedPolygons.joined([self.houses, houses]),
            np.concatenate([self.iou, new.iou]),
            np.concatenate([self.holds, new.holds]),
            np.concatenate([self.within, new.within]),
        )


@dataclass(frozen=True)
class Matched:
    """Houses whose outcome is known.

    Attributes
    ----------
    prediction, truth : Outcomes
        Those of either side.
    pairs : (p, 2) int array
        The matches among them: indices of a prediction and a truth.
    """

    prediction: Outcomes
    truth: Outcomes
    pairs: np.ndarray


@dataclass(frozen=True)
class _Pairs:
    """Pairs of houses that overlap enough, by their indices, and how much they do."""

    p: np.ndarray
    t: np.ndarray
    iou: np.ndarray

    def followed_by(self, found: Overlaps) -> _Pairs:
        columns = zip(_columns(self), (found.p, found.t, found.iou), strict=True)
        return _Pairs(*map(np.concatenate, columns))

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
    is yet to come can reach them. So the matches are those of all houses at once. A house leaves
    when none that is yet to come can reach it, so what it holds is known by then.
    """
    nothing = Outcomes.unknown(NumberedPolygons.joined([]))
    waiting = nothing, nothing
    pairs = _Pairs(np.zeros(0, int), np.zeros(0, int), np.zeros(0))
    for line, *new in _strips(prediction, truth):
        p, t = (side.followed_by(houses) for side, houses in zip(waiting, new, strict=True))
        found = _new_overlaps(p, t, least, tuple(map(len, waiting)))
        _count(found, p, t)
        pairs = pairs.followed_by(found.select(found.iou >= least - SLACK))
        over = tuple(
            shapely.bounds(side.houses.polygons).reshape(-1, 4)[:, 1] >= line for side in (p, t)
        )
        served, pairs = _serve(pairs, p.houses, t.houses, over)
        p.iou[served.p] = t.iou[served.t] = served.iou
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


def _new_overlaps(p: Outcomes, t: Outcomes, least: float, olds: tuple[int, ...]) -> Overlaps:
    """The overlaps that were not seen before, when the first `olds` of each side were there."""
    ps, ts, (old_p, old_t) = p.houses.polygons, t.houses.polygons, olds
    first, second = overlaps(ps[old_p:], ts, least), overlaps(ps[:old_p], ts[old_t:], least)
    return Overlaps(
        np.concatenate([first.p + old_p, second.p]),
        np.concatenate([first.t, second.t + old_t]),
        np.concatenate([first.iou, second.iou]),
        np.concatenate([first.p_share, second.p_share]),
        np.concatenate([first.t_share, second.t_share]),
    )


def _count(found: Overlaps, p: Outcomes, t: Outcomes) -> None:
    """Add what lies by more than half in what to the counts of both sides."""
    t_in_p, p_in_t = found.t_share > HALF, found.p_share > HALF
    for counts, members in (
        (p.holds, found.p[t_in_p]),
        (t.within, found.t[t_in_p]),
        (t.holds, found.t[p_in_t]),
        (p.within, found.p[p_in_t]),
    ):
        counts += np.bincount(members, minlength=len(counts))


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
    p: Outcomes, t: Outcomes, served: _Pairs, leaves: tuple[np.ndarray, np.ndarray]
) -> Matched:
    pairs = np.column_stack([_renumbered(served.p, leaves[0]), _renumbered(served.t, leaves[1])])
    return Matched(p.select(leaves[0]), t.select(leaves[1]), pairs[np.argsort(pairs[:, 0])])


def _renumbered(indices: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Indices of what is kept, when all that is not has gone."""
    return (np.cumsum(kept) - 1)[indices]


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
    return in_threads(_polis, first, second)


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
