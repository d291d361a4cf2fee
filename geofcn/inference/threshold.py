"""The threshold that fits a scene, from the probabilities of all its row bands."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass, replace

import numpy as np

from geofcn.core.calibration import Calibration, expected_share, scene_threshold
from geofcn.core.pixels import BLANK, classify_quantised
from geofcn.core.windows import row_bands
from geofcn.inference.job import Job
from geofcn.inference.shards import Arrays, Shards
from geofcn.progress import Progress

# How much of the way to the expected share, in log odds, the threshold follows: neither that share
# nor the calibration is certain on a scene that looks otherwise than the training's. By all of it
# some scenes got worse; by less, the dense ones gained less.
TRUST = 0.75


@dataclass(frozen=True)
class SceneThreshold:
    """The threshold that was found for a scene.

    Attributes
    ----------
    share : float
        Of the pixels that are not blank, how many are expected to be houses, 0 to 1.
    threshold : float
        A pixel is a house where its probability reaches it.
    models : float
        The threshold of the model, which suits the share of houses where it was trained.

    Examples
    --------
    >>> print(SceneThreshold(0.1834, 0.41, 0.69))
    18.3 % of the pixels are expected to be houses: threshold 0.41 (the model's: 0.69)
    """

    share: float
    threshold: float
    models: float

    def __str__(self) -> str:
        return (
            f"{100 * self.share:.1f} % of the pixels are expected to be houses: threshold "
            f"{self.threshold:.2f} (the model's: {self.models:.2f})"
        )

    def settle(self, job: Job) -> Job:
        """The same job with this threshold, as its outputs name it."""
        return replace(job, threshold=self.threshold, calibration=None, share=self.share)


def find_threshold(
    bands: Iterable[Arrays], calibration: Calibration, models: float
) -> SceneThreshold:
    """The threshold that fits a scene; see `geofcn.core.calibration`.

    Never above the model's own. Where few houses are expected, that may be because the net sees
    some badly: on places left out of a training, a higher threshold lost more than it won.

    Parameters
    ----------
    bands : iterable of dict
        The arrays of every row band, `quantised` among them.
    calibration : Calibration
        Of the model.
    models : float
        The model's own threshold.

    Notes
    -----
    A histogram is a sum of whole numbers: how the scene is cut does not change it.
    """
    histogram = np.zeros(BLANK, np.int64)
    for arrays in bands:
        # Row by row, for numpy counts in a copy of eight bytes a pixel.
        for row in arrays["quantised"]:
            histogram += np.bincount(row, minlength=BLANK + 1)[:BLANK]
    share = expected_share(histogram, calibration)
    best = scene_threshold(histogram, calibration, calibration.towards(share, TRUST))
    return SceneThreshold(share, min(models, best), models)


def classified_bands(job: Job, shards: Shards, progress: Progress) -> Generator[Arrays]:
    """The arrays of every row band out of its shard, with the mask at the job's threshold.

    Parameters
    ----------
    job : Job
        With the threshold that was found.
    shards : Shards
        Hold `quantised` of all row bands.
    progress : callable
        See `geofcn.progress.Progress`.
    """
    scene = job.scene
    with progress("writing", scene.window.pixels, "px") as bar:
        for number, band in enumerate(row_bands(scene.height, scene.width, job.window)):
            arrays = shards.load(number)
            bar.advance(band.pixels)
            yield {"mask": classify_quantised(arrays["quantised"], job.threshold), **arrays}
