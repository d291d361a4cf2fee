"""State of a training: its history of epochs, and how far it has come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from geofcn.core.metrics import Confusion


@dataclass(frozen=True)
class Epoch:
    """One row of the history: what the epoch learnt, and the scores after it.

    loss, train_f1  means over the epoch's batches, of the net as it was then
    threshold       at which the validation scores stand: the one with the best F1
    ece             expected calibration error of the probabilities that are scored
    """

    epoch: int
    lr: float
    loss: float
    train_f1: float
    precision: float
    recall: float
    f1: float
    accuracy: float
    iou: float
    threshold: float
    ece: float


@dataclass
class TrainingState:
    """How far a training has come: the epoch under way, its steps that are done, what they saw.

    losses  of every step since the first
    """

    epoch: int = 1
    step: int = 0
    seen: Confusion = field(default_factory=Confusion)
    losses: list[float] = field(default_factory=list)
    history: list[Epoch] = field(default_factory=list)

    def end_epoch(self, lr: float, scored: Confusion, threshold: float, ece: float) -> Epoch:
        """Add a row to the history, and stand at the start of the next epoch."""
        losses = self.losses[-self.step :]
        row = Epoch(
            self.epoch,
            lr,
            sum(losses) / len(losses),
            self.seen.f1,
            **scored.scores(),
            threshold=threshold,
            ece=ece,
        )
        self.history.append(row)
        self.epoch, self.step, self.seen = self.epoch + 1, 0, Confusion()
        return row

    def epochs_without_gain(self) -> int:
        """Epochs since the one with the best F1."""
        return len(self.history) - best_of([row.f1 for row in self.history]) if self.history else 0


def best_of(values: Sequence[float]) -> int:
    """Number (from 1) of the first of the largest values; NaN counts as below all."""
    return int(np.argmax(np.nan_to_num(np.array(values, float), nan=-1.0))) + 1
