import copy
import csv
import errno
import math
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from run_folder import contents

from geofcn.core.calibration import Calibration, ScoreCalibration
from geofcn.core.metrics import Confusion
from geofcn.errors import LabelsError, OutputError, TrainingError, UsageError
from geofcn.models.model_file import load_model, model_digest
from geofcn.models.nets import make_net
from geofcn.recipes import DEFAULT
from geofcn.training import train as train_module
from geofcn.training.checkpoint import Checkpoint, save_checkpoint
from geofcn.training.run import CHECKPOINT, FINISHED, MODELS, RUN_FILES, Run
from geofcn.training.state import Epoch, TrainingState
from geofcn.training.train import SURVEY, resume, train
from geofcn.training.trainer import Batch, Trainer
from geofcn.training.validation import ValidationScores

# Small enough for a blink: 64 pixels are 2 x 2 tiles.
QUICK = {"tile": 32, "epochs": 2, "device": "cpu"}
SHORT = {**QUICK, "batch": 1, "stride": 32}


def equal(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def row(epoch: int, f1: float, accuracy: float, threshold: float = 0.5) -> Epoch:
    return Epoch(epoch, 0.1, 1 / 3, f1, f1, f1, f1, accuracy, f1, threshold, 0.0)


# --- what a folder holds ---


def test_an_unfinished_run_of_another_version_is_no_reason_to_resume_it(tmp_path, make_model):
    request = {"scene": "a.tif", "and_": ()}
    old = Run(tmp_path / "run", {"geofcn": "0.1.0", "torch": "2.4"}, request)
    net = make_model().net
    old.save(Trainer(net, DEFAULT), TrainingState())
    new = Run(tmp_path / "run", {"geofcn": "0.3.0", "torch": "2.4"}, request)
    with pytest.raises(OutputError, match=r"geofcn 0\.1\.0 has become 0\.3\.0 since.*--overwrite"):
        new.unfinished(overwrite=False)
    new = Run(tmp_path / "run", {"geofcn": "0.1.0", "torch": "2.4", "sources": 1}, request)
    with pytest.raises(OutputError, match=r"its files have changed since.*--overwrite"):
        new.unfinished(overwrite=False)
    other = Run(tmp_path / "run", {"geofcn": "0.3.0"}, {"scene": "b.tif"})
    with pytest.raises(OutputError, match=r"with other options.*--resume"):
        other.unfinished(overwrite=False)


@pytest.mark.parametrize("name", ["history.csv", CHECKPOINT])
def test_a_folder_under_the_name_of_a_file_is_refused(tmp_path, name):
    run = Run(tmp_path / "run", {}, {})
    (run.folder / name).mkdir()
    with pytest.raises(OutputError, match=f"{name}: this is a folder"):
        run.unfinished(overwrite=True)


@pytest.mark.parametrize("state", [{}, {"request": [1]}, {"request": {"labels": "a.tif"}}])
def test_a_state_that_does_not_say_how_it_was_begun_is_not_resumed(tmp_path, state):
    save_checkpoint(tmp_path / CHECKPOINT, Checkpoint({"losses": torch.zeros(1)}, state))
    with pytest.raises(TrainingError, match="does not say how it was begun"):
        resume(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scene", 3), ("labels", None), ("and_", "ab"), ("and_", [["a"]]), ("validate", ["a"]),
        ("from_", {}), ("net", ["fcnn"]), ("bands", [True]), ("class_weights", 1), ("tile", "8"),
        ("epochs", 1.5), ("log_tensorboard", 1), ("recipe", []), ("area", 0), ("seed", [1]),
    ],
)  # fmt: skip
def test_a_request_of_another_type_is_one_sentence(tmp_path, name, value):
    request = {"scene": "a.tif", "labels": "b.tif", name: value}
    save_checkpoint(
        tmp_path / CHECKPOINT, Checkpoint({"losses": torch.zeros(1)}, {"request": request})
    )
    with pytest.raises(TrainingError, match=rf"^{tmp_path}: .* was begun \({name} .*--overwrite"):
        resume(tmp_path)


@pytest.mark.parametrize("state", [{"request": 3}, {"request": {}, "fingerprint": {"recipe": 1}}])
def test_a_finished_state_that_does_not_say_how_it_was_begun_is_not_extended(tmp_path, state):
    checkpoint = Checkpoint({"losses": torch.zeros(1)}, {"epochs": 2, "fingerprint": {}, **state})
    save_checkpoint(tmp_path / FINISHED, checkpoint)
    with pytest.raises(TrainingError, match="does not say how it was begun"):
        resume(tmp_path, epochs=3)
    assert [path.name for path in tmp_path.iterdir()] == [FINISHED]


