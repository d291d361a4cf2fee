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
    """Houses of one side with what became of each.

    Attributes
    ----------
    side : {"prediction", "truth"}
        Which side it is.
    polygons : (n,) array
        Footprints.
    areas : (n,) array
        In square metres on the ground.
    iou : (n,) array
        Intersection over union of its match, NaN without one.
    unmatched : {"fp", "fn"}
        What a house without a match is.
    """

    side: str
    polygons: np.ndarray
    areas: np.ndarray
    iou: np.ndarray
    unmatched: str

    @property
    def matched(self) -> np.ndarray:
        """Which houses have a match, (n,) bool."""
        return ~np.isnan(self.iou)


def score_objects(
    sides: tuple[Houses, Houses], ground: Ground, iou: float, min_area: float
) -> tuple[ObjectScores, tuple[SideOutcome, SideOutcome]]:
    """Match predicted with true houses, and score them.

    Parameters
    ----------
    sides : (Houses, Houses)
        Predicted and true ones, in one CRS.
    ground : Ground
        Measures the houses' areas and distances.
    iou : float
        Intersection over union from which two polygons are the same house.
    min_area : float
        Smaller houses of either side are left out, in square metres.

    Returns
    -------
    ObjectScores
        NaN where undefined.
    (SideOutcome, SideOutcome)
        Predicted and true houses, without those that are too small.
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


def _spread(values: np.ndarray, indices: np.ndarray, count: int) -> np.ndarray:
    """`values` at their indices in an array (count,) that is NaN elsewhere."""
    spread = np.full(count, nan)
    spread[indices] = values
    return spread


def _mean_polis(
    prediction: np.ndarray, truth: np.ndarray, matches: Matching, ground: Ground
) -> float:
    """Metres, each pair on a plane of its own around the truth's centre; NaN without a match."""
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
    """Counts in each size class."""
    limits = list(SIZES.values())[:-1]

    def count(outcomes: SideOutcome, matched: bool) -> list[int]:
        areas = outcomes.areas[outcomes.matched == matched]
        return np.bincount(np.digitize(areas, limits), minlength=len(SIZES)).tolist()

    columns = count(truth, True), count(prediction, False), count(truth, False)
    return {size: Counts(tp, fp, fn) for size, tp, fp, fn in zip(SIZES, *columns, strict=True)}


def match_features(outcomes: tuple[SideOutcome, SideOutcome]) -> Iterator[FeatureBatch]:
    """Features of the file of matches, with MATCHES_COLUMNS: predictions, then true houses."""
    first = 1
    for outcome in outcomes:
        count = len(outcome.polygons)
        columns = {
            "id": np.arange(first, first + count),
            "side": np.full(count, outcome.side, dtype=object),
            "outcome": np.where(outcome.matched, "tp", outcome.unmatched).astype(object),
            "iou": outcome.iou,
            "area_m2": outcome.areas,
        }
        first += count
        yield FeatureBatch(outcome.polygons, columns)
