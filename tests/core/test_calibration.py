"""geofcn.core.calibration: probabilities that can be counted on, shares, and their threshold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofcn.core import calibration as module
from geofcn.core.calibration import (
    LOG_ODDS,
    Calibration,
    ScoreCalibration,
    expected_share,
    fit_calibration,
    fit_scores,
    scene_threshold,
)
from geofcn.core.metrics import ScoreCurve
from geofcn.core.pixels import quantise

STEPS = 255
AS_IT_IS = Calibration(1.0, 0.0, 0.5)


def histogram(**counts: int) -> np.ndarray:
    """histogram(at_20=5): five pixels at step 20."""
    made = np.zeros(STEPS, np.int64)
    for name, count in counts.items():
        made[int(name.removeprefix("at_"))] = count
    return made


def curve(houses: np.ndarray, background: np.ndarray) -> ScoreCurve:
    made = ScoreCurve()
    made.houses, made.background = houses, background
    return made


def drawn(share: float, pixels: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Truth and scores of pixels: normal log odds around 1.5 for houses, -1.5 for background."""
    random = np.random.default_rng(seed)
    truth = random.random(pixels) < share
    log_odds = random.normal(np.where(truth, 1.5, -1.5), 1.5)
    return truth, (1 / (1 + np.exp(-log_odds))).astype(np.float32)


def curve_of(truth: np.ndarray, probability: np.ndarray) -> ScoreCurve:
    made = ScoreCurve()
    made.add(probability, truth, np.ones_like(truth))
    return made


# --- the fit ---


def test_probabilities_that_are_right_are_left_alone():
    # At step 127 a half, at odds of 3 to 1 three in four, and so on.
    thousands = 1000 / (1 + np.exp(-LOG_ODDS))
    houses = np.rint(1000 * thousands).astype(np.int64)
    fitted = fit_calibration(curve(houses, 1_000_000 - houses))
    assert fitted.slope == pytest.approx(1, abs=1e-4)
    assert fitted.offset == pytest.approx(0, abs=1e-4)
    assert fitted.share == pytest.approx(0.5)


def test_two_steps_are_fitted_exactly():
    # At log odds of about -1.1 one in ten thousand is a house, at 1.1 all but one in ten.
    houses, background = (
        histogram(at_64=100, at_190=900_000),
        histogram(at_64=999_900, at_190=100_000),
    )
    fitted = fit_calibration(curve(houses, background))
    probabilities = fitted.probabilities(fitted.share)
    assert probabilities[64] == pytest.approx(1e-4, rel=0.05)
    assert probabilities[190] == pytest.approx(0.9, rel=0.001)
    assert fitted.share == pytest.approx(900_100 / 2_000_000)


@given(st.floats(0.3, 3), st.floats(-2, 2))
def test_the_fit_undoes_what_was_done_to_the_log_odds(slope, offset):
    right = 1 / (1 + np.exp(-(slope * LOG_ODDS + offset)))
    houses = np.rint(1_000_000 * right).astype(np.int64)
    fitted = fit_calibration(curve(houses, 1_000_000 - houses))
    assert fitted.slope == pytest.approx(slope, rel=1e-2)
    assert fitted.offset == pytest.approx(offset, abs=1e-2)


@given(st.integers(0, 2**16))
def test_the_mean_probability_is_the_share_of_houses_whatever_the_histograms(seed):
    random = np.random.default_rng(seed)
    houses, background = random.integers(0, 10_000, (2, STEPS))
    fitted = fit_calibration(curve(houses, background))
    if fitted is not None:
        mean = (
            (houses + background) @ fitted.probabilities(fitted.share) / (houses + background).sum()
        )
        assert mean == pytest.approx(houses.sum() / (houses + background).sum(), abs=1e-4)


def test_houses_and_background_change_places():
    houses, background = np.random.default_rng(1).integers(0, 1000, (2, STEPS))
    houses[200:] += 5000
    fitted = fit_calibration(curve(houses, background))
    mirrored = fit_calibration(curve(background[::-1], houses[::-1]))
    assert mirrored.slope == pytest.approx(fitted.slope)
    assert mirrored.offset == pytest.approx(-fitted.offset)
    assert mirrored.share == pytest.approx(1 - fitted.share)
    assert fit_calibration(curve(background, houses)) is None, "houses are the less probable ones"