def test_events_of_an_older_run_go_and_other_files_of_their_folder_stay(tmp_path):
    run = Run(tmp_path / "run", {}, {})
    events = run.folder / "tensorboard"
    events.mkdir()
    (events / "events.out.tfevents.1.host.0").touch()
    (events / "notes.txt").touch()
    run.empty()
    assert [path.name for path in events.iterdir()] == ["notes.txt"]


# --- models and history ---


def test_the_first_of_the_best_epochs_keeps_its_weights(make_model, tmp_path):
    run = Run(tmp_path / "run", {}, {})
    scores = [(0.5, 0.5), (0.8, 0.5), (0.8, 0.9), (math.nan, 0.5)]
    history, models = [], []
    for epoch, (f1, accuracy) in enumerate(scores, start=1):
        history.append(row(epoch, f1, accuracy, 0.5 + epoch / 100))
        models.append(make_model(seed=epoch))
        run.keep(models[-1], history, Calibration(epoch, 0.0, 0.5))
    for name, epoch in (("best-f1", 2), ("best-accuracy", 3), ("last", 4)):
        model = load_model(run.folder / f"{name}.safetensors")
        assert equal(model.net.state_dict(), models[epoch - 1].net.state_dict()), name
        assert model.metadata.scores["epoch"] == epoch
        assert model.metadata.threshold == pytest.approx(0.5 + epoch / 100)
        assert model.metadata.calibration.slope == epoch
    assert load_model(run.folder / "last.safetensors").metadata.scores["f1"] is None, "undefined"


def test_where_nothing_tells_epochs_apart_the_last_weights_are_the_best(make_model, tmp_path):
    run = Run(tmp_path / "run", {}, {})
    history = [row(1, 0.9, 0.9), row(2, 0.5, 0.5)]
    for epoch in (1, 2):
        run.keep(make_model(seed=epoch), history[:epoch], keeps_last=True)
    for name in ("best-f1", "best-accuracy", "last"):
        assert load_model(run.folder / f"{name}.safetensors").metadata.scores["epoch"] == 2


def test_each_model_that_is_kept_gets_the_scores_of_its_own_houses(make_model, tmp_path):
    run = Run(tmp_path / "run", {}, {})
    history = [row(1, 0.8, 0.5)]
    run.keep(make_model(seed=1), history, Calibration(2.0, 0.0, 0.5))
    history.append(row(2, 0.7, 0.9, 0.25))
    run.keep(make_model(seed=2), history)
    digests = {name: model_digest(load_model(run.folder / name)) for name in MODELS}
    run.calibrate_scores(lambda model: ScoreCalibration(model.metadata.threshold, 0.0))
    for name, threshold in zip(MODELS, (0.5, 0.25, 0.25), strict=True):
        model = load_model(run.folder / name)
        assert model.metadata.score_calibration == ScoreCalibration(threshold, 0.0)
        assert model_digest(model) == digests[name]
    assert load_model(run.folder / MODELS[0]).metadata.calibration.slope == 2.0, "all else stays"


def test_the_history_is_a_table_of_six_digits(make_model, tmp_path):
    run = Run(tmp_path / "run", {}, {})
    run.keep(make_model(), [row(1, math.nan, 0.5), row(2, 2 / 3, 1.0)])
    with open(run.folder / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(vars(row(1, 0, 0)))
    assert (rows[0]["f1"], rows[1]["f1"], rows[1]["loss"]) == ("nan", "0.666667", "0.333333")
    assert [line["epoch"] for line in rows] == ["1", "2"]
    assert rows[0]["scored_on"] == "validation"


def test_best_weights_are_copies_of_the_first_best_epoch(village, tmp_path, monkeypatch):
    confusions = [  # f1: .5, .8, .8, .67; accuracy: .5, .5, .9, .5
        Confusion(1, 1, 1, 1), Confusion(2, 1, 0, 0), Confusion(2, 1, 0, 7), Confusion(1, 1, 0, 0),
    ]  # fmt: skip
    states = []

    def validate_model(model):
        states.append(copy.deepcopy(model.net.state_dict()))
        return ValidationScores(confusions[len(states) - 1], 0.5 + len(states) / 100, 0.0)

    monkeypatch.setattr(train_module, "make_validator", lambda *_: validate_model)
    scene, labels = village()
    run = tmp_path / "run"
    train(scene, labels, run, recipe="exercise", tile=32, epochs=4, device="cpu")
    for name, epoch in (("best-f1", 2), ("best-accuracy", 3), ("last", 4)):
        model = load_model(run / f"{name}.safetensors")
        assert equal(model.net.state_dict(), states[epoch - 1]), name
        assert model.metadata.scores["epoch"] == epoch
        assert model.metadata.threshold == pytest.approx(0.5 + epoch / 100)
    assert not equal(states[1], states[3]), "training went on"


@pytest.mark.parametrize("action", ["empty", "finish"])
def test_a_folder_that_lets_nothing_go_is_an_error(tmp_path, monkeypatch, action):
    run = Run(tmp_path / "run", {}, {})
    (run.folder / CHECKPOINT).touch()

    def refuse(*args, **options):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OutputError, match=rf"{tmp_path}.*cannot be .* \(Permission denied\); "):
        getattr(run, action)()


