import importlib
import sys

import pytest

from geofcn.errors import UsageError
from geofcn.training.tensorboard import open_event_writer
from geofcn.training.train import train

# Small enough for a blink: 64 pixels are 2 x 2 tiles.
QUICK = {"tile": 32, "epochs": 2, "device": "cpu"}


def events_in(folder) -> dict[str, list[tuple[int, float]]]:
    """Steps and values by name."""
    module = importlib.import_module("tensorboard.backend.event_processing.event_accumulator")
    events = module.EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return {
        name: [(event.step, event.value) for event in events.Scalars(name)]
        for name in events.Tags()["scalars"]
    }


def test_losses_and_figures_are_written_by_name(tmp_path):
    with open_event_writer(tmp_path) as events:
        events.step(1, 0.5)
        events.step(2, 0.25)
        events.epoch(2, {"f1": 0.75, "lr": 0.125})
    assert events_in(tmp_path) == {
        "loss/step": [(1, 0.5), (2, 0.25)],
        "epoch/f1": [(2, 0.75)],
        "epoch/lr": [(2, 0.125)],
    }


def test_a_training_that_goes_on_drops_the_events_after_its_checkpoint(tmp_path):
    with open_event_writer(tmp_path) as events:
        for number in (1, 2, 3):
            events.step(number, 0.5)
    with open_event_writer(tmp_path, done=1) as events:
        events.step(2, 0.25)
    assert events_in(tmp_path) == {"loss/step": [(1, 0.5), (2, 0.25)]}


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with open_event_writer(None) as events:
        events.step(1, 0.5)
        events.epoch(1, {"f1": 0.75})
    assert not list(tmp_path.iterdir())


def test_tensorboard_that_is_not_installed_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UsageError, match=r"--log-tensorboard.*pip install"):  # noqa: SIM117
        with open_event_writer(tmp_path):
            pass


def test_tensorboard_gets_what_the_history_has(village, tmp_path):
    history = train(
        *village(), tmp_path / "run", log_tensorboard=True, recipe="exercise", **QUICK
    ).epochs
    events = events_in(tmp_path / "run")
    f1 = [value for _, value in events["epoch/f1"]]
    assert f1 == pytest.approx([row.f1 for row in history], nan_ok=True)
    steps = [step for step, _ in events["loss/step"]]
    assert steps == list(range(1, 19)), "two epochs of 9 tiles"