@pytest.mark.parametrize("pixels", [1, 1000, 10**9])
@pytest.mark.parametrize("gap", [(0, 254), (126, 127), (0, 1)])
def test_classes_that_are_apart_get_a_bounded_slope(gap, pixels):
    background, houses = (
        histogram(**{f"at_{gap[0]}": pixels}),
        histogram(**{f"at_{gap[1]}": pixels}),
    )
    fitted = fit_calibration(curve(houses, background))
    assert 0 < fitted.slope < 1e4
    probabilities = fitted.probabilities(0.5)
    assert probabilities[gap[0]] < probabilities[gap[1]]


@pytest.mark.parametrize("level", [0, 127, 254])
def test_nothing_is_fitted_to_one_class_or_to_none(level):
    some, none = histogram(**{f"at_{level}": 10}), histogram()
    assert fit_calibration(curve(none, none)) is None
    assert fit_calibration(curve(some, none)) is None
    assert fit_calibration(curve(none, some)) is None


# --- the share ---


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 0.6, 0.9])
def test_the_share_of_another_scene_is_found_from_its_probabilities_alone(share):
    fitted = fit_calibration(curve_of(*drawn(0.2, 200_000)))
    truth, probability = drawn(share, 200_000, seed=1)
    seen = np.bincount(quantise(probability), minlength=STEPS)
    assert expected_share(seen, fitted) == pytest.approx(truth.mean(), abs=0.01)


@given(st.integers(0, 2**16), st.floats(0.5, 3), st.floats(-2, 2), st.floats(0.01, 0.99))
def test_no_other_share_is_likelier(seed, slope, offset, share):
    seen = np.random.default_rng(seed).integers(0, 100, STEPS)
    calibration = Calibration(slope, offset, share)
    house = calibration.probabilities(share)
    found = expected_share(seen, calibration)

    def likelihood(other: float) -> float:
        return float(seen @ np.log(house * other / share + (1 - house) * (1 - other) / (1 - share)))

    others = np.linspace(0.001, 0.999, 333)
    assert likelihood(found) >= max(map(likelihood, others)) - 1e-6 * seen.sum()


def test_every_step_of_the_maximisation_is_likelier(monkeypatch):
    _, probability = drawn(0.05, 10_000)
    seen = np.bincount(quantise(probability), minlength=STEPS)
    calibration = Calibration(2.0, 0.0, 0.4)
    house = calibration.probabilities(0.4)
    likelihoods = []
    for steps in range(10):
        monkeypatch.setattr(module, "EM_STEPS", steps)
        share = expected_share(seen, calibration)
        mixture = house * share / 0.4 + (1 - house) * (1 - share) / 0.6
        likelihoods.append(float(seen @ np.log(mixture)))
    assert np.all(np.diff(likelihoods) > 0)


def test_a_scene_of_nothing_but_background_has_next_to_no_houses():
    assert expected_share(histogram(at_0=1000), AS_IT_IS) < 1e-3
    assert expected_share(histogram(at_254=1000), AS_IT_IS) > 1 - 1e-3


def test_without_pixels_the_share_is_that_of_the_training():
    assert expected_share(histogram(), Calibration(1.0, 0.0, 0.3)) == 0.3


def test_another_share_moves_the_odds_by_its_own():
    # Even odds where one in two is a house are one to nine where one in ten is.
    assert AS_IT_IS.probabilities(0.5)[127] == pytest.approx(0.5)
    assert AS_IT_IS.probabilities(0.1)[127] == pytest.approx(0.1)
    assert np.isfinite(AS_IT_IS.probabilities(0)).all()
    assert np.isfinite(AS_IT_IS.probabilities(1)).all()


# --- the threshold ---


