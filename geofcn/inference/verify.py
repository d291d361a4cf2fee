"""Re-compute sample windows of a finished mask with the plain net, and compare."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geofcn.core.pixels import classify
from geofcn.core.windows import round_up, sample_windows
from geofcn.io.scene import Scene, open_scene
from geofcn.models.predictor import Predictor
from geofcn.progress import Progress

# Windows that are computed again for --verify: their side, and the context around them, in pixels.
VERIFIED = 256
CONTEXT = 512


@dataclass(frozen=True)
class Verification:
    """What windows computed again show: pixels compared, how many have another class in the mask,
    and the largest difference in probability.
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
    """Compute `count` windows spread over the scene with the plain net and CONTEXT pixels around
    them, and compare the mask that was written, and the probabilities of the tiled way.
    """
    written = open_scene(mask)
    plain = Predictor(predictor.model, merge=False)
    stride = predictor.model.geometry.stride
    windows = list(sample_windows(*scene.window.shape, round_up(VERIFIED, stride), count))
    differing, largest = 0, 0.0
    with progress("verifying", len(windows), "windows") as bar:
        for window in windows:
            context = window.grow(round_up(CONTEXT, stride)).clip(*scene.window.shape)
            inner = window.relative_to(context).slices
            far = plain.window(scene, context)
            tiled = predictor.window(scene, window)
            expected = classify(far.probability, far.valid, threshold)[inner]
            differing += np.count_nonzero(written.read(window)[0][0] != expected)
            largest = max(largest, np.abs(far.probability[inner] - tiled.probability).max())
            bar.advance(1)
    return Verification(sum(window.pixels for window in windows), int(differing), float(largest))
