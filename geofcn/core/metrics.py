"""Confusion counts and the scores that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

import numpy as np

SCORES = ("precision", "recall", "f1", "accuracy", "iou")


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else nan


@dataclass(frozen=True)
class Confusion:
    """Pixels (or objects) by prediction and truth; counts of disjoint parts add up.

    A score whose denominator is 0 is undefined and comes out as NaN.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0
    tn: int = 0

    def __add__(self, other: Confusion) -> Confusion:
        return Confusion(
            self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.tn + other.tn
        )

    @property
    def precision(self) -> float:
        """Share of predicted houses that are houses."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """Share of houses that were found."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def accuracy(self) -> float:
        """Share of pixels given their true class."""
        return _ratio(self.tp + self.tn, self.tp + self.fp + self.fn + self.tn)

    @property
    def iou(self) -> float:
        """Intersection over union of the house class."""
        return _ratio(self.tp, self.tp + self.fp + self.fn)

    def scores(self) -> dict[str, float]:
        """precision, recall, f1, accuracy and iou, as fractions of 1."""
        return {name: getattr(self, name) for name in SCORES}


def confusion(
    predicted: np.ndarray, truth: np.ndarray, counted: np.ndarray | None = None
) -> Confusion:
    """Count two boolean arrays of one shape, over the pixels where `counted` is true (or all)."""
    if counted is None:
        total, hits = predicted.size, predicted & truth
    else:
        predicted, truth = predicted & counted, truth & counted
        total, hits = int(np.count_nonzero(counted)), predicted & truth
    tp = int(np.count_nonzero(hits))
    fp = int(np.count_nonzero(predicted)) - tp
    fn = int(np.count_nonzero(truth)) - tp
    return Confusion(tp, fp, fn, total - tp - fp - fn)


class ScoreCurve:
    """Scores at every threshold, from streamed probabilities.

    Two histograms (houses, background) of the probability in steps of 1/254, as a uint8
    probability raster holds it: the confusion at any of the thresholds between two steps is exact.
    """

    STEPS = 254

    def __init__(self) -> None:
        self.houses = np.zeros(self.STEPS + 1, np.int64)
        self.background = np.zeros(self.STEPS + 1, np.int64)

    def add(self, probability: np.ndarray, truth: np.ndarray, counted: np.ndarray) -> None:
        """Count float probabilities and boolean truth where `counted`."""
        steps = np.rint(probability * np.float32(self.STEPS)).astype(np.uint8)
        self.houses += np.bincount(steps[truth & counted], minlength=self.STEPS + 1)
        self.background += np.bincount(steps[~truth & counted], minlength=self.STEPS + 1)

    def at(self, step: int) -> Confusion:
        """Confusion when a pixel of `step` or more is called a house."""
        tp, fp = int(self.houses[step:].sum()), int(self.background[step:].sum())
        return Confusion(tp, fp, int(self.houses[:step].sum()), int(self.background[:step].sum()))

    def calibration_error(self, bins: int = 15) -> float:
        """Expected calibration error: how far probabilities are from the shares they speak of.

        The mean over all pixels of |mean probability - share of houses| in `bins` equal intervals
        of probability (Naeini et al., 2015); NaN where nothing was counted.
        """
        counts = self.houses + self.background
        steps = np.arange(self.STEPS + 1)
        member = np.minimum(steps * bins // self.STEPS, bins - 1)
        stated = np.bincount(member, counts * steps / self.STEPS, bins)
        there = np.bincount(member, self.houses, bins)
        return _ratio(float(np.abs(stated - there).sum()), int(counts.sum()))

    def f1(self) -> np.ndarray:
        """F1 when a pixel of 0, 1, 2, ... or more steps is called a house; 0 where undefined."""
        tp, fp = (np.cumsum(counts[::-1])[::-1] for counts in (self.houses, self.background))
        return 2 * tp / np.maximum(1, tp + fp + self.houses.sum())

    def __add__(self, other: ScoreCurve) -> ScoreCurve:
        total = ScoreCurve()
        total.houses, total.background = (
            self.houses + other.houses,
            self.background + other.background,
        )
        return total


def best_threshold(curves: Sequence[ScoreCurve]) -> tuple[float, Confusion]:
    """The threshold with the highest F1, the mean over `curves`, and the confusion of all there.

    Each curve is that of a scene: a mean over scenes, and not over their pixels, is what another
    scene may look like, be its houses many or few. Curves without a house do not count. Thresholds
    lie half-way between two steps; of equally good ones that nearest to .5 is taken.
    """
    middle = ScoreCurve.STEPS // 2
    scores = sum((curve.f1() for curve in curves if curve.houses.any()), np.zeros(2 * middle + 1))
    steps = sorted(range(1, 2 * middle + 1), key=lambda step: abs(step - 0.5 - middle))
    best = max(steps, key=lambda step: scores[step])
    confusion = sum((curve.at(best) for curve in curves), Confusion())
    return (best - 0.5) / ScoreCurve.STEPS, confusion
