"""Run folder of a training: its state, models, history and plots on disk."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, fields, replace
from math import isnan
from pathlib import Path

import torch

from geofcn.core.metrics import Confusion
from geofcn.defaults import BEST_F1
from geofcn.errors import OutputError, TrainingError
from geofcn.io.files import write_whole
from geofcn.models.model import Model
from geofcn.models.model_file import save_model
from geofcn.training import plots
from geofcn.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from geofcn.training.state import Epoch, TrainingState, best_of
from geofcn.training.trainer import Trainer

RUN_FILES = (
    BEST_F1,
    "best-accuracy.safetensors",
    "last.safetensors",
    "history.csv",
    "loss.png",
    "scores.png",
    "overlay.png",
)
# The state of a training that is not finished.
CHECKPOINT = "unfinished.safetensors"

log = logging.getLogger(__name__)


class Run:
    """A training's folder.

    fingerprint  everything that decides a weight, as plain JSON types
    request      the arguments the training was started with, as plain JSON types

    The folder is made if need be. Raises OutputError where it cannot be used.
    """

    def __init__(self, folder: Path, fingerprint: Mapping, request: Mapping):
        self.folder = folder
        self.fingerprint = fingerprint
        self.request = request
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{folder}: this is a file; give the name of a folder.")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / ".writable"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise OutputError(
                f"{folder}: it cannot be written ({error}); give another -o."
            ) from error

    def unfinished(self, overwrite: bool) -> Checkpoint | None:
        """The state of this very training, if it was left unfinished.

        Raises OutputError where the folder holds another training and must not be overwritten.
        """
        folder = self.folder
        try:
            checkpoint = load_checkpoint(folder / CHECKPOINT)
        except TrainingError:
            if not overwrite:
                raise
            checkpoint = None
        if checkpoint is not None and checkpoint.state.get("fingerprint") == self.fingerprint:
            log.warning("%s: an unfinished training goes on.", folder)
            return checkpoint
        if checkpoint is not None and not overwrite:
            raise OutputError(
                f"{folder}: it holds an unfinished training with other options, or its files have "
                "changed; give --overwrite or another -o (`geofcn train --resume "
                f"{folder}` goes on with the old options)."
            )
        if not overwrite and any((folder / name).exists() for name in RUN_FILES):
            raise OutputError(f"{folder}: it holds a run already; give --overwrite or another -o.")
        return None

    def empty(self) -> None:
        """Remove an older run's files: none of them must be taken for this run's."""
        for name in (*RUN_FILES, CHECKPOINT):
            (self.folder / name).unlink(missing_ok=True)

    def save(self, trainer: Trainer, state: TrainingState) -> None:
        """Keep everything the next step depends on; `restore` brings it back."""
        tensors = trainer.state() | {"losses": torch.tensor(state.losses, dtype=torch.float64)}
        facts = {
            "fingerprint": self.fingerprint,
            "request": self.request,
            "threads": torch.get_num_threads(),
            "epoch": state.epoch,
            "step": state.step,
            "confusion": astuple(state.confusion),
            "history": [astuple(row) for row in state.history],
        }
        save_checkpoint(self.folder / CHECKPOINT, Checkpoint(tensors, facts))

    def keep(self, model: Model, history: Sequence[Epoch]) -> None:
        """Keep the history, the last weights, and those with the best F1 or accuracy; the first of
        equals stays.
        """
        row = history[-1]
        metadata = replace(model.metadata, threshold=row.threshold, scores=_plain(row))
        scored = replace(model, metadata=metadata)
        save_model(scored, self.folder / "last.safetensors")
        for name in ("f1", "accuracy"):
            if best_of([getattr(row, name) for row in history]) == len(history):
                save_model(scored, self.folder / f"best-{name}.safetensors")
        self._write_history(history)

    def plot(self, state: TrainingState) -> None:
        """Draw the loss of every step and the scores of every epoch."""
        history = state.history
        plots.loss_plot(state.losses, len(history), self.folder / "loss.png")
        plots.scores_plot([asdict(row) for row in history], self.folder / "scores.png")

    def finish(self) -> None:
        """From here on the folder holds a finished run."""
        (self.folder / CHECKPOINT).unlink(missing_ok=True)

    def _write_history(self, history: Sequence[Epoch]) -> None:
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(field.name for field in fields(Epoch))
        for row in history:
            writer.writerow(f"{v:.6g}" if isinstance(v, float) else v for v in astuple(row))
        write_whole(self.folder / "history.csv", text.getvalue().encode())


def restore(trainer: Trainer, checkpoint: Checkpoint) -> TrainingState:
    """Bring the trainer back to the checkpoint, and say how far it had come."""
    state, losses = checkpoint.state, checkpoint.tensors["losses"].tolist()
    # Sums round otherwise in other numbers of threads.
    torch.set_num_threads(state["threads"])
    trainer.restore(checkpoint.tensors, len(losses))
    return TrainingState(
        state["epoch"],
        state["step"],
        Confusion(*state["confusion"]),
        losses,
        [Epoch(*row) for row in state["history"]],
    )


def _plain(row: Epoch) -> dict:
    """The row as JSON takes it: a score that is undefined is null."""
    return {key: None if isnan(value) else value for key, value in asdict(row).items()}
