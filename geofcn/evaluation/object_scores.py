"""Object scores: matched, missed and false houses, by size, with IoU and PoLiS distance."""

from __future__ import annotations

from collections.abc import Iterator
from math import fsum, nan

import numpy as np
import shapely

from geofcn.core.geodesy import Ground
from geofcn.core.metrics import Confusion
from geofcn.evaluation.matching import Matched, polis
from geofcn.evaluation.result import SIZES, Counts, ObjectScores
from geofcn.io.polygon_store import NumberedPolygons, PolygonStore, Slot
from geofcn.io.vector_writer import FeatureBatch

MATCHES_COLUMNS = {
    "id": "int64",
    "side": "string",
    "outcome": "string",
    "iou": "float64",
    "area_m2": "float64",
}
# A side, and what a house of it without a match is.
SIDES = {"prediction": "fp", "truth": "fn"}


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

    def add(self, matched: Matched) -> None:
        """Count some houses."""
        predicted, true = (
            np.digitize(self._ground.measure(side.polygons)[0], list(SIZES.values())[:-1])
            for side in (matched.prediction, matched.truth)
        )
        is_right, is_found = ~np.isnan(matched.predicted_iou), ~np.isnan(matched.true_iou)
        classes = true[is_found], predicted[~is_right], true[~is_found]
        for column, sizes in enumerate(classes):
            self._counts[:, column] += np.bincount(sizes, minlength=len(SIZES))
        self._iou.append(fsum(matched.true_iou[is_found]))
        self._polis.append(self._polis_sum(matched))

    def _polis_sum(self, matched: Matched) -> float:
        """Metres, each pair on a plane of its own around the truth's centre."""
        if not len(matched.pairs):
            return 0.0
        p, t = matched.pairs.T
        true = matched.truth.polygons[t]
        origins = shapely.get_coordinates(shapely.centroid(true))
        pairs = (
            self._ground.local_metres(matched.prediction.polygons[p], origins),
            self._ground.local_metres(true, origins),
        )
        return fsum(polis(*pairs))

    def scores(self) -> ObjectScores:
        """Of all houses so far; NaN where undefined."""
        tp, fp, fn = self._counts.sum(axis=0).tolist()
        total = Confusion(tp, fp, fn)
        return ObjectScores(
            precision=total.precision,
            recall=total.recall,
            f1=total.f1,
            tp=tp,
            fp=fp,
            fn=fn,
            mean_iou=fsum(self._iou) / tp if tp else nan,
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
        sides = (
            (matched.prediction, matched.predicted_iou),
            (matched.truth, matched.true_iou),
        )
        for slots, (houses, iou) in zip(self._slots.values(), sides, strict=True):
            if not len(houses):
                continue
            kept = NumberedPolygons(houses.polygons, iou, houses.numbers)
            slots.append(self._store.put(kept))

    def features(self, ground: Ground) -> Iterator[FeatureBatch]:
        """Features with MATCHES_COLUMNS, from top to bottom: predictions, then true houses."""
        first = 1
        for side, slots in self._slots.items():
            for slot in slots:
                houses = self._store.get(slot)
                iou, count = houses.scores, len(houses)
                columns = {
                    "id": np.arange(first, first + count),
                    "side": np.full(count, side, dtype=object),
                    "outcome": np.where(np.isnan(iou), SIDES[side], "tp").astype(object),
                    "iou": iou,
                    "area_m2": ground.measure(houses.polygons)[0],
                }
                first += count
                yield FeatureBatch(houses.polygons, columns)
