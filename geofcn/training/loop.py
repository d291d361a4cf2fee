"""Training loop: steps over batches, validation after each epoch, checkpoints in between."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from geofcn.io.labels import LabelledScene, refuse_changed
from geofcn.models.model import Model
from geofcn.progress import Progress, ProgressBar
from geofcn.runtime import keep_freed_memory
from geofcn.training.loader import BatchLoader
from geofcn.training.run import Run
from geofcn.training.state import TrainingState
from geofcn.training.tensorboard import EventWriter
from geofcn.training.trainer import Trainer, learning_rate
from geofcn.training.validation import Validator

# Least time between two checkpoints.
CHECKPOINT_SECONDS = 30

log = logging.getLogger(__name__)


@dataclass
class TrainingLoop:
    """A training from wherever its state stands to the end of its recipe.

    Attributes
    ----------
    trainer : Trainer
        The net in training, with its recipe.
    model : Model
        The net to use, which follows the trainer's, with its normalisation and metadata.
    batches : BatchLoader
        What is learnt from.
    validator : callable
        Scores the model after each epoch.
    state : TrainingState
        How far the training has come; kept up to date.
    run : Run
        The folder that keeps the state and the best weights.
    events : EventWriter
        Told of every step and epoch.
    sources : sequence of LabelledScene
        What is read meanwhile, and must not change.
    """

    trainer: Trainer
    model: Model
    batches: BatchLoader
    validator: Validator
    state: TrainingState
    run: Run
    events: EventWriter
    sources: Sequence[LabelledScene] = ()

    def fit(self, progress: Progress) -> None:
        """Train to the end of the recipe; score after each epoch, and keep the best weights.

        Parameters
        ----------
        progress : callable
            Told of the tiles that are learnt from.

        Raises
        ------
        TrainingError
            When the loss is no longer finite.
        SceneError
            When a scene has changed meanwhile.
        """
        recipe, state = self.trainer.recipe, self.state
        keep_freed_memory()
        total = recipe.epochs * len(self.batches.windows)
        with progress("training", total, "tiles") as bar:
            bar.advance(min(recipe.batch * len(state.losses), total))
            checkpoint_time = time.monotonic()
            while not state.is_finished(recipe):
                checkpoint_time = self._train_epoch(bar, checkpoint_time)
                self._end_epoch()
        self.run.save(self.trainer, state)

    def _train_epoch(self, bar: ProgressBar, checkpoint_time: float) -> float:
        """Learn from the batches of an epoch that are left; the time of the last checkpoint."""
        state, steps = self.state, len(self.batches)
        figures = {"F1": state.history[-1].f1} if state.history else {}
        for batch in self.batches.epoch(state.epoch, state.step):
            result = self.trainer.step(batch, state.epoch, state.step / steps)
            state.step += 1
            state.losses.append(result.loss)
            state.confusion += result.confusion
            self.events.step(len(state.losses), result.loss)
            bar.advance(len(batch.images), loss=result.loss, **figures)
            if time.monotonic() - checkpoint_time > CHECKPOINT_SECONDS:
                self.run.save(self.trainer, state)
                checkpoint_time = time.monotonic()
        return checkpoint_time

    def _end_epoch(self) -> None:
        recipe, state, steps = self.trainer.recipe, self.state, len(self.batches)
        rate = learning_rate(recipe, state.epoch, (steps - 1) / steps)
        scores = self.validator(self.model)
        refuse_changed(self.sources)
        row = state.end_epoch(rate, scores)
        figures = {name: value for name, value in asdict(row).items() if name != "scored_on"}
        self.events.epoch(len(state.losses), figures)
        log.info(
            "epoch %d of %d: loss %.4f, F1 %.2f while it learnt, %.2f in %s",
            row.epoch, recipe.epochs, row.loss, 100 * row.train_f1, 100 * row.f1, row.scored_on,
        )  # fmt: skip
        self.run.keep(self.model, state.history, scores.calibration, state.keeps_last)