def test_the_threshold_has_the_best_expected_f1_by_hand():
    # A quarter of the ten around step 63.5 are expected to be houses, and three quarters of those
    # around 190.5. Of all that are called F1 is 2 x 10 / (20 + 10), of the upper ten
    # 2 x 7.5 / (10 + 10), which is more.
    seen = histogram(at_63=5, at_64=5, at_190=5, at_191=5)
    houses = AS_IT_IS.probabilities(0.5) * seen
    assert houses[:127].sum() == pytest.approx(2.5)
    assert houses[127:].sum() == pytest.approx(7.5)
    assert 254 * scene_threshold(seen, AS_IT_IS, 0.5) == pytest.approx(126.5)
    # Half of the houses' odds gone, the upper ten are still worth more than all of them.
    assert 254 * scene_threshold(seen, AS_IT_IS, 1 / 3) == pytest.approx(126.5)
    # With far higher odds nearly all are houses: all are called.
    assert 254 * scene_threshold(seen, AS_IT_IS, 0.99) == pytest.approx(62.5)


@given(st.integers(0, 2**16), st.floats(0.02, 0.98))
def test_no_other_threshold_has_a_better_expected_f1(seed, share):
    seen = np.random.default_rng(seed).integers(0, 50, STEPS)
    house = AS_IT_IS.probabilities(share)

    def f1(threshold: float) -> float:
        called = np.arange(STEPS) / 254 >= threshold
        tp, fp = seen[called] @ house[called], seen[called] @ (1 - house[called])
        return 2 * tp / (2 * tp + fp + seen[~called] @ house[~called])

    best = f1(scene_threshold(seen, AS_IT_IS, share))
    assert best >= max(f1((step - 0.5) / 254) for step in range(1, STEPS)) - 1e-12


@pytest.mark.parametrize("share", [0.02, 0.5])
def test_the_threshold_that_is_found_is_nearly_the_best_of_the_scene(share):
    fitted = fit_calibration(curve_of(*drawn(0.2, 200_000)))
    scene = curve_of(*drawn(share, 200_000, seed=1))
    seen = scene.houses + scene.background
    found = scene_threshold(seen, fitted, expected_share(seen, fitted))
    f1 = scene.f1()
    assert f1[round(254 * found + 0.5)] > f1.max() - 0.005
    assert (found > 0.5) == (share == 0.02), "fewer houses want more evidence"


def test_a_scene_without_pixels_gets_the_middle():
    assert abs(scene_threshold(histogram(), AS_IT_IS, 0.5) - 0.5) <= 0.5 / 254


# --- scores ---


@pytest.mark.parametrize(("slope", "offset"), [(1, 0), (0.5, -2), (2, 1)])
def test_of_houses_with_a_score_as_many_are_right(slope, offset):
    random = np.random.default_rng(0)
    probability = random.uniform(0.5, 1, 50_000)
    chance = ScoreCalibration(slope, offset).score(probability)
    right = random.random(50_000) < chance
    fitted = fit_scores(probability, right)
    assert (fitted.slope, fitted.offset) == pytest.approx((slope, offset), abs=0.15)
    score = fitted.score(probability)
    for low in np.arange(0.1, 0.9, 0.1):
        alike = (score >= low) & (score < low + 0.1)
        if np.count_nonzero(alike) > 1000:
            assert right[alike].mean() == pytest.approx(low + 0.05, abs=0.05)


def test_scores_keep_the_order_and_nan():
    score = ScoreCalibration(0.5, 1.0).score(np.array([0.0, 0.2, 0.7, 1.0, np.nan]))
    assert np.all(np.diff(score[:4]) > 0)
    assert score[0] > 0 and score[3] < 1 and np.isnan(score[4])


def test_a_few_houses_give_a_moderate_calibration():
    few = fit_scores(np.array([0.9, 0.95, 0.99]), np.array([True, True, True]))
    assert 0.5 < few.slope < 2 and 0 <= few.offset < 2
    assert fit_scores(np.zeros(0), np.zeros(0, bool)) is None
    swapped = np.linspace(0.5, 1, 100)
    assert fit_scores(swapped, swapped < 0.7) is None, "the right ones are the less probable ones"
