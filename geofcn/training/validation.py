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

# Windows that are predicted one by one for scores and overlay, pixels a side.
VALIDATION_WINDOW = 1024


@dataclass(frozen=True)
class ValidationScores:
    """Scores, the threshold at which they were taken, and the expected calibration error."""

    confusion: Confusion
    threshold: float
    ece: float


Validator = Callable[[Model], ValidationScores]


def score_tiles(tiles: Callable[[], Iterable[TrainingTile]]) -> Validator:
    """As in the exercise: each padded tile is predicted by itself; a tie is background."""

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
    """Windows of scenes, predicted as parts of the whole, at the best threshold for all of them."""

    def validate_model(model: Model) -> ValidationScores:
        curves: dict[str, ScoreCurve] = {}
        predictor = Predictor(model, merge=False)
        for source, window in windows:
            prediction = predictor.window(source.scene, window)
            truth, known = houses_and_known(source.labels.read(window))
            curve = curves.setdefault(source.scene.path, ScoreCurve())
            curve.add(prediction.probability, truth, known & prediction.valid)
        threshold, counts = best_threshold(list(curves.values()))
        total = sum(curves.values(), ScoreCurve())
        return ValidationScores(counts, threshold, total.calibration_error())

    return validate_model


def make_validator(tiles: TileCache, held_out: Sequence[SourceWindow], recipe: Recipe) -> Validator:
    """How each epoch is scored: on held-out windows, else on the whole of the tiles' sources."""
    sources = tiles.sources
    scored = list(held_out) or [(n, source.scene.window) for n, source in enumerate(sources)]
    if recipe.normalise == "image":
        padded = [
            (number, piece)
            for number, window in scored
            for piece in _padded_tiles(window, recipe.tile)
        ]
        return score_tiles(lambda: map(tiles.read, padded))
    return score_windows(
        [
            (sources[number], piece)
            for number, window in scored
            for piece in blocks(window, VALIDATION_WINDOW)
        ]
    )


def _padded_tiles(extent: Window, size: int) -> Iterator[Window]:
    """`extent` cut into whole tiles, the last ones reaching beyond it; column order."""
    for window in training_windows(extent.height, extent.width, size, size):
        yield Window(extent.row + window.row, extent.col + window.col, size, size)
