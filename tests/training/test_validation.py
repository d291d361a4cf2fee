import math
from dataclasses import replace

import numpy as np
import pytest
import rasterio
import torch

from geofcn.core.calibration import Calibration, fit_calibration
from geofcn.core.metrics import Confusion, ScoreCurve, best_threshold
from geofcn.core.pixels import Normalisation
from geofcn.core.windows import Window, blocks, training_windows
from geofcn.io.labels import open_labelled_scene
from geofcn.io.opening import open_scene
from geofcn.models.model_file import load_model
from geofcn.models.predictor import Predictor
from geofcn.recipes import DEFAULT, EXERCISE
from geofcn.training import validation
from geofcn.training.tiles import SourceWindow, TileCache, TrainingTile
from geofcn.training.train import train
from geofcn.training.validation import (
    HOUSE_AREA,
    Damping,
    count_houses,
    make_validator,
    score_tiles,
    score_windows,
)


class SignNet:
    """Stands in for a model: a value above its mean image is a house, its mean is a tie."""

    normalisation = Normalisation(
        np.array([[[5, 6]]], np.float32).repeat(2, 1), np.ones(1, np.float32)
    )

    def logits(self, prepared: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.concatenate([-prepared, prepared]))


def test_a_tie_is_background_and_the_mean_image_starts_with_each_tile():
    image = np.array([[[9, 6], [5, 9]]], np.uint8)  # house, tie; tie, house
    labels = np.array([[1, 1], [0, 0]], np.uint8)
    tile = TrainingTile(image, np.ones((2, 2), bool), labels)
    scored = score_tiles(lambda: [tile, tile])(SignNet())
    assert scored.confusion == Confusion(tp=2, fn=2, tn=2, fp=2)
    assert scored.threshold == 0.5


def test_padding_counts_as_background_and_unknown_labels_do_not_count():
    image = np.array([[[9, 9], [0, 0]]], np.uint8)
    labels = np.array([[1, 255], [0, 0]], np.uint8)
    tile = TrainingTile(image, np.ones((2, 2), bool), labels)
    assert score_tiles(lambda: [tile])(SignNet()).confusion == Confusion(tp=1, tn=2)


@pytest.mark.parametrize("net", ["fcnn", "fcnn2"])
def test_windows_are_scored_as_parts_of_the_whole(make_model, write_raster, net):
    random = np.random.default_rng(0)
    image = random.integers(1, 255, (2, 45, 61)).astype(np.uint8)
    image[:, 10:20, 30:50] = 0
    labels = (random.random((45, 61)) < 0.3).astype(np.uint8)
    labels[:4] = 255
    scene_path = write_raster("s.tif", image, nodata=0)
    source = open_labelled_scene(scene_path, write_raster("l.tif", labels, nodata=255))
    model = make_model(net, 2)
    windows = list(blocks(source.scene.window, 16))
    scored = score_windows([(source, window) for window in windows])(model)

    curve = ScoreCurve()
    valid = open_scene(scene_path).read(source.scene.window)[1]
    known = valid & (labels != 255)
    assert 0 < known.sum() < known.size
    curve.add(model.predict(image, valid), labels == 1, known)
    threshold, counts = best_threshold([curve])
    assert scored.threshold == pytest.approx(threshold, abs=1 / 254)
    assert scored.confusion.f1 == pytest.approx(counts.f1, abs=0.01)
    assert sum(vars(scored.confusion).values()) == known.sum()


def test_windows_without_a_label_are_not_predicted(make_model, write_raster, monkeypatch):
    labels = np.full((16, 48), 255, np.uint8)
    labels[:8, :8], labels[2:4, 2:4] = 0, 1
    source = open_labelled_scene(
        write_raster("s.tif", np.full((2, 16, 48), 9, np.uint8)),
        write_raster("l.tif", labels, nodata=255),
    )
    predicted, predict = [], Predictor.window

    def remember_window(self, scene, window):
        predicted.append(window)
        return predict(self, scene, window)

    monkeypatch.setattr(Predictor, "window", remember_window)
    windows = [(source, window) for window in blocks(source.scene.window, 16)]
    counts = score_windows(windows)(make_model("fcnn", 2)).confusion
    assert predicted == [Window(0, 0, 16, 16)]
    assert (sum(vars(counts).values()), counts.tp + counts.fn) == (64, 4)


def test_a_damped_threshold_is_what_is_scored(make_model, write_raster):
    random = np.random.default_rng(0)
    source = open_labelled_scene(
        write_raster("s.tif", random.integers(1, 255, (2, 40, 40)).astype(np.uint8)),
        write_raster("l.tif", (random.random((40, 40)) < 0.3).astype(np.uint8)),
    )
    model, windows = make_model("fcnn", 2), [(source, source.scene.window)]
    image, valid = source.scene.read(source.scene.window)
    probability = model.predict(image, valid)
    start = float(np.quantile(probability, 0.75))
    scored = score_windows(windows, Damping(start, math.inf))(model)
    assert scored.threshold == start
    predicted = scored.confusion.tp + scored.confusion.fp
    assert predicted == pytest.approx((probability >= start).sum(), abs=30)
    found = score_windows(windows)(model).threshold
    pixel = model.metadata.resolution or 0.7
    houses = (source.labels.read(source.scene.window) == 1).sum() * pixel**2 / HOUSE_AREA
    damped = score_windows(windows, Damping(start, half_way=float(houses)))(model)
    assert damped.threshold == pytest.approx((start + found) / 2)


