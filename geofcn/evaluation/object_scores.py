"""Object scores: matched, missed, false, merged and split houses, by size, with IoU and PoLiS."""

from __future__ import annotations

from collections.abc import Iterator
from math import fsum, nan

import numpy as np
import shapely

from geofcn.core.geodesy import Ground
from geofcn.core.metrics import Confusion
from geofcn.evaluation.matching import Matched, Outcomes, polis
from geofcn.evaluation.result import SIZES, Counts, ObjectScores
from geofcn.io.polygon_store import NumberedPolygons, PolygonStore, Slot
from geofcn.io.vector_writer import FeatureBatch

MATCHES_COLUMNS = {
    "id": "int64",
    "side": "string",
    "outcome": "string",
    "grouping": "string",
    "holds": "int64",
    "within": "int64",
    "iou": "float64",
    "area_m2": "float64",
}
# No house lies in as many others.
COUNTS = 2**31
# A side, and what a house of it without a match is.
SIDES = {"prediction": "fp", "truth": "fn"}
# A side, and what a house of it is that holds several of the other side.
GROUPINGS = {"prediction": "merged", "truth": "split"}


class ObjectCounter:
    """Counts matched, missed and false houses as they come, and keeps sums for the means.

    Parameters
    ----------
    ground : Ground
        Measures the houses' areas and distances.
    """

    def __init__(self, ground: Ground):
        self._ground = ground
        # For each size class: matched, false and missed.
        self._counts = np.zeros((len(SIZES), 3), np.int64)
        self._iou: list[float] = []
        self._polis: list[float] = []
        self._merged = self._split = 0

    def add(self, matched: Matched) -> None:
        """Count some houses."""
        predicted, true = (
            np.digitize(self._ground.measure(side.houses.polygons)[0], list(SIZES.values())[:-1])
            for side in (matched.prediction, matched.truth)
        )
        is_right, is_found = matched.prediction.is_matched, matched.truth.is_matched
        classes = true[is_found], predicted[~is_right], true[~is_found]
        for column, sizes in enumerate(classes):
            self._counts[:, column] += np.bincount(sizes, minlength=len(SIZES))
        self._merged += int(np.count_nonzero(matched.prediction.holds_several))
        self._split += int(np.count_nonzero(matched.truth.holds_several))
        self._iou.append(fsum(matched.truth.iou[is_found]))
        self._polis.append(self._polis_sum(matched))

    def _polis_sum(self, matched: Matched) -> float:
        """Metres, each pair on a plane of its own around the truth's centre."""
        if not len(matched.pairs):
            return 0.0
        p, t = matched.pairs.T
        true = matched.truth.houses.polygons[t]
        origins = shapely.get_coordinates(shapely.centroid(true))
        pairs = (
            self._ground.local_metres(matched.prediction.houses.polygons[p], origins),
            self._ground.local_metres(true, origins),
        )
        return fsum(polis(*pairs))

    def scores(self) -> ObjectScores:
        """Of all houses so far; NaN where undefined."""
        tp, fp, fn = self._counts.sum(axis=0).tolist()
        total, iou = Confusion(tp, fp, fn), fsum(self._iou)
        return ObjectScores(
            precision=total.precision,
            recall=total.recall,
            f1=total.f1,
            tp=tp,
            fp=fp,
            fn=fn,
            mean_iou=iou / tp if tp else nan,
            pq=iou / (tp + (fp + fn) / 2) if tp + fp + fn else nan,
            sq=iou / tp if tp else nan,
            rq=total.f1,
            merged=self._merged,
            split=self._split,
            polis_m=fsum(self._polis) / tp if tp else nan,
            by_size={
                size: Counts(*row) for size, row in zip(SIZES, self._counts.tolist(), strict=True)
            },
        )


class MatchFeatures:
    """Keeps houses with their outcome for the file of matches, on disk where they are many."""

    def __init__(self) -> None:
        self._store = PolygonStore()
        self._slots: dict[str, list[Slot]] = {side: [] for side in SIDES}

    def add(self, matched: Matched) -> None:
        """Keep some houses."""
        sides = matched.prediction, matched.truth
        for slots, side in zip(self._slots.values(), sides, strict=True):
            if len(side):
                slots.append(self._store.put(_packed(side)))

    def features(self, ground: Ground) -> Iterator[FeatureBatch]:
        """Features with MATCHES_COLUMNS, from top to bottom: predictions, then true houses."""
        first = 1
        for side, slots in self._slots.items():
            for slot in slots:
                outcomes = _unpacked(self._store.get(slot))
                polygons, count = outcomes.houses.polygons, len(outcomes)
                grouping = np.full(count, None)
                grouping[outcomes.holds_several] = GROUPINGS[side]
                columns = {
                    "id": np.arange(first, first + count),
                    "side": np.full(count, side, dtype=object),
                    "outcome": np.where(outcomes.is_matched, "tp", SIDES[side]).astype(object),
                    "grouping": grouping,
                    "holds": outcomes.holds,
                    "within": outcomes.within,
                    "iou": outcomes.iou,
                    "area_m2": ground.measure(polygons)[0],
                }
                first += count
                yield FeatureBatch(polygons, columns)


def _packed(outcomes: Outcomes) -> NumberedPolygons:
    """Houses as a store keeps them, with the IoU for a score, and both counts for a number."""
    counts = outcomes.holds * COUNTS + outcomes.within
    return NumberedPolygons(outcomes.houses.polygons, outcomes.iou, counts)


def _unpacked(kept: NumberedPolygons) -> Outcomes:
    return Outcomes(kept, kept.scores, *np.divmod(kept.numbers, COUNTS))
