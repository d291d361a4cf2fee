"""Confusion counts, precision, recall, F1, accuracy and IoU, and the best threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

import numpy as np

from geofcn.core.pixels import PROBABILITY_STEPS, quantise

SCORES = ("precision", "recall", "f1", "accuracy", "iou")


def _ratio(part: float, whole: int) -> float:
    return part / whole if whole else nan


@dataclass(frozen=True)
class Confusion:
    """Pixels, or objects, counted by prediction and truth; counts of disjoint parts add up.

    A score whose denominator is 0 is undefined and comes out as NaN.

    Attributes
    ----------
    tp, fp, fn, tn : int
        True positives (houses predicted as such), false positives, false negatives and true
        negatives.

    Examples
    --------
    >>> total = Confusion(tp=3, fp=1) + Confusion(fn=2)
    >>> total.precision, total.recall
    (0.75, 0.6)
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
        """Share of predicted houses that are houses: tp / (tp + fp)."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """Share of houses that were found: tp / (tp + fn)."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall: 2 tp / (2 tp + fp + fn)."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def accuracy(self) -> float:
        """Share of pixels given their true class: (tp + tn) / all."""
        return _ratio(self.tp + self.tn, self.tp + self.fp + self.fn + self.tn)

    @property
    def iou(self) -> float:
        """Intersection over union of the house class: tp / (tp + fp + fn)."""
        return _ratio(self.tp, self.tp + self.fp + self.fn)

    def scores(self) -> dict[str, float]:
        """precision, recall, f1, accuracy and iou, as fractions of 1."""
        return {name: getattr(self, name) for name in SCORES}


def confusion(
    predicted: np.ndarray, truth: np.ndarray, counted: np.ndarray | None = None
) -> Confusion:
    """Confusion counts of two boolean arrays.

    Parameters
    ----------
    predicted, truth : array of bool
        True where a pixel is a house; of one shape.
    counted : array of bool, optional
        The pixels that are counted; default: all.

    Examples
    --------
    >>> confusion(np.array([True, True, False]), np.array([True, False, False]))
    Confusion(tp=1, fp=1, fn=0, tn=1)
    """
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

    Two histograms of the probability in steps of 1/254, as a uint8 probability raster holds it
    (`geofcn.core.pixels.quantise`): the confusion at any threshold half-way between two steps is
    exact. Curves of disjoint parts add up.

    Attributes
    ----------
    houses, background : (255,) array of int64
        How many pixels of each class have a probability of 0, 1, 2, ... 254 steps.

    Examples
    --------
    >>> curve = ScoreCurve()
    >>> probability = np.array([0.2, 0.6, 0.9], np.float32)
    >>> curve.add(probability, probability > 0.5, np.ones(3, bool))
    >>> curve.at(127)
    Confusion(tp=2, fp=0, fn=0, tn=1)
    """

    STEPS = PROBABILITY_STEPS

    def __init__(self) -> None:
        self.houses = np.zeros(self.STEPS + 1, np.int64)
        self.background = np.zeros(self.STEPS + 1, np.int64)

    def add(self, probability: np.ndarray, truth: np.ndarray, counted: np.ndarray) -> None:
        """Count pixels.

        Parameters
        ----------
        probability : array of float32
            From 0 to 1.
        truth, counted : array of bool
            Which pixels are houses, and which are counted; of the same shape.
        """
        steps = quantise(probability)
        self.houses += np.bincount(steps[truth & counted], minlength=self.STEPS + 1)
        self.background += np.bincount(steps[~truth & counted], minlength=self.STEPS + 1)

    def at(self, step: int) -> Confusion:
        """Confusion when a pixel of `step` or more steps is called a house; `step`: 0 to 255."""
        tp, fp = int(self.houses[step:].sum()), int(self.background[step:].sum())
        return Confusion(tp, fp, int(self.houses[:step].sum()), int(self.background[:step].sum()))

    def calibration_error(self, bins: int = 15) -> float:
        """Expected calibration error (Naeini et al., 2015), from 0 to 1; NaN without pixels.

        The mean over all pixels of |mean probability - share of houses| in `bins` equal intervals
        of probability.
        """
        counts = self.houses + self.background
        steps = np.arange(self.STEPS + 1)
        member = np.minimum(steps * bins // self.STEPS, bins - 1)
        expected = np.bincount(member, counts * steps / self.STEPS, bins)
        houses = np.bincount(member, self.houses, bins)
        return _ratio(float(np.abs(expected - houses).sum()), int(counts.sum()))

    def f1(self) -> np.ndarray:
        """F1, (255,): when a pixel of 0, 1, 2, ... or more steps is called a house; 0 for NaN."""
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
    """The threshold with the highest F1, as a mean over scenes.

    Parameters
    ----------
    curves : sequence of ScoreCurve
        One per scene. Those without a house do not count.

    Returns
    -------
    threshold : float
        Half-way between two of the 254 steps; of equally good ones that nearest to .5.
    total : Confusion
        Counts of all scenes at that threshold.

    Notes
    -----
    A mean over scenes, and not over their pixels, is what another scene may look like, be its
    houses many or few.
    """
    steps = PROBABILITY_STEPS
    f1 = sum((curve.f1() for curve in curves if curve.houses.any()), np.zeros(steps + 1))
    # `max` takes the first of equal ones: the one nearest to .5.
    candidates = sorted(range(1, steps + 1), key=lambda step: abs(step - 0.5 - steps / 2))
    best = max(candidates, key=lambda step: f1[step])
    total = sum((curve.at(best) for curve in curves), Confusion())
    return (best - 0.5) / steps, total
