import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from geofcn.core.metrics import SCORES, Confusion, ScoreCurve, best_threshold, confusion
from geofcn.core.pixels import classify, quantise

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
    nothing_predicted = Confusion(fn=3, tn=1)
    assert math.isnan(nothing_predicted.precision)
    scores = nothing_predicted.recall, nothing_predicted.f1, nothing_predicted.iou
    assert scores == (0, 0, 0)
    no_houses = Confusion(tn=5)
    assert no_houses.accuracy == 1 and math.isnan(no_houses.f1)


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
    threshold, counts = best_threshold([curve])

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


@given(probabilities, arrays(bool, (2, 4, 6)), st.integers(0, 4))
def test_curves_of_disjoint_parts_add_up(probability, planes, cut):
    truth, counted = planes
    whole, upper, lower = ScoreCurve(), ScoreCurve(), ScoreCurve()
    whole.add(probability, truth, counted)
    upper.add(probability[:cut], truth[:cut], counted[:cut])
    lower.add(probability[cut:], truth[cut:], counted[cut:])
    total = upper + lower
    assert (total.houses == whole.houses).all()
    assert (total.background == whole.background).all()


@settings(max_examples=25)
@given(probabilities, arrays(bool, (2, 4, 6)))
def test_the_curves_f1_is_that_of_the_confusion_at_each_step(probability, planes):
    curve = ScoreCurve()
    curve.add(probability, *planes)
    f1 = [curve.at(step).f1 for step in range(ScoreCurve.STEPS + 1)]
    assert curve.f1().tolist() == pytest.approx(np.nan_to_num(f1).tolist(), abs=1e-15)


@given(probabilities, arrays(bool, (2, 4, 6)), st.integers(1, 254))
def test_the_curve_counts_what_a_uint8_probability_raster_holds(probability, planes, step):
    truth, counted = planes
    curve = ScoreCurve()
    curve.add(probability, truth, counted)
    houses = quantise(probability, np.ones_like(counted)) >= step
    assert curve.at(step) == confusion(houses, truth, counted)


def test_a_perfect_separation_lies_next_to_one_half():
    curve = ScoreCurve()
    probability = np.array([[0.1, 0.2, 0.8, 0.9]], np.float32)
    curve.add(probability, probability > 0.5, np.ones((1, 4), bool))
    threshold, counts = best_threshold([curve])
    assert counts == Confusion(tp=2, tn=2)
    assert abs(threshold - 0.5) <= 0.5 / 254


def curve_of(pairs) -> ScoreCurve:
    """A curve of (probability, house, pixels) triples."""
    curve = ScoreCurve()
    for probability, house, pixels in pairs:
        values = np.full((1, pixels), probability, np.float32)
        curve.add(values, np.full((1, pixels), house), np.ones((1, pixels), bool))
    return curve


def test_every_scene_has_the_same_say_in_the_threshold():
    # A large scene wants a threshold below .3, a small one with many rivals one above .6.
    large = curve_of([(0.3, True, 900), (0.1, False, 100), (0.6, False, 5)])
    small = curve_of([(0.9, True, 5), (0.6, False, 40), (0.1, False, 100)])
    assert best_threshold([large])[0] < 0.3
    assert best_threshold([small])[0] > 0.6
    # Pooled, the large one would decide: at .2 its F1 is 1, at .7 it is 0.
    third = curve_of([(0.95, True, 10), (0.6, False, 90)])
    threshold, counts = best_threshold([small, third, small, large])
    assert threshold > 0.6
    step = round(threshold * 254 + 0.5)
    assert counts == sum((curve.at(step) for curve in (small, third, small, large)), Confusion())


def test_scenes_without_a_house_do_not_count():
    nothing = curve_of([(0.9, False, 1000)])
    some = curve_of([(0.4, True, 3), (0.2, False, 3)])
    assert best_threshold([nothing, some])[0] == best_threshold([some])[0]
    threshold, counts = best_threshold([nothing])
    assert abs(threshold - 0.5) <= 0.5 / 254 and counts == Confusion(fp=1000)


def test_the_calibration_error_by_hand():
    # 10 pixels at .2, of which 5 are houses; 30 at .8, of which 24 are: only the first are off.
    curve = curve_of([(0.2, True, 5), (0.2, False, 5), (0.8, True, 24), (0.8, False, 6)])
    assert curve.calibration_error() == pytest.approx(10 / 40 * 0.3, abs=2e-3)
    assert curve_of([(1.0, True, 4), (0.0, False, 4)]).calibration_error() == 0
    assert math.isnan(ScoreCurve().calibration_error())
