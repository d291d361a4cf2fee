"""Overlay of hits, misses and false alarms over a scene, as arrays and as a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from geofcn.core.pixels import BLANK, houses_and_known
from geofcn.core.windows import Window, blocks, ceil_div
from geofcn.defaults import BEST_F1
from geofcn.io.labels import LabelledScene
from geofcn.models.model_file import load_model
from geofcn.models.predictor import Predictor
from geofcn.progress import Progress
from geofcn.training import plots
from geofcn.training.validation import VALIDATION_WINDOW

# The longer side of the picture, at the most.
OVERLAY_PIXELS = 2048


@dataclass(frozen=True)
class Overlay:
    """What a model says of a scene beside what its labels say, as far as a picture shows it.

    Attributes
    ----------
    title : str
        The scene, and what it is to the training.
    image : (bands, rows, columns) array
        The scene, reduced.
    valid, predicted, houses, known : (rows, columns) bool array
        What of it is not blank; houses of the net, those of the labels, and where the labels say
        anything.
    held_out : sequence of Window
        What was kept for validation, in pixels of the picture.
    """

    title: str
    image: np.ndarray = field(repr=False)
    valid: np.ndarray = field(repr=False)
    predicted: np.ndarray = field(repr=False)
    houses: np.ndarray = field(repr=False)
    known: np.ndarray = field(repr=False)
    held_out: Sequence[Window] = ()

    def save(self, path: Path) -> None:
        """Write it as a PNG, with its title and a legend."""
        plots.overlay_plot(self, path)


def make_overlay(
    source: LabelledScene,
    folder: Path,
    progress: Progress,
    title: str,
    held_out: Sequence[Window] = (),
) -> Overlay:
    """What the best model says of a scene, and its labels.

    A scene larger than OVERLAY_PIXELS is shown by every second, third, ... pixel.

    Parameters
    ----------
    source : LabelledScene
        What is shown.
    folder : Path
        The run's, which holds the model with the best F1.
    progress : callable
        Told of the pixels that are predicted.
    title : str
        Of the picture.
    held_out : sequence of Window
        What of the scene was kept for validation.
    """
    scene = source.scene
    model = load_model(folder / BEST_F1).at_resolution_of(scene)
    predictor = Predictor(model)
    step = max(1, math.ceil(max(scene.height, scene.width) / OVERLAY_PIXELS))
    shape = math.ceil(scene.height / step), math.ceil(scene.width / step)
    predicted, labels = np.zeros(shape, bool), np.full(shape, np.uint8(BLANK))
    with progress("painting the overlay", scene.window.pixels, "px") as bar:
        for window in blocks(scene.window, model.side(VALIDATION_WINDOW)):
            mask = predictor.window(scene, window).probability >= model.metadata.threshold
            # Every step-th pixel of the scene, counted from its corner.
            row, col = -window.row % step, -window.col % step
            target = _reduced(window, step).slices
            predicted[target] = mask[row::step, col::step]
            labels[target] = source.labels.read(window)[row::step, col::step]
            bar.advance(window.pixels)
    houses, known = houses_and_known(labels)
    image, valid = scene.read_reduced(shape)
    blocks_of = [_reduced(window, step) for window in held_out]
    return Overlay(title, image, valid, predicted, houses, known, blocks_of)


def _reduced(window: Window, step: int) -> Window:
    """The pixels of the picture that lie in a window of the scene."""
    row, col = ceil_div(window.row, step), ceil_div(window.col, step)
    return Window(row, col, ceil_div(window.bottom, step) - row, ceil_div(window.right, step) - col)
