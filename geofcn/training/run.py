"""Run folder of a training: its checkpoint, models, history and plots on disk."""

from __future__ import annotations

import copy
import csv
import io
import json
import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, astuple, fields, replace
from math import isnan
from pathlib import Path
from typing import Any, get_type_hints

import torch

from geofcn.core.calibration import Calibration, ScoreCalibration
from geofcn.core.metrics import Confusion
from geofcn.defaults import BEST_F1
from geofcn.errors import OutputError, TrainingError
from geofcn.io.files import write_whole
from geofcn.io.labels import LabelledScene, refuse_changed
from geofcn.models.model import Model
from geofcn.models.model_file import load_model, save_model
from geofcn.training import plots
from geofcn.training.annotations import fits
from geofcn.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from geofcn.training.result import REPORT
from geofcn.training.state import Epoch, TrainingState, best_of
from geofcn.training.tensorboard import EVENTS
from geofcn.training.trainer import Trainer

MODELS = (BEST_F1, "best-accuracy.safetensors", "last.safetensors")
# The state of a training that is not finished; and that of one that is, by which it is extended.
CHECKPOINT, FINISHED = "unfinished.safetensors", "finished.safetensors"
# The options of the training, as `geofcn train --config` takes them.
OPTIONS = "run.toml"
RUN_FILES = (
    *MODELS,
    OPTIONS,
    "history.csv",
    "loss.png",
    "scores.png",
    "overlay.png",
    REPORT,
    FINISHED,
)

log = logging.getLogger(__name__)


