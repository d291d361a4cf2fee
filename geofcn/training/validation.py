"""Validation: scores of a model on labelled windows or tiles, streamed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch

from geofcn.core.metrics import Confusion, ScoreCurve, best_threshold, confusion
from geofcn.core.pixels import houses_and_known
from geofcn.core.windows import Window, blocks, training_windows
from geofcn.io.labels import LabelledScene
from geofcn.models.model import Model
from geofcn.models.predictor import Predictor
from geofcn.recipes import Recipe
from geofcn.training.tiles import SourceWindow, TileCache, TrainingTile

# Windows that are predicted one by one for scores and overlay, pixels a side, see Model.side.
VALIDATION_WINDOW = 1024


@dataclass(frozen=True)
class ValidationScores:
    """Scores of a model.

    Attributes
    ----------
    confusion : Confusion
        Of the labelled pixels, at the threshold.
    threshold : float
        A pixel is a house where its probability reaches it.
    ece : float
        Expected calibration error of the probabilities (Naeini et al., 2015), 0 to 1.
    """

    confusion: Confusion
    threshold: float
    ece: float


Validator = Callable[[Model], ValidationScores]


def score_tiles(tiles: Callable[[], Iterable[TrainingTile]]) -> Validator:
    """Make a validator that predicts each tile by itself, as in the exercise.

    Parameters
    ----------
    tiles : callable
        Returns an iterable of the tiles, anew for each validation.

    Returns
    -------
    callable
        From a Model to ValidationScores, at threshold 0.5; a tie is background.
    """

    def validate_model(model: Model) -> ValidationScores:
        total, curve = Confusion(), ScoreCurve()
        for tile in tiles():
            image = model.normalisation.apply(tile.image, tile.valid, 0, 0)
            logits = model.logits(image)
            truth, known = houses_and_known(tile.labels)
            total += confusion((logits[1] > logits[0]).numpy(), truth, known)
            curve.add(torch.sigmoid(logits[1] - logits[0]).numpy(), truth, known)
        return ValidationScores(total, 0.5, curve.calibration_error())

    return validate_model


def score_windows(windows: Sequence[tuple[LabelledScene, Window]]) -> Validator:
    """Make a validator that predicts windows as parts of their whole scenes.

    A scene of another resolution than the training's first is shown to the net as in inference.

    Parameters
    ----------
    windows : sequence of (LabelledScene, Window)
        To score on, of any size; they start on multiples of the net's stride.

    Returns
    -------
    callable
        From a Model to ValidationScores, at the threshold with the best F1, see `best_threshold`.
    """

    def validate_model(model: Model) -> ValidationScores:
        curves: dict[str, ScoreCurve] = {}
        for source, extent in windows:
            predictor = Predictor(model.at_resolution_of(source.scene), merge=False)
            curve = curves.setdefault(source.scene.path, ScoreCurve())
            for window in blocks(extent, predictor.model.side(VALIDATION_WINDOW)):
                prediction = predictor.window(source.scene, window)
                truth, known = houses_and_known(source.labels.read(window))
                curve.add(prediction.probability, truth, known & prediction.valid)
        threshold, counts = best_threshold(list(curves.values()))
        total = sum(curves.values(), ScoreCurve())
        return ValidationScores(counts, threshold, total.calibration_error())

    return validate_model


def make_validator(tiles: TileCache, held_out: Sequence[SourceWindow], recipe: Recipe) -> Validator:
    """Make the validator of a training.

    Parameters
    ----------
    tiles : TileCache
        Of the scenes to score on.
    held_out : sequence of SourceWindow
        Windows to score on; if empty, the whole scenes.
    recipe : Recipe
        Whether tiles are scored, as in the exercise, or windows.
    """
    sources = tiles.sources
    extents = list(held_out) or [
        SourceWindow(number, source.scene.window) for number, source in enumerate(sources)
    ]
    if recipe.normalise == "image":
        padded = [
            SourceWindow(number, window)
            for number, extent in extents
            for window in _padded_tiles(extent, recipe.tile)
        ]
        return score_tiles(lambda: map(tiles.read, padded))
    return score_windows([(sources[number], extent) for number, extent in extents])


def _padded_tiles(extent: Window, size: int) -> Iterator[Window]:
    """`extent` cut into whole tiles, the last ones reaching beyond it; column order."""
    for window in training_windows(extent.height, extent.width, size, size):
        yield Window(extent.row + window.row, extent.col + window.col, size, size)
