"""The threshold that fits a scene, from the probabilities of all its row bands."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from geofcn.core.calibration import Calibration, expected_share, scene_threshold
from geofcn.core.pixels import BLANK, classify_quantised
from geofcn.core.windows import Window, origins
from geofcn.inference.bands import Bands
from geofcn.inference.job import Job
from geofcn.inference.shards import Arrays

# Values that are counted at once: numpy does so in a copy of eight bytes each.
COUNTED = 2**16
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
    bands: Iterable[tuple[Window, Arrays]], calibration: Calibration, models: float
) -> SceneThreshold:
    """The threshold that fits a scene; see `geofcn.core.calibration`.

    Never above the model's own. Where few houses are expected, that may be because the net sees
    some badly: on places left out of a training, a higher threshold lost more than it won.

    Parameters
    ----------
    bands : iterable of (Window, dict)
        Every row band with its arrays, `quantised` among them; one of no pixels has none.
    calibration : Calibration
        Of the model.
    models : float
        The model's own threshold.

    Notes
    -----
    A histogram is a sum of whole numbers: how the scene is cut does not change it.
    """
    histogram = np.zeros(BLANK, np.int64)
    for window, arrays in bands:
        if not window.pixels:
            continue
        steps = arrays["quantised"].ravel()
        for start in origins(len(steps), COUNTED):
            some = steps[start : start + COUNTED]
            histogram += np.bincount(some, minlength=BLANK + 1)[:BLANK]
    if not histogram.any():  # all of it is blank
        return SceneThreshold(0.0, models, models)
    share = expected_share(histogram, calibration)
    best = scene_threshold(histogram, calibration, calibration.towards(share, TRUST))
    return SceneThreshold(share, min(models, best), models)


def classified(bands: Bands, threshold: float, advance: Callable[[int], object]) -> Bands:
    """Row bands with a mask at the threshold that was found.

    Parameters
    ----------
    bands : iterator of (Window, dict)
        Every row band with its arrays, `quantised` among them.
    threshold : float
        A pixel is a house where its probability reaches it.
    advance : callable
        Told the pixels of each band.
    """
    for window, arrays in bands:
        advance(window.pixels)
        yield window, {"mask": classify_quantised(arrays["quantised"], threshold), **arrays}
        del arrays  # before the next ones are read