class Run:
    """A training's folder, made if need be; whoever trains holds its lock, see `geofcn.io.locks`.

    Parameters
    ----------
    folder : Path
        Of the run.
    fingerprint : mapping
        Everything that decides a weight, in plain JSON types.
    request : mapping
        Arguments the training was started with, in plain JSON types.

    Raises
    ------
    OutputError
        Where the folder cannot be written.
    """

    def __init__(self, folder: Path, fingerprint: Mapping[str, Any], request: Mapping[str, Any]):
        self.folder = folder
        self.fingerprint = fingerprint
        self.request = request
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{folder}: this is a file; give the name of a folder.")
        if any("\ud800" <= sign <= "\udfff" for sign in str(folder)):
            raise OutputError(
                f"{folder}: this name is no text, and no model could be read there; give "
                "another -o."
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            raise OutputError(
                f"{folder}: it cannot be written ({error}); give another -o."
            ) from error

    def unfinished(self, overwrite: bool) -> Checkpoint | None:
        """Load the checkpoint of this very training, if it was left unfinished; else None.

        Parameters
        ----------
        overwrite : bool
            Whether another training may be replaced.

        Raises
        ------
        OutputError
            Where the folder holds another training and must not be overwritten.
        TrainingError
            Where it holds a damaged checkpoint and must not be overwritten.
        """
        folder = self.folder
        for name in (*RUN_FILES, CHECKPOINT):
            if (folder / name).is_dir():
                raise OutputError(
                    f"{folder / name}: this is a folder, where a file of the run is to be; remove "
                    "it or give another -o."
                )
        try:
            checkpoint = load_checkpoint(folder / CHECKPOINT)
        except TrainingError:
            if not overwrite:
                raise
            checkpoint = None
        if checkpoint is not None and checkpoint.state.get("fingerprint") == self.fingerprint:
            log.warning("%s: an unfinished training goes on.", folder)
            return checkpoint
        if checkpoint is not None and not overwrite and self._is_resumed(checkpoint):
            raise OutputError(
                f"{folder}: its unfinished training cannot go on: {self._what_changed(checkpoint)} "
                "since; give scene and labels again, with --overwrite, to begin anew."
            )
        if checkpoint is not None and not overwrite:
            raise OutputError(
                f"{folder}: it holds an unfinished training with other options, or its files have "
                "changed; give --overwrite or another -o (`geofcn train --resume "
                f"{folder}` goes on with the old options)."
            )
        if not overwrite and any((folder / name).exists() for name in RUN_FILES):
            raise OutputError(
                f"{folder}: it holds a run already; give --overwrite or another -o (`geofcn train "
                f"--resume {folder} --epochs N` goes on with it to epoch N)."
            )
        return None

    def empty(self) -> None:
        """Remove the files of an older run: none of them must be taken for this run's.

        Raises
        ------
        OutputError
            Where one cannot be removed.
        """
        files = [self.folder / name for name in (*RUN_FILES, CHECKPOINT)]
        try:
            for file in (*files, *(self.folder / EVENTS).glob("events.out.tfevents.*")):
                file.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(
                f"{self.folder}: the files of an older run in it cannot be removed "
                f"({error.strerror}); give another -o."
            ) from error

    def _is_resumed(self, checkpoint: Checkpoint) -> bool:
        """Whether this is what `--resume` asks for: the very options of the checkpoint."""
        return checkpoint.state.get("request") == json.loads(json.dumps(self.request))

    def _what_changed(self, checkpoint: Checkpoint) -> str:
        """What has another fingerprint than when the training was begun."""
        begun = checkpoint.state.get("fingerprint") or {}
        for name in ("geofcn", "torch"):
            if begun.get(name) != self.fingerprint.get(name):
                return f"{name} {begun.get(name)} has become {self.fingerprint.get(name)}"
        return "its files have changed"

    def write_options(self) -> None:
        """Write the options of the training, as a file that starts it again.

        Raises
        ------
        OutputError
            Where it cannot be written.
        """
        write_whole(self.folder / OPTIONS, options_as_toml(self.request, self.folder))

    def save(self, trainer: Trainer, state: TrainingState) -> None:
        """Write a checkpoint: everything the next step depends on; `restore` brings it back."""
        tensors = trainer.state() | {"losses": torch.tensor(state.losses, dtype=torch.float64)}
        facts = {
            "fingerprint": self.fingerprint,
            "request": self.request,
            "threads": torch.get_num_threads(),
            "epochs": trainer.recipe.epochs,
            "epoch": state.epoch,
            "step": state.step,
            "confusion": astuple(state.confusion),
            "history": [astuple(row) for row in state.history],
        }
        save_checkpoint(self.folder / CHECKPOINT, Checkpoint(tensors, facts))

    def restore(self, trainer: Trainer, checkpoint: Checkpoint) -> TrainingState:
        """Bring the trainer back to a checkpoint; returns how far the training had come.

        The number of torch's threads becomes that of the training, too.

        Raises
        ------
        TrainingError
            Where it is no state of such a training.
        """
        try:
            return _restored(trainer, checkpoint)
        except (LookupError, TypeError, ValueError, RuntimeError, OverflowError) as error:
            reason = " ".join(str(error).split())
            raise TrainingError(
                f"{self.folder / CHECKPOINT}: this is no state of this training ({reason}); give "
                "--overwrite to start afresh."
            ) from error

    def keep(
        self,
        model: Model,
        history: Sequence[Epoch],
        calibration: Calibration | None = None,
        keeps_last: bool = False,
    ) -> None:
        """Write the history, the last weights, and those with the best F1 and accuracy so far.

        Of epochs that are equally good the first one's weights stay. With `keeps_last` all are the
        last weights: scores of what was learnt from tell no epoch from the next.

        Parameters
        ----------
        model : Model
            With the weights of the last epoch.
        history : sequence of Epoch
            All epochs, at least one.
        calibration : Calibration, optional
            Of the probabilities of these weights.
        keeps_last : bool
            See above.
        """
        row = history[-1]
        metadata = replace(
            model.metadata, threshold=row.threshold, calibration=calibration, scores=_plain(row)
        )
        scored = replace(model, metadata=metadata)
        save_model(scored, self.folder / "last.safetensors")
        for name in ("f1", "accuracy"):
            if keeps_last or best_of([getattr(row, name) for row in history]) == len(history):
                save_model(scored, self.folder / f"best-{name}.safetensors")
        self._write_history(history)

    def calibrate_scores(
        self,
        calibrate: Callable[[Model], ScoreCalibration | None],
        sources: Sequence[LabelledScene] = (),
    ) -> None:
        """Add the calibration of its scores to every model that is kept.

        Parameters
        ----------
        calibrate : callable
            From a Model to the calibration.
        sources : sequence of LabelledScene
            What it reads, and what must not change meanwhile.

        Raises
        ------
        SceneError
            When a scene has changed.
        """
        for name in MODELS:
            model = load_model(self.folder / name)
            metadata = replace(model.metadata, score_calibration=calibrate(model))
            refuse_changed(sources)
            save_model(replace(model, metadata=metadata), self.folder / name)

    def plot(self, state: TrainingState) -> None:
        """Plot the loss of every step and the scores of every epoch."""
        history = state.history
        plots.loss_plot(state.losses, len(history), self.folder / "loss.png")
        plots.scores_plot(
            [asdict(row) for row in history], self.folder / "scores.png", state.keeps_last
        )

    def finish(self) -> None:
        """Rename the checkpoint: from here on the folder holds a finished run.

        Raises
        ------
        OutputError
            Where it cannot be renamed.
        """
        try:
            (self.folder / CHECKPOINT).replace(self.folder / FINISHED)
        except OSError as error:
            raise OutputError(
                f"{self.folder / FINISHED}: it cannot be written ({error.strerror}); run the same "
                "command again to go on."
            ) from error

    def _write_history(self, history: Sequence[Epoch]) -> None:
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(field.name for field in fields(Epoch))
        for row in history:
            writer.writerow(
                f"{value:.6g}" if isinstance(value, float) else value for value in astuple(row)
            )
        write_whole(self.folder / "history.csv", text.getvalue().encode())


def options_as_toml(request: Mapping[str, Any], folder: Path) -> bytes:
    """Arguments of a training in the words of the command line, but for what is none, as TOML.

    Parameters
    ----------
    request : mapping
        See Run.
    folder : Path
        Of the run.

    Examples
    --------
    >>> request = {"scene": "/a.tif", "and_": [["/b.tif", "/b.gpkg"]], "seed": None}
    >>> print(options_as_toml(request, Path("/run")).decode(), end="")
    scene = "/a.tif"
    and = [
        [
            "/b.tif",
            "/b.gpkg",
        ],
    ]
    output = "/run"
    """
    import tomli_w

    # As the checkpoint keeps them: of a subclass of a number only its value.
    plain = json.loads(json.dumps({**request, "output": str(folder.absolute())}))
    spoken = {
        name.strip("_").replace("_", "-"): value
        for name, value in plain.items()
        if value is not None and value is not False and value != []
    }
    return tomli_w.dumps(spoken).encode(errors="surrogateescape")


def checkpoint_to_resume(folder: Path, epochs: int | None = None) -> Checkpoint:
    """Load the state that a training goes on from.

    Parameters
    ----------
    folder : Path
        Of the run.
    epochs : int, optional
        Epochs that the training is to have, more than it was started with, whatever its patience
        says; it may be finished then. Its checkpoint in `folder` becomes that of an unfinished
        training of so many epochs.

    Raises
    ------
    OutputError
        Where the folder holds no such training, or one that has as many epochs.
    TrainingError
        Where its state is damaged.
    """
    if not folder.is_dir():
        raise OutputError(
            f"{folder}: there is no such folder; give that of an unfinished training."
        )
    checkpoint = load_checkpoint(folder / CHECKPOINT)
    if checkpoint is not None and epochs in (None, checkpoint.state.get("epochs")):
        return checkpoint
    if epochs is None:
        raise OutputError(
            f"{folder}: it holds no unfinished training; give a scene and labels, or --epochs N to "
            "go on with a finished one."
        )
    checkpoint = checkpoint or load_checkpoint(folder / FINISHED)
    if checkpoint is None:
        raise OutputError(
            f"{folder}: it holds no training that could go on; start from its model by --from."
        )
    planned = checkpoint.state.get("epochs")
    if not isinstance(planned, int):
        raise TrainingError(
            f"{folder}: its training does not say how many epochs it has; start from its model by "
            "--from."
        )
    if epochs <= planned:
        raise OutputError(f"{folder}: its training has {planned} epochs; give --epochs above that.")
    try:
        extended = _extended(checkpoint, epochs)
    except (LookupError, TypeError, AttributeError) as error:
        raise TrainingError(
            f"{folder}: its training does not say how it was begun ({error}); start from its model "
            "by --from."
        ) from error
    save_checkpoint(folder / CHECKPOINT, extended)
    return extended


def _extended(checkpoint: Checkpoint, epochs: int) -> Checkpoint:
    """The same state of a training of so many epochs."""
    facts = copy.deepcopy(checkpoint.state)
    # Whoever asks for more epochs is not to be told that the last ones brought nothing.
    longer = {"epochs": epochs, "patience": 0}
    facts["epochs"] = epochs
    facts["request"] |= longer
    facts["fingerprint"]["recipe"] |= longer
    return Checkpoint(checkpoint.tensors, facts)


def withdraw_extension(folder: Path) -> None:
    """Remove the state of an extension that took no step: the run is a finished one, as before."""
    states = [load_checkpoint(folder / name) for name in (CHECKPOINT, FINISHED)]
    places = [state and (state.state.get("epoch"), state.state.get("step")) for state in states]
    if all(states) and places[0] == places[1]:
        (folder / CHECKPOINT).unlink()


def _restored(trainer: Trainer, checkpoint: Checkpoint) -> TrainingState:
    """See Run.restore; raises errors of several classes for what is no such state."""
    state, losses = checkpoint.state, checkpoint.tensors["losses"].tolist()
    numbers = [state["epoch"], state["step"], state["threads"], *state["confusion"]]
    whole = fits(numbers, Sequence[int]) and len(state["confusion"]) == len(fields(Confusion))
    if not (whole and fits(losses, Sequence[float])):
        raise TypeError("its steps, threads, counts or losses are no numbers")
    types = list(get_type_hints(Epoch).values())
    for row in state["history"]:
        if not all(fits(value, kind) for value, kind in zip(row, types, strict=True)):
            raise TypeError(f"its history holds {row}")
    history = [Epoch(*row) for row in state["history"]]
    if len(history) != state["epoch"] - 1:
        raise ValueError(f"it is in epoch {state['epoch']} after {len(history)}")
    # In another number of threads sums would round in another way.
    torch.set_num_threads(state["threads"])
    trainer.restore(checkpoint.tensors, len(losses))
    confusion = Confusion(*state["confusion"])
    return TrainingState(state["epoch"], state["step"], confusion, losses, history)


def _plain(row: Epoch) -> dict[str, float | str | None]:
    """The row as JSON takes it: a score that is undefined is null."""
    return {
        key: None if isinstance(value, float) and isnan(value) else value
        for key, value in asdict(row).items()
    }