# --- checkpoints ---


def trainer_with(seed: int) -> Trainer:
    torch.manual_seed(seed)
    return Trainer(make_net("fcnn", 1), replace(DEFAULT, epochs=2))


@pytest.fixture
def saved_state(tmp_path):
    """A run, and its checkpoint after the first step of the second epoch."""
    trainer, shares = trainer_with(0), np.ones((1, 8, 8), np.float32)
    result = trainer.step(Batch(np.ones((1, 1, 8, 8), np.float32), shares, shares), 1, 0.0)
    run = Run(tmp_path / "run", {}, {})
    run.save(trainer, TrainingState(2, 1, result.confusion, [result.loss], [row(1, 0.5, 0.5)]))
    return run, run.unfinished(overwrite=False)


def test_a_saved_training_is_restored_as_it_was(tmp_path, monkeypatch):
    trainer = trainer_with(0)
    random = np.random.default_rng(0)
    shares = np.ones((1, 8, 8), np.float32)
    batch = Batch(random.normal(size=(1, 1, 8, 8)).astype(np.float32), shares, shares)
    results = [trainer.step(batch, 1, 0.0) for _ in range(3)]
    state = TrainingState(
        epoch=2,
        step=1,
        confusion=results[2].confusion,
        losses=[result.loss for result in results],
        history=[row(1, 0.25, 0.5)],
    )
    run = Run(tmp_path / "run", {"tile": 8}, {})
    run.save(trainer, state)

    checkpoint = Run(tmp_path / "run", {"tile": 8}, {}).unfinished(overwrite=False)
    restored = trainer_with(1)
    threads = []
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    assert run.restore(restored, checkpoint) == state
    assert equal(restored.state(), trainer.state()) and restored.steps == 3
    assert threads == [torch.get_num_threads()]
    run.finish()
    assert [path.name for path in run.folder.iterdir()] == [FINISHED]
    assert run.unfinished(overwrite=True) is None


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": "2"}, {"epoch": 3}, {"epoch": None}, {"step": 1.5}, {"threads": 0},
        {"threads": "x"}, {"confusion": [1]}, {"confusion": 3}, {"confusion": [1, 2, 3, None]},
        {"history": []}, {"history": [[1]]}, {"history": [["x"] * 12]}, {"history": {}},
        {"losses": None}, {"losses": torch.zeros(2, 2)}, {"net.conv1.bias": None},
        {"net.conv1.bias": torch.zeros(3)}, {"optimizer.0.step": None},
        {"optimizer.0.exp_avg": torch.zeros(3)},
    ],
    ids=str,
)  # fmt: skip
def test_a_state_of_something_else_is_one_sentence(saved_state, change):
    run, checkpoint = saved_state
    for name, value in change.items():
        if "." in name or name == "losses":
            assert name in checkpoint.tensors
            tensors = checkpoint.tensors | {name: value}
            if value is None:
                del tensors[name]
            checkpoint = replace(checkpoint, tensors=tensors)
        else:
            checkpoint = replace(checkpoint, state=checkpoint.state | {name: value})
    with pytest.raises(TrainingError, match=rf"{CHECKPOINT}: this is no state .*--overwrite"):
        run.restore(trainer_with(1), checkpoint)


def test_an_undefined_score_outlives_a_checkpoint(tmp_path):
    run, trainer = Run(tmp_path / "run", {}, {}), trainer_with(0)
    run.save(trainer, TrainingState(epoch=2, history=[row(1, math.nan, 0.5)]))
    history = run.restore(trainer, run.unfinished(overwrite=False)).history
    assert math.isnan(history[0].f1) and history[0].accuracy == 0.5


