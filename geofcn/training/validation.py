"""Validation: scores of a model on labelled windows or tiles, streamed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch

from geofcn.core.calibration import Calibration, fit_calibration
from geofcn.core.metrics import Confusion, ScoreCurve, best_threshold, confusion
from geofcn.core.pixels import houses_and_known
from geofcn.core.windows import Window, blocks, training_windows
from geofcn.io.labels import LabelledScene
from geofcn.models.model import Model
from geofcn.models.predictor import Predictor
from geofcn.recipes import NET_RESOLUTION, Recipe
from geofcn.training.tiles import SourceWindow, TileCache, TrainingTile

# Windows that are predicted one by one for scores and overlay, pixels a side, see Model.side.
VALIDATION_WINDOW = 1024
# Of a house, in square metres on the ground.
HOUSE_AREA = 150
# Houses that move the threshold of a model half way to the one that is best for them.
HALF_WAY = 20


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
    calibration : Calibration or None
        Of the probabilities, fitted or a parent's; None where there is none.
    """

    confusion: Confusion
    threshold: float
    ece: float
    calibration: Calibration | None = None


Validator = Callable[[Model], ValidationScores]


@dataclass(frozen=True)
class Damping:
    """How far the threshold that a model brings along moves towards the one that is best.

    What is best for a few houses may be so by chance, and a calibration that is fitted to them, or
    to what was learnt from, too sure: the model's own stays then.

    Attributes
    ----------
    start : float
        The threshold that the model brings along.
    half_way : float
        Houses that move it half way, and from which calibrations are fitted; infinite: all stays.

    Examples
    --------
    >>> Damping(0.6, half_way=20).settle(0.4, houses=20)
    0.5
    """

    start: float
    half_way: float = HALF_WAY

    def settle(self, found: float, houses: float) -> float:
        """The threshold where `found` is the best for so many houses."""
        return self.start + (found - self.start) * houses / (houses + self.half_way)

    def is_enough(self, houses: float) -> bool:
        """Whether calibrations are fitted to so many houses, or stay those the model brought."""
        return houses >= self.half_way


def score_tiles(tiles: Callable[[], Iterable[TrainingTile]]) -> Validator:
    """Make a validator that predicts each tile by itself, as in the exercise.

    Parameters
    ----------
    tiles : callable
        Returns an iterable of the tiles, anew for each validation.

    Returns
    -------
    callable
        From a Model to ValidationScores, at threshold 0.5 and without a calibration, for tiles are
        padded; a tie is background.
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


def score_windows(
    windows: Sequence[tuple[LabelledScene, Window]], damping: Damping | None = None
) -> Validator:
    """Make a validator that predicts windows as parts of their whole scenes.

    A scene of another resolution than the training's first is shown to the net as in inference.

    Parameters
    ----------
    windows : sequence of (LabelledScene, Window)
        To score on, of any size; they start on multiples of the net's stride.
    damping : Damping, optional
        Of the threshold; default: it is the one found.

    Returns
    -------
    callable
        From a Model to ValidationScores, at the threshold with the best F1, see `best_threshold`,
        or as near to it as `damping` lets it come. With too few houses for `damping` the
        calibration is the one that the model has.
    """

    def validate_model(model: Model) -> ValidationScores:
        curves: dict[str, ScoreCurve] = {}
        for source, extent in windows:
            predictor = Predictor(model.at_resolution_of(source.scene), merge=False)
            curve = curves.setdefault(source.scene.path, ScoreCurve())
            for window in blocks(extent, predictor.model.side(VALIDATION_WINDOW)):
                truth, known = houses_and_known(source.labels.read(window))
                if not known.any():  # most of a scene that is labelled in a corner
                    continue
                prediction = predictor.window(source.scene, window)
                curve.add(prediction.probability, truth, known & prediction.valid)
        threshold, counts = best_threshold(list(curves.values()))
        total = sum(curves.values(), ScoreCurve())
        calibration = fit_calibration(total)
        if damping is not None:
            houses = count_houses(int(total.houses.sum()), model)
            threshold = damping.settle(threshold, houses)
            counts = total.at(math.ceil(threshold * total.STEPS))
            if not damping.is_enough(houses):
                calibration = model.metadata.calibration
        return ValidationScores(counts, threshold, total.calibration_error(), calibration)

    return validate_model


def count_houses(pixels: int, model: Model) -> float:
    """About how many houses so many labelled pixels are.

    The pixels of the model's training, or such as its net would be given, stand for the scenes'.
    """
    pixel = model.metadata.resolution or NET_RESOLUTION["unet"] / model.metadata.scale
    return pixels * pixel**2 / HOUSE_AREA


def make_validator(
    tiles: TileCache,
    held_out: Sequence[SourceWindow],
    recipe: Recipe,
    damping: Damping | None = None,
) -> Validator:
    """Make the validator of a training.

    Parameters
    ----------
    tiles : TileCache
        Of the scenes to score on.
    held_out : sequence of SourceWindow
        Windows to score on; if empty, the whole scenes.
    recipe : Recipe
        Whether tiles are scored, as in the exercise, or windows.
    damping : Damping, optional
        Of the threshold at which windows are scored.
    """
    if recipe.normalise == "image":
        padded = [
            SourceWindow(number, window)
            for number, extent in _extents(tiles, held_out)
            for window in _padded_tiles(extent, recipe.tile)
        ]
        return score_tiles(lambda: map(tiles.read, padded))
    return score_windows(validation_extents(tiles, held_out), damping)


def validation_extents(
    tiles: TileCache, held_out: Sequence[SourceWindow]
) -> list[tuple[LabelledScene, Window]]:
    """What is scored: the windows held out, or the whole scenes where there are none.

    Parameters
    ----------
    tiles, held_out
        As `make_validator` takes them.
    """
    return [(tiles.sources[number], extent) for number, extent in _extents(tiles, held_out)]


def _extents(tiles: TileCache, held_out: Sequence[SourceWindow]) -> list[SourceWindow]:
    """What is held out, or else the whole scenes."""
    return list(held_out) or [
        SourceWindow(number, source.scene.window) for number, source in enumerate(tiles.sources)
    ]


def _padded_tiles(extent: Window, size: int) -> Iterator[Window]:
    """`extent` cut into whole tiles, the last ones reaching beyond it; column order."""
    for window in training_windows(extent.height, extent.width, size, size):
        yield Window(extent.row + window.row, extent.col + window.col, size, size)
