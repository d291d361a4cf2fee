import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from geofcn.metrics import SCORES, Confusion, ScoreCurve, confusion
from geofcn.pixels import classify, quantise

PREDICTED = np.array([[1, 1, 1, 0], [0, 0, 0, 0]], bool)
TRUTH = np.array([[1, 0, 0, 1], [0, 0, 0, 1]], bool)


def test_scores_by_hand():
    counts = confusion(PREDICTED, TRUTH)
    assert counts == Confusion(tp=1, fp=2, fn=2, tn=3)
    assert counts.precision == 1 / 3
    assert counts.recall == 1 / 3
    assert counts.f1 == 2 / 6
    assert counts.accuracy == 4 / 8
    assert counts.iou == 1 / 5
    assert list(counts.scores()) == list(SCORES)


def test_pixels_that_do_not_count_are_left_out():
    counted = np.array([[1, 1, 0, 0], [1, 1, 0, 1]], bool)
    assert confusion(PREDICTED, TRUTH, counted) == Confusion(tp=1, fp=1, fn=1, tn=2)


def test_the_arrays_are_left_alone():
    predicted, truth = PREDICTED.copy(), TRUTH.copy()
    confusion(predicted, truth, np.zeros_like(predicted))
    assert (predicted == PREDICTED).all() and (truth == TRUTH).all()


def test_a_score_without_a_denominator_is_nan():
    assert all(math.isnan(score) for score in Confusion().scores().values())
    nothing_found = Confusion(fn=3, tn=1)
    assert math.isnan(nothing_found.precision)
    assert (nothing_found.recall, nothing_found.f1, nothing_found.iou) == (0, 0, 0)
    nothing_there = Confusion(tn=5)
    assert nothing_there.accuracy == 1 and math.isnan(nothing_there.f1)


@given(arrays(bool, (3, 6, 7)), st.integers(0, 6))
def test_counts_of_disjoint_parts_add_up(planes, cut):
    predicted, truth, counted = planes
    whole = confusion(predicted, truth, counted)
    parts = [confusion(*planes[:, rows]) for rows in (slice(None, cut), slice(cut, None))]
    assert parts[0] + parts[1] == whole
    assert whole.tp + whole.fp + whole.fn + whole.tn == np.count_nonzero(counted)
    assert whole.fn == np.count_nonzero(~predicted & truth & counted)


# Probabilities on 1/1000 keep clear of the thresholds, which are odd multiples of 1/508.
probabilities = arrays(
    np.float32, (4, 6), elements=st.integers(0, 1000).map(lambda n: np.float32(n / 1000))
)


@given(probabilities, arrays(bool, (2, 4, 6)), st.integers(0, 4))
def test_the_best_threshold_is_the_best_of_all_of_them(probability, planes, cut):
    truth, counted = planes
    curve = ScoreCurve()
    for rows in (slice(None, cut), slice(cut, None)):  # streamed
        curve.add(probability[rows], truth[rows], counted[rows])
    threshold, counts = curve.best()

    def at(threshold: float) -> Confusion:
        houses = classify(probability, np.ones_like(counted), threshold) == 1
        return confusion(houses, truth, counted)

    assert counts == at(threshold)
    if not (truth & counted).any():
        assert abs(threshold - 0.5) <= 0.5 / 254
        return
    # No threshold half-way between two steps does better; of equal ones none is nearer to .5.
    rivals = {(step + 0.5) / 254: at((step + 0.5) / 254).f1 for step in range(254)}
    assert counts.f1 == max(rivals.values())
    nearest = min(abs(t - 0.5) for t, f1 in rivals.items() if f1 == counts.f1)
    assert abs(threshold - 0.5) == pytest.approx(nearest, abs=1e-12)


@given(probabilities, arrays(bool, (2, 4, 6)), st.integers(1, 254))
def test_the_curve_counts_what_a_uint8_probability_raster_holds(probability, planes, step):
    truth, counted = planes
    curve = ScoreCurve()
    curve.add(probability, truth, counted)
    houses = quantise(probability, np.ones_like(counted)) >= step
    assert curve.at(step) == confusion(houses, truth, counted)


def test_a_perfect_separation_is_found_next_to_one_half():
    curve = ScoreCurve()
    probability = np.array([[0.1, 0.2, 0.8, 0.9]], np.float32)
    curve.add(probability, probability > 0.5, np.ones((1, 4), bool))
    threshold, counts = curve.best()
    assert counts == Confusion(tp=2, tn=2)
    assert abs(threshold - 0.5) <= 0.5 / 254
