"""State of a training: its history of epochs, losses, and the step it has come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from geofcn.core.metrics import Confusion
from geofcn.recipes import Recipe
from geofcn.training.validation import ValidationScores


@dataclass(frozen=True)
class Epoch:
    """Row of the history: loss and F1 of an epoch's training, and the scores after it.

    Attributes
    ----------
    epoch : int
        From 1.
    lr : float
        Learning rate of the last step.
    loss, train_f1 : float
        Means over the epoch's batches, of the net as it was then.
    precision, recall, f1, accuracy, iou : float
        Scores, fractions of 1, NaN if undefined.
    threshold : float
        At which they stand: the one with the best F1, or near a parent's.
    ece : float
        Expected calibration error of the probabilities that are scored.
    scored_on : {"validation", "training"}
        Whether what is scored was kept from training, or is what is learnt from.
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
    scored_on: str = "validation"


@dataclass
class TrainingState:
    """How far a training has come.

    Attributes
    ----------
    epoch : int
        The epoch under way, from 1.
    step : int
        Its steps that are done.
    confusion : Confusion
        What these saw.
    losses : list of float
        Of every step since the first.
    history : list of Epoch
        Of the epochs that are over.
    scored_on : {"validation", "training"}
        What the epochs are scored on.
    keeps_last : bool
        Whether the weights to use are the last ones, and not those with the best score.
    """

    epoch: int = 1
    step: int = 0
    confusion: Confusion = field(default_factory=Confusion)
    losses: list[float] = field(default_factory=list)
    history: list[Epoch] = field(default_factory=list)
    scored_on: str = "validation"
    keeps_last: bool = False

    def end_epoch(self, lr: float, scores: ValidationScores) -> Epoch:
        """Add a row to the history, and go to the start of the next epoch.

        Parameters
        ----------
        lr : float
            Learning rate of the last step.
        scores : ValidationScores
            Of the model after it.

        Returns
        -------
        Epoch
            The new row.
        """
        losses = self.losses[-self.step :]
        row = Epoch(
            epoch=self.epoch,
            lr=lr,
            loss=sum(losses) / len(losses),
            train_f1=self.confusion.f1,
            **scores.confusion.scores(),
            threshold=scores.threshold,
            ece=scores.ece,
            scored_on=self.scored_on,
        )
        self.history.append(row)
        self.epoch, self.step, self.confusion = self.epoch + 1, 0, Confusion()
        return row

    def is_finished(self, recipe: Recipe) -> bool:
        """Whether all epochs are done, or recipe.patience of them in a row brought no better F1."""
        if self.epoch > recipe.epochs:
            return True
        return bool(recipe.patience and self.epochs_without_gain() >= recipe.patience)

    def epochs_without_gain(self) -> int:
        """Epochs since the one with the best F1; 0 before the first."""
        return len(self.history) - best_of([row.f1 for row in self.history]) if self.history else 0


def best_of(values: Sequence[float]) -> int:
    """Number (from 1) of the first of the largest values, scores from 0 up; NaN is below all.

    Examples
    --------
    >>> best_of([0.1, float("nan"), 0.3, 0.3])
    3
    """
    return int(np.argmax(np.nan_to_num(np.array(values, float), nan=-1.0))) + 1