def test_another_training_does_not_go_on_in_its_place(village, tmp_path, stop_training):
    pair, run = village(96), tmp_path / "run"
    stop_training(4, *pair, run, **SHORT)
    before = contents(run)
    with pytest.raises(OutputError, match=r"unfinished training.*--resume"):
        train(*pair, run, **{**SHORT, "lr": 0.1})
    assert contents(run) == before
    assert len(train(*pair, run, overwrite=True, **{**SHORT, "lr": 0.1}).epochs) == 2
    with pytest.raises(OutputError, match="no unfinished training"):
        resume(run)


def test_a_changed_scene_is_not_gone_on_with(village, tmp_path, stop_training):
    scene, labels = village(96)
    run = tmp_path / "run"
    stop_training(4, scene, labels, run, **SHORT)
    os.utime(labels, ns=(1, 1))
    with pytest.raises(OutputError, match=r"unfinished training.*--overwrite"):
        resume(run)


def test_a_damaged_state_is_said_and_can_be_overwritten(village, tmp_path, stop_training):
    pair, run = village(96), tmp_path / "run"
    stop_training(4, *pair, run, **SHORT)
    (run / CHECKPOINT).write_bytes(b"nonsense")
    with pytest.raises(TrainingError, match=r"damaged.*--overwrite"):
        train(*pair, run, **SHORT)
    assert len(train(*pair, run, overwrite=True, **SHORT).epochs) == 2


# --- the folder ---


def test_a_run_is_not_overwritten_unless_asked_to(village, tmp_path):
    scene, labels = village()
    run = tmp_path / "run"
    train(scene, labels, run, recipe="exercise", **QUICK)
    (run / "mine.txt").write_text("keep me")
    before = contents(run)
    with pytest.raises(OutputError, match=r"run: it holds a run already; give --overwrite"):
        train(scene, labels, run, recipe="exercise", **QUICK)
    assert contents(run) == before
    train(scene, labels, run, recipe="exercise", seed=3, overwrite=True, **QUICK)
    assert sorted(contents(run)) == sorted([*RUN_FILES, SURVEY, "mine.txt"])
    assert (run / "last.safetensors").read_bytes() != before["last.safetensors"]


def test_an_older_run_outlives_a_training_that_is_refused(
    village, write_raster, tmp_path, monkeypatch
):
    scene, labels = village()
    run = tmp_path / "run"
    train(scene, labels, run, recipe="exercise", **QUICK)
    empty = write_raster("empty.tif", np.zeros((64, 64), np.uint8))
    before = contents(run)
    with pytest.raises(LabelsError, match="no house"):
        train(scene, empty, run, recipe="exercise", overwrite=True, **QUICK)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UsageError, match="not installed"):
        train(scene, labels, run, log_tensorboard=True, overwrite=True, **QUICK)
    assert contents(run) == before


def test_a_training_that_is_refused_leaves_nothing(village, write_raster, tmp_path, monkeypatch):
    scene, _ = village()
    empty = write_raster("empty.tif", np.zeros((64, 64), np.uint8))
    with pytest.raises(LabelsError, match="no house"):
        train(scene, empty, tmp_path / "new" / "run", **QUICK)
    assert not (tmp_path / "new").exists()
    run = tmp_path / "run"
    run.mkdir()
    with pytest.raises(LabelsError, match="no house"):
        train(scene, empty, run, **QUICK)
    assert contents(run) == {}, "a folder that was there stays"


def test_a_file_or_a_locked_place_is_no_run_folder(village, tmp_path, monkeypatch):
    pair = village()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="this is a file"):
        train(*pair, tmp_path / "file", **QUICK)
    with pytest.raises(OutputError, match="cannot be written"):
        train(*pair, tmp_path / "file" / "below", **QUICK)

    def denied(**options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", denied)
    with pytest.raises(OutputError, match=r"cannot be written.*Permission denied"):
        train(*pair, tmp_path / "locked", **QUICK)


def test_a_folder_whose_name_is_no_text_is_refused(tmp_path):
    """A model in it could be written, but not read."""
    folder = tmp_path / os.fsdecode(b"run\xff")
    with pytest.raises(OutputError, match="this name is no text, and no model could be read there"):
        Run(folder, {}, {})
    assert not folder.exists()
