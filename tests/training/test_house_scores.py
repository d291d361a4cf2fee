"""geofcn.training.house_scores: which predicted houses are right, and how their scores follow."""

import numpy as np
import pytest
from affine import Affine

from geofcn.core.calibration import ScoreCalibration, fit_scores
from geofcn.core.pixels import quantise
from geofcn.core.windows import Window
from geofcn.io.labels import open_labelled_scene
from geofcn.training.house_scores import calibrate_scores, judge
from geofcn.training.validation import Damping

TRUTH = np.array(
    [
        [1, 1, 1, 1, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0],
    ],
    bool,
)
# Half of the first house, a third of the second, and one that is none.
HOUSES = np.array(
    [
        [1, 1, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 1, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 1, 1, 1],
    ],
    bool,
)


def test_a_house_is_right_from_half_of_intersection_over_union():
    quantised = np.where(HOUSES, np.arange(8) * 20 + 100, 7).astype(np.uint8)
    probability, right = judge(HOUSES, quantised, TRUTH, 0)
    assert probability * 254 == pytest.approx([110, 140, 220])
    assert right.tolist() == [True, False, False]
    assert judge(HOUSES, quantised, TRUTH, 2)[1].tolist() == [True, False], "no specks"


def test_without_houses_there_is_nothing_to_judge():
    nothing = np.zeros_like(HOUSES)
    assert len(judge(nothing, nothing.astype(np.uint8), TRUTH, 0)[1]) == 0
    assert judge(HOUSES, HOUSES.astype(np.uint8), nothing, 0)[1].tolist() == [False] * 3


MODEL = {"threshold": 0.5, "seed": 2}


@pytest.fixture
def pair(make_model, write_raster):
    """A scene with a blank corner in large pixels; what is probable is a house, some is unknown."""
    image = np.random.default_rng(0).integers(1, 255, (3, 48, 64), np.uint8)
    image[:, :20, :20] = 0
    probability = make_model(**MODEL).predict(image, image[0] != 0)
    labels = (probability > 0.55).astype(np.uint8)
    labels[:8] = 9
    place = {"transform": Affine(2, 0, 500_000, 0, -2, 5_000_000)}
    return open_labelled_scene(
        write_raster("s.tif", image, nodata=0, **place),
        write_raster("l.tif", labels, nodata=9, **place),
    )


def test_scores_are_fitted_to_all_houses_of_the_windows(make_model, pair):
    model = make_model(**MODEL)
    windows = [Window(0, 0, 24, 64), Window(24, 0, 24, 64)]
    image, valid = pair.scene.read(pair.scene.window)
    probability, labels = model.predict(image, valid), pair.labels.read(pair.scene.window)
    counted = valid & (labels != 255)
    judged = []
    for window in windows:
        p, truth, inside = (a[window.slices] for a in (probability, labels == 1, counted))
        # A pixel is 4 square metres, or a little more: no house is a speck.
        judged.append(judge((p >= 0.5) & inside, quantise(p), truth & inside, 0))
    means, right = (np.concatenate(parts) for parts in zip(*judged, strict=True))
    assert 10 < np.count_nonzero(right) < len(right) - 10
    expected = fit_scores(means, right)
    found = calibrate_scores(model, [(pair, window) for window in windows], "cpu")
    assert found.slope == pytest.approx(expected.slope, rel=0.01)
    assert found.offset == pytest.approx(expected.offset, abs=0.01)


def test_too_few_houses_leave_the_scores_of_the_parent(make_model, pair):
    brought = ScoreCalibration(0.5, 0.25)
    model, extents = make_model(**MODEL, score_calibration=brought), [(pair, pair.scene.window)]
    fitted = calibrate_scores(model, extents, "cpu")
    assert fitted != brought
    assert calibrate_scores(model, extents, "cpu", Damping(0.5, half_way=0.01)) == fitted
    assert calibrate_scores(model, extents, "cpu", Damping(0.5, half_way=1e6)) == brought


def test_without_a_house_no_score_is_fitted(make_model, pair):
    model = make_model(threshold=1.0)
    assert calibrate_scores(model, [(pair, pair.scene.window)], "cpu") is None
