import math
import subprocess
import sys
import time

import pytest
from run_folder import contents

from geofcn.core.metrics import Confusion
from geofcn.errors import TrainingError
from geofcn.models.model_file import load_model
from geofcn.recipes import make_recipe
from geofcn.training import train as train_module
from geofcn.training import trainer
from geofcn.training.run import CHECKPOINT
from geofcn.training.train import resume, train
from geofcn.training.trainer import learning_rate
from geofcn.training.validation import ValidationScores

# Small enough for a blink: 64 pixels are 2 x 2 tiles.
QUICK = {"tile": 32, "epochs": 2, "device": "cpu"}


# --- epochs ---


def test_the_history_holds_the_means_of_the_steps_and_the_scores_of_the_validator(
    village, tmp_path, monkeypatch
):
    losses, confusions, step = [], [], trainer.Trainer.step

    def remember_result(self, *args):
        result = step(self, *args)
        losses.append(result.loss)
        confusions.append(result.confusion)
        return result

    monkeypatch.setattr(trainer.Trainer, "step", remember_result)
    scores = ValidationScores(Confusion(3, 1, 1, 5), 0.25, 0.125)
    monkeypatch.setattr(train_module, "make_validator", lambda *_: lambda model: scores)
    options = {**QUICK, "stride": 32, "batch": 3, "lr": 1e-3, "recipe": "exercise"}
    first, second = train(*village(), tmp_path / "run", **options).epochs
    assert len(losses) == 4, "two epochs of 4 tiles, in batches of 3"
    assert first.loss == pytest.approx((losses[0] + losses[1]) / 2)
    assert second.loss == pytest.approx((losses[2] + losses[3]) / 2)
    assert second.train_f1 == (confusions[2] + confusions[3]).f1
    assert (second.precision, second.accuracy, second.threshold, second.ece) == (
        0.75, 0.8, 0.25, 0.125,
    )  # fmt: skip
    assert second.lr == 1e-3


def test_patience_ends_a_training_that_gets_no_better(village, tmp_path, monkeypatch):
    scores = iter([0.1, 0.5, 0.4, 0.5, 0.2, 0.9])

    def validate_model(model):
        f1 = next(scores)
        return ValidationScores(
            Confusion(int(1000 * f1), 1000 - int(1000 * f1), 1000 - int(1000 * f1)), 0.5, 0
        )

    monkeypatch.setattr(train_module, "make_validator", lambda *_: validate_model)
    options = {**QUICK, "epochs": 6, "validate": village(seed=1, name="other")}
    history = train(*village(), tmp_path / "run", **options, patience=3).epochs
    assert [row.epoch for row in history] == [1, 2, 3, 4, 5]
    best = load_model(tmp_path / "run" / "best-f1.safetensors").metadata
    assert best.scores["epoch"] == 2


class Bar:
    """A progress bar that adds up, and keeps its figures."""

    def __init__(self):
        self.totals, self.amounts, self.figures = [], [], []

    def __call__(self, what, total, unit):
        self.training = what == "training"
        if self.training:
            self.totals.append(total)
        return self

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def advance(self, amount, **figures):
        if self.training:
            self.amounts.append(amount)
            self.figures.append(figures)


def test_progress_counts_tiles_and_shows_loss_and_f1(village, tmp_path, stop_training):
    pair, run = village(), tmp_path / "run"
    options = {**QUICK, "stride": 32, "batch": 3, "validate_fraction": 0.0}
    bar = Bar()
    stop_training(4, *pair, run, **options)
    train(*pair, run, progress=bar, **options)
    # Three of four steps, of 3, 1 and 3 tiles, are done already, counted as full ones.
    assert bar.totals == [8] and bar.amounts == [8, 1]
    assert bar.figures[0] == {} and bar.figures[1].keys() == {"loss", "F1"}


# --- a training that is stopped ---


@pytest.mark.parametrize("recipe", ["exercise", "default"])
@pytest.mark.parametrize("step", [1, 4, 11, 21])
def test_a_stopped_training_goes_on_to_the_same_files(
    village, tmp_path, stop_training, recipe, step
):
    # 25 tiles: 3 epochs of 7 steps.
    pair, options = village(160), {**QUICK, "epochs": 3, "batch": 4, "recipe": recipe}
    options |= {"validate_fraction": 0.0, "stride": 32}
    if recipe == "default" and step != 11:
        options["net"] = "unet"  # which takes a third of the time of the default net
    straight, run = tmp_path / "straight", tmp_path / "run"
    expected = train(*pair, straight, **options).epochs
    stop_training(step, *pair, run, **options)
    assert (run / CHECKPOINT).exists()
    result = train(*pair, run, **options) if step % 2 else resume(run)
    assert result.epochs == expected
    assert contents(run) == contents(straight)


