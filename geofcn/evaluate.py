"""Scores of a prediction against labels, streamed."""

from __future__ import annotations

import os
from functools import partial

from geofcn.errors import LabelsError
from geofcn.flow import stream
from geofcn.grid import Window, blocks
from geofcn.labels import Labels, open_labels
from geofcn.metrics import Confusion, confusion
from geofcn.pixels import BLANK, HOUSE
from geofcn.progress import Progress, silent
from geofcn.scene import Scene, open_scene

WINDOW = 1024


def evaluate(
    prediction: str | os.PathLike, labels: str | os.PathLike, *, progress: Progress = silent
) -> dict[str, dict[str, float]]:
    """Compare a mask with labels, over the pixels that neither leaves blank.

    prediction  a mask raster: every value but 0 and nodata is a house
    labels      a raster or vectors, cut to the prediction's extent

    Returns {"pixels": {"precision": .., "recall": .., "f1": .., "accuracy": .., "iou": ..}} as
    fractions of 1, NaN where undefined. Raises LabelsError where the two do not meet.
    """
    mask = open_scene(prediction)
    truth = open_labels(labels, mask)
    total = Confusion()
    windows = list(blocks(mask.window, WINDOW))
    with progress("comparing", mask.window.pixels, "px") as bar:
        counts = stream(partial(_compare, mask, truth), windows)
        for window, part in zip(windows, counts, strict=True):
            total += part
            bar.advance(window.pixels)
    if total == Confusion():
        raise LabelsError(f"{labels}: no labelled pixel lies on {mask.name}; check both CRS.")
    return {"pixels": total.scores()}


def _compare(mask: Scene, truth: Labels, window: Window) -> Confusion:
    image, valid = mask.read(window)
    classes = truth.read(window)
    return confusion(image[0] != 0, classes == HOUSE, valid & (classes != BLANK))
