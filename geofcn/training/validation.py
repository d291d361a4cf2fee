"""Scores of a model on labelled windows, streamed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch

from geofcn.core.metrics import Confusion, ScoreCurve, best_threshold, confusion
from geofcn.core.pixels import BLANK, HOUSE
from geofcn.core.windows import Window
from geofcn.io.labels import Source
from geofcn.models.model import Model
from geofcn.models.predictor import Predictor
from geofcn.training.tiles import Tile


@dataclass(frozen=True)
class Verdict:
    """Scores, the threshold at which they were taken, and the expected calibration error."""

    confusion: Confusion
    threshold: float
    ece: float


Judge = Callable[[Model], Verdict]


def judge_tiles(tiles: Callable[[], Iterable[Tile]]) -> Judge:
    """The seed's way: each padded tile is predicted by itself; a tie is background."""

    def judge(model: Model) -> Verdict:
        total, curve = Confusion(), ScoreCurve()
        for tile in tiles():
            image = model.normalisation.apply(tile.image, tile.valid, 0, 0)
            logits = model.logits(image)
            truth, known = tile.labels == HOUSE, tile.labels != BLANK
            total += confusion((logits[1] > logits[0]).numpy(), truth, known)
            curve.add(torch.sigmoid(logits[1] - logits[0]).numpy(), truth, known)
        return Verdict(total, 0.5, curve.calibration_error())

    return judge


def judge_windows(places: Sequence[tuple[Source, Window]]) -> Judge:
    """Windows of scenes, predicted as parts of the whole, at the best threshold for all of them."""

    def judge(model: Model) -> Verdict:
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
        return Verdict(counts, threshold, total.calibration_error())

    return judge
