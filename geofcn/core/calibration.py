"""Calibrated probabilities, the share of houses they let expect, and the threshold that fits it.

And calibrated scores of footprints.

Histograms are (255,) arrays: how many pixels have a probability of 0, 1, 2, ... 254 steps, as
`geofcn.core.pixels.quantise` rounds it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from geofcn.core.metrics import ScoreCurve
from geofcn.core.pixels import PROBABILITY_STEPS

# The first and the last step hold half as many probabilities as the others: their middles lie this
# far inside.
_END = 0.25 / PROBABILITY_STEPS

# Shares nearer to 0 or 1 are not told apart.
LEAST_SHARE = 1e-6
# Of Newton's method and of expectation maximisation: steps at the most, and when to stop before.
NEWTON_STEPS, EM_STEPS, SETTLED = 100, 1000, 1e-9


def _finite_log_odds(probability: np.ndarray) -> np.ndarray:
    """Log odds of probabilities; 0 and 1 are taken for the middles of their steps."""
    inside = np.clip(probability, _END, 1 - _END)
    return np.asarray(np.log(inside / (1 - inside)))


# Of each step.
LOG_ODDS = _finite_log_odds(np.arange(PROBABILITY_STEPS + 1) / PROBABILITY_STEPS)


@dataclass(frozen=True)
class Calibration:
    """How a model's probabilities become ones that can be counted on.

    Attributes
    ----------
    slope, offset : float
        Calibrated log odds are slope * log odds + offset (Platt, 1999); the slope is above 0.
    share : float
        Share of houses among the pixels that it was fitted to, between 0 and 1.
    """

    slope: float
    offset: float
    share: float

    def probabilities(self, share: float) -> np.ndarray:
        """Probability of a house at each step, (255,), where a share of the pixels are houses.

        Where it is not the share of the fit, the odds change by the ratio of the odds of the two
        (Saerens, Latinne and Decaestecker, Neural Computation 14, 2002).
        """
        shift = _log_odds(share) - _log_odds(self.share)
        return _probability(self.slope * LOG_ODDS + self.offset + shift)

    def towards(self, share: float, part: float) -> float:
        """A share that lies `part` of the way, in log odds, from that of the fit to `share`.

        Examples
        --------
        >>> round(Calibration(1.0, 0.0, 0.1).towards(0.5, part=0.5), 3)
        0.25
        """
        start = _log_odds(self.share)
        return float(_probability(np.array(start + part * (_log_odds(share) - start))))


def fit_calibration(curve: ScoreCurve) -> Calibration | None:
    """The calibration of the probabilities of labelled pixels.

    Parameters
    ----------
    curve : ScoreCurve
        The histograms of houses and of background.

    Returns
    -------
    Calibration or None
        None where one of the classes has no pixel, or where houses are not the more probable ones.

    Notes
    -----
    The likeliest slope and offset, by Newton's method whose steps are halved until they gain. A
    normal prior around 1 and 0, worth about a pixel, bounds them where the classes are separate.
    """
    if not (curve.houses.any() and curve.background.any()):
        return None
    counts = curve.houses + curve.background
    slope, offset = _fit(LOG_ODDS, curve.houses, counts)
    share = float(curve.houses.sum() / counts.sum())
    return Calibration(slope, offset, share) if slope > 0 else None


def expected_share(histogram: np.ndarray, calibration: Calibration) -> float:
    """The share of houses that makes the probabilities of an unlabelled scene the likeliest.

    Parameters
    ----------
    histogram : (255,) array of int
        Of the scene's pixels that are not blank.
    calibration : Calibration
        Of the model that gave the probabilities.

    Returns
    -------
    float
        Between 0 and 1; that of the calibration where the histogram is empty.

    Notes
    -----
    Expectation maximisation (Saerens, Latinne and Decaestecker, 2002): the share is the mean of the
    probabilities that it implies. It assumes that houses look as where the calibration was fitted,
    only more or fewer of them. The likelihood is concave in the share, so there is one maximum.

    Examples
    --------
    >>> histogram = np.zeros(255, int)
    >>> histogram[[0, 254]] = 75, 25
    >>> round(expected_share(histogram, Calibration(4.0, 0.0, 0.5)), 3)
    0.25
    """
    pixels, share = histogram.sum(), calibration.share
    if not pixels:
        return share
    for _ in range(EM_STEPS):
        previous, share = share, float(histogram @ calibration.probabilities(share) / pixels)
        if abs(share - previous) <= SETTLED:
            break
    return share


def scene_threshold(histogram: np.ndarray, calibration: Calibration, share: float) -> float:
    """The threshold of the model's own probabilities with the highest F1 to be expected.

    Parameters
    ----------
    histogram : (255,) array of int
        Of the scene's pixels that are not blank.
    calibration : Calibration
        Of the model that gave the probabilities.
    share : float
        Of houses among the pixels, see `expected_share`.

    Returns
    -------
    float
        Half-way between two of the 254 steps; of equally good ones that nearest to .5.

    Notes
    -----
    The F1 of the expected counts: a pixel called a house is a true positive by its probability, and
    a false one by the rest.

    Examples
    --------
    >>> histogram = np.zeros(255, int)
    >>> histogram[[20, 100, 200]] = 10, 10, 10
    >>> 254 * scene_threshold(histogram, Calibration(1.0, 0.0, 0.5), 0.5)
    99.5
    """
    houses = histogram * calibration.probabilities(share)
    tp, called = (np.cumsum(counts[::-1])[::-1] for counts in (houses, histogram))
    f1 = 2 * tp / np.maximum(1, called + houses.sum())
    # `max` takes the first of equal ones: the one nearest to .5.
    nearest = sorted(
        range(1, PROBABILITY_STEPS + 1), key=lambda step: abs(step - 0.5 - PROBABILITY_STEPS / 2)
    )
    best = max(nearest, key=lambda step: f1[step])
    return (best - 0.5) / PROBABILITY_STEPS


@dataclass(frozen=True)
class ScoreCalibration:
    """How the mean probability of a footprint becomes the chance that it is right.

    Attributes
    ----------
    slope, offset : float
        Log odds of the score are slope * log odds of the mean probability + offset (Platt, 1999);
        the slope is above 0.

    Examples
    --------
    >>> ScoreCalibration(1.0, -2.0).score(np.array([0.5, 1.0])).round(3)
    array([0.119, 0.993])
    """

    slope: float
    offset: float

    def score(self, probability: np.ndarray) -> np.ndarray:
        """Scores, 0 to 1, of mean probabilities, (n,); NaN stays NaN."""
        with np.errstate(invalid="ignore"):
            return _probability(self.slope * _finite_log_odds(probability) + self.offset)


def fit_scores(probability: np.ndarray, right: np.ndarray) -> ScoreCalibration | None:
    """The calibration of the scores of footprints of which it is known whether they are right.

    Parameters
    ----------
    probability : (n,) array
        Mean probability of each footprint, 0 to 1.
    right : (n,) array of bool
        Whether it is a house.

    Returns
    -------
    ScoreCalibration or None
        Fitted as in `fit_calibration`; None without footprints, or where the right ones are not
        the more probable ones.
    """
    if not len(right):
        return None
    slope, offset = _fit(_finite_log_odds(probability), right, np.ones(len(right)))
    return ScoreCalibration(slope, offset) if slope > 0 else None


def _fit(log_odds: np.ndarray, hits: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
    """Slope and offset that make `hits` among `counts` at each of the log odds, (n,), likeliest."""
    inputs = np.stack([log_odds, np.ones_like(log_odds)], axis=1)
    prior = np.array([1.0, 0.0])

    def loss(point: np.ndarray) -> float:
        fitted = inputs @ point
        misfit = counts @ np.logaddexp(0, fitted) - hits @ fitted
        return float(misfit + ((point - prior) ** 2).sum() / 2)

    point = prior
    for _ in range(NEWTON_STEPS):
        probability = _probability(inputs @ point)
        gradient = (counts * probability - hits) @ inputs + point - prior
        weights = counts * probability * (1 - probability)
        step = np.linalg.solve(inputs.T * weights @ inputs + np.eye(2), gradient)
        while loss(point - step) > loss(point) and np.abs(step).max() > SETTLED:
            step = step / 2
        point = point - step
        if np.abs(step).max() <= SETTLED:
            break
    return float(point[0]), float(point[1])


def _log_odds(share: float) -> float:
    share = min(max(share, LEAST_SHARE), 1 - LEAST_SHARE)
    return float(np.log(share / (1 - share)))


def _probability(log_odds: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -log_odds))
