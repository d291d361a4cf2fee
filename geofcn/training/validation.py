"""Scores of a model on labelled windows, streamed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch

from geofcn.core.metrics import Confusion, ScoreCurve, best_threshold, confusion
from geofcn.core.pixels import BLANK, HOUSE
from geofcn.core.windows import Window, blocks, training_windows
from geofcn.io.labels import LabelledScene
from geofcn.models.model import Model
from geofcn.models.predictor import Predictor
from geofcn.recipes import Recipe
from geofcn.training.tiles import SourceWindow, TileCache, TrainingTile


@dataclass(frozen=True)
class ValidationScores:
    """Scores, the threshold at which they were taken, and the expected calibration error."""

    confusion: Confusion
    threshold: float
    ece: float


Validator = Callable[[Model], ValidationScores]


def score_tiles(tiles: Callable[[], Iterable[TrainingTile]]) -> Validator:
    """The seed's way: each padded tile is predicted by itself; a tie is background."""

    def validate_model(model: Model) -> ValidationScores:
        total, curve = Confusion(), ScoreCurve()
        for tile in tiles():
            image = model.normalisation.apply(tile.image, tile.valid, 0, 0)
            logits = model.logits(image)
            truth, known = tile.labels == HOUSE, tile.labels != BLANK
            total += confusion((logits[1] > logits[0]).numpy(), truth, known)
            curve.add(torch.sigmoid(logits[1] - logits[0]).numpy(), truth, known)
        return ValidationScores(total, 0.5, curve.calibration_error())

    return validate_model


def score_windows(places: Sequence[tuple[LabelledScene, Window]]) -> Validator:
    """Windows of scenes, predicted as parts of the whole, at the best threshold for all of them."""

    def validate_model(model: Model) -> ValidationScores:
        curves: dict[str, ScoreCurve] = {}
        predictor = Predictor(model, merge=False)
        for source, window in places:
            prediction = predictor.window(source.scene, window)
            labels = source.labels.read(window)
            known = prediction.valid & (labels != BLANK)
            curve = curves.setdefault(source.scene.path, ScoreCurve())
            curve.add(prediction.probability, labels == HOUSE, known)
        threshold, counts = best_threshold(list(curves.values()))
        total = sum(curves.values(), ScoreCurve())
        return ValidationScores(counts, threshold, total.calibration_error())

    return validate_model


# Windows that are predicted one by one for scores and overlay, pixels a side.
VALIDATION_WINDOW = 1024


def make_validator(tiles: TileCache, held_out: Sequence[SourceWindow], plan: Recipe) -> Validator:
    """How each epoch is scored: on held-out windows, else on the whole of the tiles' sources."""
    sources = tiles.sources
    places = list(held_out) or [(n, source.scene.window) for n, source in enumerate(sources)]
    if plan.normalise == "image":
        windows = [
            (number, piece) for number, place in places for piece in _padded_tiles(place, plan.tile)
        ]
        return score_tiles(lambda: map(tiles.read, windows))
    return score_windows(
        [
            (sources[number], piece)
            for number, place in places
            for piece in blocks(place, VALIDATION_WINDOW)
        ]
    )


def _padded_tiles(place: Window, size: int) -> Iterator[Window]:
    """`place` cut into whole tiles, the last ones reaching beyond it; column order."""
    for window in training_windows(place.height, place.width, size, size):
        yield Window(place.row + window.row, place.col + window.col, size, size)
