import importlib

import matplotlib.image
import numpy as np
import pytest

from geofcn.training import plots
from geofcn.training.overlay import Overlay
from geofcn.training.plots import (
    LEGEND_ROWS,
    OVERLAY,
    TITLE_ROWS,
    loss_plot,
    overlay_plot,
    save_picture,
    scores_plot,
)


def overlay(image, predicted, houses, known) -> Overlay:
    return Overlay("a $ scene", image, np.ones_like(known), predicted, houses, known)


def row(epoch: int, f1: float) -> dict:
    return {
        "epoch": epoch,
        "precision": 0.5,
        "recall": 0.6,
        "f1": f1,
        "accuracy": 0.9,
        "iou": 0.3,
        "train_f1": f1,
        "scored_on": "training",
    }


def is_a_picture(path) -> bool:
    image = matplotlib.image.imread(path)
    return image.ndim == 3 and min(image.shape[:2]) > 200 and image[..., :3].std() > 0.01


@pytest.mark.parametrize("losses", [[0.5], [3, 2, 1, 0.5, 0.4, 0.3], [0.0, 0.0], [1e9, 1e-9]])
def test_any_losses_are_drawn(tmp_path, losses):
    loss_plot(losses, 2, tmp_path / "loss.png")
    assert is_a_picture(tmp_path / "loss.png")
    assert [p.name for p in tmp_path.iterdir()] == ["loss.png"]


@pytest.mark.parametrize("keeps_last", [True, False])
@pytest.mark.parametrize("f1", [[0.7], [0.1, 0.8, 0.4], [np.nan, 0.2], [np.nan, np.nan]])
def test_any_scores_are_drawn(tmp_path, f1, keeps_last):
    rows = [row(i + 1, value) for i, value in enumerate(f1)]
    scores_plot(rows, tmp_path / "scores.png", keeps_last)
    assert is_a_picture(tmp_path / "scores.png")
    assert [p.name for p in tmp_path.iterdir()] == ["scores.png"]


def test_the_overlay_tells_hits_misses_and_false_alarms_pixel_by_pixel(tmp_path):
    image = np.stack([np.full((3, 5), value, np.uint8) for value in (40, 80, 120)])
    predicted, houses, known = np.zeros((3, 3, 5), bool)
    known[:2] = True
    predicted[0, 1] = houses[0, 1] = True  # a hit
    houses[0, 2] = True  # missed
    predicted[0, 3] = True  # a false alarm
    predicted[2, 4] = True  # nobody knows
    overlay_plot(overlay(image, predicted, houses, known), tmp_path / "o.png")
    picture = (matplotlib.image.imread(tmp_path / "o.png")[..., :3] * 255).round().astype(int)
    assert picture.shape == (TITLE_ROWS + 3 + LEGEND_ROWS, 5, 3)
    painted = {
        (0, 1): "hit",
        (0, 2): "missed",
        (0, 3): "false alarm",
        (2, 4): "found, not labelled",
    }
    for row in range(3):
        for col in range(5):
            expected = np.array([40, 80, 120])
            if (row, col) in painted:
                expected = 0.45 * expected + 0.55 * np.array(OVERLAY[painted[row, col]])
            assert abs(picture[TITLE_ROWS + row, col] - expected).max() <= 1, (row, col)


def test_the_legend_names_the_colours_of_the_picture(tmp_path):
    image = np.full((3, 300, 500), 90, np.uint8)
    houses = np.zeros((300, 500), bool)
    houses[10:50, 10:90] = True
    everywhere = np.ones_like(houses)
    overlay_plot(overlay(image, houses, houses, everywhere), tmp_path / "hits.png")
    overlay_plot(overlay(image, ~houses, houses, everywhere), tmp_path / "wrong.png")
    strips = [
        matplotlib.image.imread(tmp_path / name)[-LEGEND_ROWS:, :, :3]
        for name in ("hits.png", "wrong.png")
    ]
    green, red = ((strip * 255).round().astype(int).reshape(-1, 3).tolist() for strip in strips)
    assert list(OVERLAY["hit"]) in green and list(OVERLAY["false alarm"]) not in green
    assert list(OVERLAY["false alarm"]) in red and list(OVERLAY["hit"]) not in red


def test_a_picture_is_replaced_in_one_step(tmp_path):
    path = tmp_path / "a.png"
    for value in (0, 255):
        save_picture(np.full((2, 2, 3), value, np.uint8), path)
        assert (matplotlib.image.imread(path)[..., 0] * 255 == value).all()
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_the_title_is_above_the_picture(tmp_path):
    image, nothing = np.full((3, 30, 500), 90, np.uint8), np.zeros((30, 500), bool)
    overlay_plot(overlay(image, nothing, nothing, ~nothing), tmp_path / "o.png")
    title = matplotlib.image.imread(tmp_path / "o.png")[:TITLE_ROWS, :, :3]
    assert title.min() < 0.2 and title[:, 200:].min() == 1, "dark letters on white, at the left"


def test_a_notebook_goes_on_showing_its_own_pictures(tmp_path):
    backend = matplotlib.get_backend()
    try:
        matplotlib.use("svg")
        importlib.reload(plots).loss_plot([0.5, 0.25], 1, tmp_path / "loss.png")
        assert matplotlib.get_backend() == "svg"
    finally:
        matplotlib.use(backend)
