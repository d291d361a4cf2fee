"""geofcn.training.announcement: what a training is about to do is said before its first step."""

from dataclasses import replace

import pytest

from geofcn.models.model_file import save_model
from geofcn.recipes import EXERCISE, make_recipe
from geofcn.training.announcement import announcement
from geofcn.training.train import resume, train
from geofcn.training.trainer import Trainer

# Small enough for a blink: 64 pixels are 2 x 2 tiles, two steps of an epoch.
QUICK = {"tile": 32, "stride": 32, "batch": 3, "epochs": 2, "validate_fraction": 0.0}
RECIPE = make_recipe("default", {"net": "unet", "scale": 2, **QUICK})


@pytest.mark.parametrize(
    ("changes", "resolution", "tiles", "done", "told"),
    [
        ({}, 0.138, 4, 0, "unet at scale 2, net pixels of 0.276 m, on 4 tiles of 32 px: 2 epochs, "
         "4 steps"),
        ({}, None, 4, 0, "unet at scale 2 on 4 tiles of 32 px: 2 epochs, 4 steps"),
        ({"patience": 1}, None, 4, 0, "unet at scale 2 on 4 tiles of 32 px: at most 2 epochs, "
         "4 steps"),
        ({"epochs": 50}, 12, 12_001, 50_000, "unet at scale 2, net pixels of 24 m, on 12,001 tiles "
         "of 32 px: 50 epochs, 200,050 steps, 150,050 of them left"),
        ({"epochs": 1}, None, 1, 0, "unet at scale 2 on 1 tile of 32 px: 1 epoch, 1 step"),
    ],
)  # fmt: skip
def test_the_line_has_all_that_takes_time(changes, resolution, tiles, done, told):
    assert announcement(replace(RECIPE, **changes), resolution, tiles, done) == f"training {told}"


def test_the_exercise_sees_each_pixel():
    told = announcement(EXERCISE, 0.2, 900)
    assert told.startswith("training fcnn2 at scale 1, net pixels of 0.2 m, on 900 tiles of 128 px")


class Begun(BaseException):
    """Ends a training when its first step is to be taken."""


def announced(caplog, monkeypatch, go, *args, **options) -> str:
    """What a training that is called like this says before its first step."""

    def end(*_):
        raise Begun

    caplog.clear()
    with monkeypatch.context() as patch, pytest.raises(Begun):
        patch.setattr(Trainer, "step", end)
        go(*args, **options)
    (told,) = [line for line in caplog.messages if line.startswith("training ")]
    return told


def test_a_training_says_what_it_will_do_and_a_resumed_one_what_is_left(
    village, tmp_path, stop_training, caplog, monkeypatch
):
    pair, run = village(), tmp_path / "run"
    options = {**QUICK, "net": "fcnn", "scale": 1, "device": "cpu"}
    whole = "training fcnn at scale 1, net pixels of 0.2 m, on 4 tiles of 32 px: 2 epochs, 4 steps"
    assert announced(caplog, monkeypatch, train, *pair, run, **options) == whole
    stop_training(4, *pair, run, **options)
    assert announced(caplog, monkeypatch, resume, run) == f"{whole}, 1 of them left"
    assert announced(caplog, monkeypatch, train, *pair, run, **options).endswith(", 1 of them left")


def test_a_taught_net_goes_on_seeing_the_pixels_of_its_parent(
    village, make_model, tmp_path, caplog, monkeypatch
):
    parent = tmp_path / "parent.safetensors"
    save_model(make_model("fcnn", scale=2, resolution=0.4, threshold=0.5), parent)
    options = {"from_": parent, "tile": 32, "device": "cpu"}
    told = announced(caplog, monkeypatch, train, *village(128), tmp_path / "run", **options)
    assert told.startswith("training fcnn at scale 2, net pixels of 0.8 m, on ")
