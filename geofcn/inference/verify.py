"""Re-compute sample windows of a finished mask with the plain net, and compare."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geofcn.core.pixels import classify, mark_contacts
from geofcn.core.windows import sample_windows
from geofcn.io.opening import open_raster
from geofcn.io.scene import Scene
from geofcn.models.model import Model
from geofcn.models.predictor import Prediction, Predictor
from geofcn.progress import Progress

# Windows that are computed again for --verify: their side, and the context around them, in pixels
# of a scene like the training's.
VERIFIED = 256
CONTEXT = 512


@dataclass(frozen=True)
class Verification:
    """What windows of a mask show that were computed again.

    Attributes
    ----------
    pixels : int
        How many were compared.
    differing : int
        How many of them have another class in the mask.
    largest : float
        The largest difference in probability.

    Examples
    --------
    >>> print(Verification(65536, 0, 2.4e-7))
    verified 65536 pixels: 0 differ, largest difference in probability 2.4e-07
    """

    pixels: int
    differing: int
    largest: float

    def __str__(self) -> str:
        return (
            f"verified {self.pixels} pixels: {self.differing} differ, largest difference in "
            f"probability {self.largest:.1e}"
        )


def verify_mask(
    mask: Path, scene: Scene, predictor: Predictor, threshold: float, count: int, progress: Progress
) -> Verification:
    """Compute windows spread over a scene again, with the plain net and far more context.

    Compared are the mask that was written, and the probabilities of the tiled way.

    Parameters
    ----------
    mask : Path
        The mask.
    scene : Scene
        What it was computed from.
    predictor : Predictor
        What computed it.
    threshold : float
        A pixel is a house where its probability reaches it.
    count : int
        About how many windows of VERIFIED pixels a side to compute, CONTEXT pixels around them,
        see Model.side.
    progress : callable
        See `geofcn.progress.Progress`.
    """
    written = open_raster(mask)
    plain = Predictor(predictor.model, merge=False)
    side, margin = predictor.model.side(VERIFIED), predictor.model.side(CONTEXT)
    windows = list(sample_windows(*scene.window.shape, side, count))
    differing, largest = 0, 0.0
    with progress("verifying", len(windows), "windows") as bar:
        for window in windows:
            context = window.grow(margin).clip(*scene.window.shape)
            inner = window.relative_to(context).slices
            wide = plain.window(scene, context)
            tiled = predictor.window(scene, window)
            expected = _classes(wide, predictor.model, threshold)[inner]
            classes = written.read(window)[0][0]
            differing += int(np.count_nonzero(classes != expected))
            difference = np.abs(wide.probability[inner] - tiled.probability)
            largest = max(largest, float(difference.max()))
            bar.advance(1)
    return Verification(sum(window.pixels for window in windows), differing, largest)


def _classes(prediction: Prediction, model: Model, threshold: float) -> np.ndarray:
    """The pixels of a mask, as an inference writes them."""
    mask, contacts = classify(prediction.probability, prediction.valid, threshold), None
    if model.metadata.contacts is not None and prediction.contact is not None:
        contacts = model.metadata.contacts.found(prediction.contact)
    return mark_contacts(mask, contacts)