def test_a_finished_training_that_is_extended_is_the_longer_one(village, tmp_path):
    # The rate of the exercise is halved by the epoch, not by the share of the training.
    pair, options = village(96), {**QUICK, "recipe": "exercise", "stride": 16}
    straight, run = tmp_path / "straight", tmp_path / "run"
    train(*pair, straight, **options | {"epochs": 4, "patience": 0})
    train(*pair, run, **options | {"epochs": 2, "patience": 1})
    resume(run, epochs=3)
    assert len(resume(run, epochs=4).epochs) == 4
    assert contents(run) == contents(straight)


def test_an_extension_that_is_stopped_goes_on_to_the_same_files(village, tmp_path, monkeypatch):
    pair, options = village(160), {**QUICK, "net": "fcnn", "stride": 32, "batch": 4, "epochs": 2}
    straight, run = tmp_path / "straight", tmp_path / "run"
    for folder in (straight, run):
        train(*pair, folder, **options)
    models = contents(run)
    expected = resume(straight, epochs=4).epochs
    longer = make_recipe("default", {"net": "fcnn", "epochs": 4})
    assert learning_rate(longer, 3, 1) < expected[2].lr < learning_rate(longer, 3, 0)
    with monkeypatch.context() as patch:
        patch.setattr(trainer.Trainer, "step", None)
        with pytest.raises(TypeError):
            resume(run, epochs=4)
    assert models.items() <= contents(run).items(), "what was finished is as it was"
    assert resume(run, epochs=4).epochs == expected
    assert contents(run) == contents(straight)


def test_a_training_stopped_between_checkpoints_goes_on_too(village, tmp_path, stop_training):
    pair, options = village(96), {**QUICK, "batch": 1, "stride": 32, "epochs": 3}
    straight, run = tmp_path / "straight", tmp_path / "run"
    train(*pair, straight, **options)
    stop_training(12, *pair, run, every=1000, **options)
    assert (run / "last.safetensors").exists(), "an epoch is done"
    train(*pair, run, **options)
    assert contents(run) == contents(straight)


def test_a_training_that_is_killed_again_and_again_ends_the_same(village, tmp_path):
    pair, straight, run = village(96), tmp_path / "straight", tmp_path / "run"
    code = (
        "import sys, torch; torch.set_num_threads(1)\n"
        "from geofcn.training import loop; loop.CHECKPOINT_SECONDS = 0\n"
        "from geofcn_cli.main import main; main(sys.argv[1:])"
    )
    options = ("--net", "fcnn2", "--tile", 32, "--epochs", 30, "--device", "cpu", "-q")
    command = [sys.executable, "-c", code, "train", *map(str, (*pair, "-o", run, *options))]
    kills = 0
    while kills < 3:
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        while process.poll() is None and not (run / CHECKPOINT).exists():
            time.sleep(0.01)
        # A while after what it went on from: some epochs, or the drawing at the end.
        time.sleep(2.5 + 0.5 * kills if kills else 0.1)
        if process.poll() is not None:
            break
        process.kill()
        process.communicate()
        kills += 1
    assert kills >= 1
    assert subprocess.run(command, capture_output=True).returncode in (0, 1)
    train(*pair, straight, net="fcnn2", tile=32, epochs=30, device="cpu")
    assert contents(run) == contents(straight)


# --- what goes wrong ---


def test_a_diverged_training_stops_and_keeps_what_it_has(village, tmp_path, monkeypatch):
    scene, labels = village()
    steps, weighted_loss = [], trainer.weighted_loss

    def breaks_in_epoch_two(logits, *rest):
        steps.append(1)
        return weighted_loss(logits, *rest) * (math.nan if len(steps) > 10 else 1)

    monkeypatch.setattr(trainer, "weighted_loss", breaks_in_epoch_two)
    run = tmp_path / "run"
    with pytest.raises(TrainingError, match=r"loss became nan in epoch 2.*--lr"):
        train(scene, labels, run, recipe="exercise", **QUICK)
    for name in ("last", "best-f1", "best-accuracy"):
        assert load_model(run / f"{name}.safetensors").metadata.scores["epoch"] == 1
    assert len((run / "history.csv").read_text().splitlines()) == 2


def test_an_absurd_learning_rate_is_a_training_error(village, tmp_path):
    with pytest.raises(TrainingError, match="lower --lr"):
        train(*village(), tmp_path / "run", recipe="exercise", lr=1e30, **QUICK)
