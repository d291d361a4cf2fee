"""Re-compute sample windows of a finished mask with the plain net, and compare."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geofcn.core.pixels import BLANK, classify, mark_contacts
from geofcn.core.windows import Window, count_blocks, windows_spread
from geofcn.inference.job import Job
from geofcn.io.opening import open_raster
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


def verify_mask(mask: Path, job: Job, count: int, progress: Progress) -> Verification:
    """Compute windows spread over a scene again, with the plain net and far more context.

    Compared are the mask that was written, and the probabilities of the tiled way.

    Parameters
    ----------
    mask : Path
        The mask.
    job : Job
        What computed it.
    count : int
        About how many windows of VERIFIED pixels a side to compute, CONTEXT pixels around them,
        see Model.side.
    progress : callable
        See `geofcn.progress.Progress`.
    """
    written, scene, predictor = open_raster(mask), job.scene, job.predictor
    plain = Predictor(predictor.model, merge=False)
    side, margin = predictor.model.side(VERIFIED), predictor.model.side(CONTEXT)
    windows = list(_sample(job, side, count))
    pixels, differing, largest = 0, 0, 0.0
    with progress("verifying", len(windows), "windows") as bar:
        for window in windows:
            context = window.grow(margin).clip(*scene.window.shape)
            wide = plain.window(scene, context)
            tiled = predictor.window(scene, window)
            part = window.intersect(job.extent)
            there, here = (part.relative_to(whole).slices for whole in (context, window))
            inside = np.ones(part.shape, bool) if job.area is None else job.area.inside(part)
            expected = _classes(wide, predictor.model, job.threshold)[there]
            image, valid = written.read(part.relative_to(job.extent))
            # What is read of a window that is blank as a whole is 0.
            classes = np.where(valid, image[0], BLANK)
            pixels += int(np.count_nonzero(inside))
            differing += int(np.count_nonzero((classes != expected) & inside))
            difference = np.abs(wide.probability[there] - tiled.probability[here])
            largest = max(largest, float(difference.max(initial=0, where=inside)))
            bar.advance(1)
    return Verification(pixels, differing, largest)


def _sample(job: Job, side: int, count: int) -> Iterator[Window]:
    """About `count` windows of a scene, spread evenly; with an area about as many that touch it.

    Each starts on a multiple of the net's stride.
    """
    if job.area is None:
        yield from windows_spread(job.scene.window, side, count)
        return
    around = job.extent.aligned(side).clip(*job.scene.window.shape)
    every, asked = count_blocks(*around.shape, side), count
    while True:
        windows = windows_spread(around, side, asked)
        touching = [window for window in windows if job.area.inside(window).any()]
        if len(touching) >= count or asked >= every:
            break
        asked *= 2
    yield from touching


def _classes(prediction: Prediction, model: Model, threshold: float) -> np.ndarray:
    """The pixels of a mask, as an inference writes them."""
    mask, contacts = classify(prediction.probability, prediction.valid, threshold), None
    if model.metadata.contacts is not None and prediction.contact is not None:
        contacts = model.metadata.contacts.found(prediction.contact)
    return mark_contacts(mask, contacts)
