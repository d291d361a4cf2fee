"""geofcn.training.house_scores: which predicted houses are right, and how their scores follow."""

from dataclasses import replace

import numpy as np
import pytest
import shapely
from affine import Affine

from geofcn.core.calibration import ScoreCalibration, fit_scores
from geofcn.core.contacts import Contacts
from geofcn.core.pixels import quantise
from geofcn.core.windows import Window
from geofcn.io.contact_labels import ContactLabels
from geofcn.io.labels import open_labelled_scene
from geofcn.io.opening import open_scene
from geofcn.models.predictor import Predictor
from geofcn.polygons.convert import to_map, to_shapely
from geofcn.polygons.footprints import RowBand, mean_probabilities, trace_band
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
    predicted = RowBand(HOUSES, quantised)
    probability, right = judge(predicted, RowBand(TRUTH), 0)
    assert probability * 254 == pytest.approx([110, 140, 220])
    assert right.tolist() == [True, False, False]
    assert judge(predicted, RowBand(TRUTH), 2)[1].tolist() == [True, False], "no specks"


def test_without_houses_there_is_nothing_to_judge():
    nothing, steps = RowBand(np.zeros_like(HOUSES), HOUSES.astype(np.uint8)), HOUSES.view(np.uint8)
    assert len(judge(nothing, RowBand(TRUTH), 0)[1]) == 0
    assert judge(RowBand(HOUSES, steps), nothing, 0)[1].tolist() == [False] * 3


def test_houses_that_touch_are_judged_by_themselves():
    """Two houses in a row, of which one is right; as one they would both be."""
    row = np.zeros((4, 12), bool)
    row[1:3, 1:11] = True
    contacts = np.zeros_like(row)
    contacts[:, 6:8] = True
    numbers = np.where(row, np.where(np.arange(12) < 7, 3, 4), 0)
    numbers[:, 9:] = 0
    steps = np.where(np.arange(12) < 7, 200, 100).astype(np.uint8) * row
    apart = judge(RowBand(row, steps, contacts), RowBand(numbers > 0, numbers=numbers), 0)
    assert apart[0] * 254 == pytest.approx([200, 100]) and apart[1].tolist() == [True, True]
    numbers[:, 8:] = 0
    apart = judge(RowBand(row, steps, contacts), RowBand(numbers > 0, numbers=numbers), 0)
    assert apart[1].tolist() == [True, False]
    # Where the net does not tell them apart, the one that it finds is more than half of a house.
    fused = judge(RowBand(row, steps), RowBand(numbers > 0, numbers=numbers), 0)
    assert fused[1].tolist() == [True]
    assert judge(RowBand(row, steps), RowBand(row), 0)[1].tolist() == [True]


METRES = Affine(1, 0, 500_000, 0, -1, 5_000_000)
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
        predicted = RowBand((p >= 0.5) & inside, quantise(p))
        judged.append(judge(predicted, RowBand(truth & inside), 0))
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


@pytest.fixture
def row_of_houses(make_model, write_raster, write_vectors):
    """A net that tells where houses meet, and a scene in which it finds dozens that touch.

    Labelled are its own houses as polygons, each second one moved off its place.
    """
    image = np.random.default_rng(3).integers(1, 255, (3, 96, 96), np.uint8)
    scene = write_raster("s.tif", image, transform=METRES)
    model = make_model(threshold=0.45, contacts=Contacts(2, 0.55), seed=4)
    prediction = Predictor(model).window(open_scene(scene), Window(0, 0, 96, 96))
    houses, contacts = prediction.probability >= 0.45, prediction.contact >= np.float32(0.55)
    band = RowBand(houses, quantise(prediction.probability), contacts)
    traced = to_map(to_shapely(trace_band(band)), METRES)
    labels = [shapely.affinity.translate(house, 500 * (n % 2), 0) for n, house in enumerate(traced)]
    source = open_labelled_scene(scene, write_vectors("l.gpkg", labels))
    return model, source, band


def test_a_net_that_tells_is_calibrated_on_the_houses_that_it_tells_apart(
    row_of_houses, monkeypatch
):
    model, source, band = row_of_houses
    seen = {}
    monkeypatch.setattr(
        "geofcn.training.house_scores.fit_scores", lambda p, right: seen.update(p=p, right=right)
    )
    apart = trace_band(band)
    is_large = apart.pixels >= 4  # the specks of `infer`
    assert is_large.sum() > 1.2 * (trace_band(band._replace(contacts=None)).pixels >= 4).sum()
    for labels in (source.labels, ContactLabels(source.labels, source.scene, 2)):
        calibrate_scores(model, [(replace(source, labels=labels), source.scene.window)], "cpu")
        assert seen["p"].tolist() == mean_probabilities(apart)[is_large].tolist()
        assert seen["right"].tolist() == (np.arange(len(apart)) % 2 == 0)[is_large].tolist()
