"""Object scores: matched, missed and false houses, by size, with IoU and PoLiS distance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import nan

import numpy as np
import shapely

from geofcn.core.geodesy import Ground
from geofcn.core.metrics import Confusion
from geofcn.evaluation.footprints import Houses
from geofcn.evaluation.matching import Matching, match, polis
from geofcn.evaluation.result import SIZES, Counts, ObjectScores
from geofcn.io.vector_writer import FeatureBatch

MATCHES_COLUMNS = {
    "id": "int64",
    "side": "string",
    "outcome": "string",
    "iou": "float64",
    "area_m2": "float64",
}


@dataclass(frozen=True)
class SideOutcome:
    """What became of the houses of one side; iou is NaN where there is no match."""

    side: str
    polygons: np.ndarray
    areas: np.ndarray
    iou: np.ndarray
    unmatched: str

    @property
    def matched(self) -> np.ndarray:
        """(n,) bool, which of them have a match."""
        return ~np.isnan(self.iou)


def score_objects(
    sides: tuple[Houses, Houses], ground: Ground, iou: float, min_area: float
) -> tuple[ObjectScores, tuple[SideOutcome, SideOutcome]]:
    """Object scores of (predicted, true) houses, and what became of every house.

    Parameters
    ----------
    ground : Ground
        Measures the houses' areas and distances.
    iou : float
        Intersection over union from which two polygons are the same house.
    min_area : float
        Smaller houses of either side are left out, in square metres.
    """
    (prediction, predicted_areas), (truth, true_areas) = (
        _large_enough(side, ground, min_area) for side in sides
    )
    matches = match(prediction.polygons, truth.polygons, iou, prediction.scores)
    predicted = SideOutcome(
        "prediction",
        prediction.polygons,
        predicted_areas,
        _spread(matches.iou, matches.prediction, len(predicted_areas)),
        "fp",
    )
    actual = SideOutcome(
        "truth",
        truth.polygons,
        true_areas,
        _spread(matches.iou, matches.truth, len(true_areas)),
        "fn",
    )
    tp = len(matches)
    total = Confusion(tp, len(predicted_areas) - tp, len(true_areas) - tp)
    scores = ObjectScores(
        precision=total.precision,
        recall=total.recall,
        f1=total.f1,
        tp=total.tp,
        fp=total.fp,
        fn=total.fn,
        mean_iou=float(matches.iou.mean()) if tp else nan,
        polis_m=_mean_polis(prediction.polygons, truth.polygons, matches, ground),
        by_size=_by_size(predicted, actual),
    )
    return scores, (predicted, actual)


def _large_enough(side: Houses, ground: Ground, min_area: float) -> tuple[Houses, np.ndarray]:
    areas, _ = ground.measure(side.polygons)
    large = areas >= min_area
    return side.select(large), areas[large]


def _spread(values: np.ndarray, where: np.ndarray, count: int) -> np.ndarray:
    """(count,) floats: `values` at the indices `where`, NaN elsewhere."""
    spread = np.full(count, nan)
    spread[where] = values
    return spread


def _mean_polis(
    prediction: np.ndarray, truth: np.ndarray, matches: Matching, ground: Ground
) -> float:
    """In metres, each pair on a plane of its own around the truth's centre; NaN without any."""
    if not len(matches):
        return nan
    matched = truth[matches.truth]
    origins = shapely.get_coordinates(shapely.centroid(matched))
    pairs = (
        ground.local_metres(prediction[matches.prediction], origins),
        ground.local_metres(matched, origins),
    )
    return float(polis(*pairs).mean())


def _by_size(prediction: SideOutcome, truth: SideOutcome) -> dict[str, Counts]:
    """tp, fp and fn in each size class."""
    limits = list(SIZES.values())[:-1]

    def count(outcomes: SideOutcome, matched: bool) -> list[int]:
        areas = outcomes.areas[outcomes.matched == matched]
        return np.bincount(np.digitize(areas, limits), minlength=len(SIZES)).tolist()

    columns = count(truth, True), count(prediction, False), count(truth, False)
    return {size: Counts(tp, fp, fn) for size, tp, fp, fn in zip(SIZES, *columns, strict=True)}


def match_features(outcomes: tuple[SideOutcome, SideOutcome]) -> Iterator[FeatureBatch]:
    """The houses of both sides as they are written, predictions first."""
    first = 1
    for one in outcomes:
        count = len(one.polygons)
        columns = {
            "id": np.arange(first, first + count),
            "side": np.full(count, one.side, dtype=object),
            "outcome": np.where(one.matched, "tp", one.unmatched).astype(object),
            "iou": one.iou,
            "area_m2": one.areas,
        }
        first += count
        yield FeatureBatch(one.polygons, columns)
