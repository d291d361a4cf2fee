"""Object scores: matched, missed and false houses, by size, with IoU and PoLiS distance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf, nan

import numpy as np
import shapely

from geofcn.core.geodesy import Ground
from geofcn.core.metrics import Confusion
from geofcn.evaluation.footprints import (
    Side,
)
from geofcn.evaluation.matching import Matching, match, polis
from geofcn.io.vector_writer import FeatureBatch

# Size class -> what a footprint of it is smaller than, in square metres.
SIZES = {"small": 50.0, "medium": 200.0, "large": inf}


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
        return ~np.isnan(self.iou)


def score_objects(
    sides: tuple[Side, Side], ground: Ground, iou: float, min_area: float
) -> tuple[dict, tuple[SideOutcome, SideOutcome]]:
    """Object scores, and the outcome on every house."""
    (prediction, predicted_areas), (truth, true_areas) = (
        _large_enough(side, ground, min_area) for side in sides
    )
    found = match(prediction.polygons, truth.polygons, iou, prediction.scores)
    outcomes = (
        SideOutcome(
            "prediction",
            prediction.polygons,
            predicted_areas,
            _spread(found.iou, found.prediction, len(predicted_areas)),
            "fp",
        ),
        SideOutcome(
            "truth",
            truth.polygons,
            true_areas,
            _spread(found.iou, found.truth, len(true_areas)),
            "fn",
        ),
    )
    total = Confusion(len(found), len(predicted_areas) - len(found), len(true_areas) - len(found))
    scores = {
        "precision": total.precision,
        "recall": total.recall,
        "f1": total.f1,
        "tp": total.tp,
        "fp": total.fp,
        "fn": total.fn,
        "mean_iou": float(found.iou.mean()) if len(found) else nan,
        "polis_m": _mean_polis(prediction.polygons, truth.polygons, found, ground),
        "by_size": _by_size(*outcomes),
    }
    return scores, outcomes


def _large_enough(side: Side, ground: Ground, min_area: float) -> tuple[Side, np.ndarray]:
    areas, _ = ground.measure(side.polygons)
    kept = areas >= min_area
    return side.select(kept), areas[kept]


def _spread(values: np.ndarray, where: np.ndarray, count: int) -> np.ndarray:
    """(count,) floats: `values` at the indices `where`, NaN elsewhere."""
    spread = np.full(count, nan)
    spread[where] = values
    return spread


def _mean_polis(
    prediction: np.ndarray, truth: np.ndarray, found: Matching, ground: Ground
) -> float:
    """In metres, each pair on a plane of its own around the truth's centre; NaN without any."""
    if not len(found):
        return nan
    matched = truth[found.truth]
    origins = shapely.get_coordinates(shapely.centroid(matched))
    pairs = (
        ground.local_metres(prediction[found.prediction], origins),
        ground.local_metres(matched, origins),
    )
    return float(polis(*pairs).mean())


def _by_size(prediction: SideOutcome, truth: SideOutcome) -> dict[str, dict[str, int]]:
    """tp, fp and fn in each size class."""
    limits = list(SIZES.values())[:-1]

    def count(outcomes: SideOutcome, matched: bool) -> list[int]:
        areas = outcomes.areas[outcomes.matched == matched]
        return np.bincount(np.digitize(areas, limits), minlength=len(SIZES)).tolist()

    columns = count(truth, True), count(prediction, False), count(truth, False)
    return {
        size: {"tp": tp, "fp": fp, "fn": fn}
        for size, tp, fp, fn in zip(SIZES, *columns, strict=True)
    }


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
