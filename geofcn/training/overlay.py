"""Overlay of hits, misses and false alarms over a training scene, as a picture."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from geofcn.core.pixels import BLANK, houses_and_known
from geofcn.core.windows import Window, blocks
from geofcn.defaults import BEST_F1
from geofcn.io.labels import LabelledScene
from geofcn.models.model_file import load_model
from geofcn.models.predictor import Predictor
from geofcn.progress import Progress
from geofcn.training import plots
from geofcn.training.validation import VALIDATION_WINDOW

# The longer side of the picture, at the most.
OVERLAY_PIXELS = 2048


def write_overlay(source: LabelledScene, folder: Path, progress: Progress) -> None:
    """Write `overlay.png`: hits, misses and false alarms of the best model, painted on the scene.

    A scene larger than OVERLAY_PIXELS is shown by every second, third, ... pixel.

    Parameters
    ----------
    source : LabelledScene
        What is shown.
    folder : Path
        The run's, which holds the model with the best F1.
    progress : callable
        Told of the pixels that are predicted.
    """
    scene = source.scene
    model = load_model(folder / BEST_F1)
    predictor = Predictor(model)
    step = max(1, math.ceil(max(scene.height, scene.width) / OVERLAY_PIXELS))
    shape = math.ceil(scene.height / step), math.ceil(scene.width / step)
    predicted, labels = np.zeros(shape, bool), np.full(shape, np.uint8(BLANK))
    with progress("painting the overlay", scene.window.pixels, "px") as bar:
        for window in blocks(scene.window, model.side(VALIDATION_WINDOW)):
            mask = predictor.window(scene, window).probability >= model.metadata.threshold
            # Every step-th pixel of the scene, counted from its corner.
            row, col = -window.row % step, -window.col % step
            target = Window(
                (window.row + row) // step,
                (window.col + col) // step,
                len(range(row, window.height, step)),
                len(range(col, window.width, step)),
            ).slices
            predicted[target] = mask[row::step, col::step]
            labels[target] = source.labels.read(window)[row::step, col::step]
            bar.advance(window.pixels)
    houses, known = houses_and_known(labels)
    image = scene.read_reduced(shape)
    plots.overlay_plot(image, predicted, houses, known, folder / "overlay.png")