def test_a_calibration_is_fitted_to_enough_houses_only(make_model, write_raster):
    random = np.random.default_rng(0)
    image = random.integers(1, 255, (2, 40, 40)).astype(np.uint8)
    brought = Calibration(0.5, 0.25, 0.125)
    model = make_model("fcnn", 2, calibration=brought)
    labels = model.predict(image, np.ones((40, 40), bool)) > random.random((40, 40))
    source = open_labelled_scene(
        write_raster("s.tif", image), write_raster("l.tif", labels.astype(np.uint8))
    )
    windows = [(source, source.scene.window)]
    houses = count_houses(int(labels.sum()), model)
    fitted = score_windows(windows)(model).calibration
    assert fitted != brought
    for half_way, expected in ((houses, fitted), (1.01 * houses, brought), (math.inf, brought)):
        assert score_windows(windows, Damping(0.5, half_way))(model).calibration == expected


def test_windows_calibrate_the_probabilities_and_tiles_do_not(make_model, write_raster):
    random = np.random.default_rng(0)
    image = random.integers(1, 255, (2, 32, 48)).astype(np.uint8)
    model = make_model("fcnn", 2)
    probability = model.predict(image)
    # Houses are as many as the probabilities say.
    truth = random.random(probability.shape) < probability
    source = open_labelled_scene(
        write_raster("s.tif", image), write_raster("l.tif", truth.astype(np.uint8))
    )
    calibration = score_windows([(source, source.scene.window)])(model).calibration
    curve = ScoreCurve()
    curve.add(probability, truth, np.ones_like(truth))
    assert calibration.share == pytest.approx(truth.mean())
    assert calibration.slope == pytest.approx(fit_calibration(curve).slope, abs=0.01)
    assert calibration.slope == pytest.approx(1, abs=0.2)
    tile = TrainingTile(image, np.ones(truth.shape, bool), truth.astype(np.uint8))
    assert score_tiles(lambda: [tile])(model).calibration is None


# --- what a training is scored on ---


@pytest.fixture
def pair(write_raster):
    """A source of 20 x 30 pixels, a third of them houses, without a blank one."""
    random = np.random.default_rng(0)
    return open_labelled_scene(
        write_raster("s.tif", random.integers(1, 255, (2, 20, 30)).astype(np.uint8)),
        write_raster("l.tif", (random.random((20, 30)) < 0.3).astype(np.uint8)),
    )


def test_without_a_held_out_part_every_pixel_of_the_scenes_is_scored(pair, make_model, monkeypatch):
    monkeypatch.setattr(validation, "VALIDATION_WINDOW", 16)
    tiles, model = TileCache([pair, pair]), make_model("fcnn", 2)
    scored = make_validator(tiles, (), replace(DEFAULT, tile=8))(model)
    assert sum(vars(scored.confusion).values()) == 2 * 20 * 30
    # In the exercise, padded to whole tiles: background beyond the edge.
    tiles = TileCache([pair, pair], zero_padding=True)
    scored = make_validator(tiles, (), replace(EXERCISE, tile=8))(model)
    assert sum(vars(scored.confusion).values()) == 2 * 24 * 32
    assert scored.threshold == 0.5


def test_only_the_held_out_windows_are_scored(pair, make_model):
    held_out = [SourceWindow(0, Window(8, 16, 8, 8)), SourceWindow(0, Window(0, 0, 8, 16))]
    model = make_model("fcnn", 2)
    houses = sum((pair.labels.read(window) == 1).sum() for _, window in held_out)
    for recipe in (replace(DEFAULT, tile=8), replace(EXERCISE, tile=8)):
        counts = make_validator(TileCache([pair]), held_out, recipe)(model).confusion
        assert (counts.tp + counts.fn, sum(vars(counts).values())) == (houses, 8 * 8 + 8 * 16)


def test_the_exercise_is_scored_on_all_padded_tiles_at_stride_w(village, tmp_path):
    scene, labels = village(72)  # padded to 96: 9 tiles of 32
    run = tmp_path / "run"
    last = train(scene, labels, run, recipe="exercise", tile=32, epochs=2, device="cpu").epochs[-1]
    model = load_model(run / "last.safetensors")
    with rasterio.open(scene) as file, rasterio.open(labels) as truth:
        image = np.zeros((3, 96, 96), np.uint8)
        classes = np.zeros((96, 96), bool)
        image[:, :72, :72], classes[:72, :72] = file.read(), truth.read(1) == 1
    total = Confusion()
    for window in training_windows(72, 72, 32, 32):
        prepared = model.normalisation.apply(image[:, *window.slices], None, 0, 0)
        logits = model.logits(prepared).numpy()
        predicted, houses = logits[1] > logits[0], classes[window.slices]
        total += Confusion(
            int((predicted & houses).sum()), int((predicted & ~houses).sum()),
            int((~predicted & houses).sum()), int((~predicted & ~houses).sum()),
        )  # fmt: skip
    assert sum(vars(total).values()) == 96 * 96, "padding is background and counts"
    assert (last.accuracy, last.recall) == (total.accuracy, total.recall)
    assert last.threshold == 0.5
