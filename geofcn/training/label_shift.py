"""Whether labels lie beside the houses of their scene, and by how much."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from geofcn.core.displacement import agreement, best_displacement
from geofcn.core.geodesy import ground_resolution, metres_per_unit
from geofcn.core.pixels import houses_and_known
from geofcn.core.windows import Window, sample_windows
from geofcn.io.labels import LabelledScene

log = logging.getLogger(__name__)

# Metres of a pixel in which edges are compared: at least, and at most, for houses to be told.
FINEST, COARSEST = 0.27, 1.5
# How far off labels are looked for, in metres.
REACH = 5.0
# Side of a window in such pixels, how many are looked into for houses, and with houses at most.
SIDE, LOOKED_INTO, TAKEN = 160, 1024, 64
# What is off by less, in metres or in spreads, may fit.
NOTABLE, CERTAIN = 0.4, 4.0


@dataclass(frozen=True)
class LabelShift:
    """By how much labels would have to be moved to lie on the edges of the image.

    Attributes
    ----------
    x_m, y_m : float
        Metres on the ground, along x and y of the scene's CRS.
    spread_m : float
        Their standard deviation among resamples of the windows that were looked at.
    """

    x_m: float
    y_m: float
    spread_m: float

    @property
    def is_notable(self) -> bool:
        """Whether it is more than what labels that fit may show."""
        return math.hypot(self.x_m, self.y_m) > max(NOTABLE, CERTAIN * self.spread_m)

    @property
    def advice(self) -> str:
        """What is odd about it, and what to do."""
        return (
            f"the houses lie beside the image's, by {math.hypot(self.x_m, self.y_m):.1f} m (to "
            f"{self.spread_m:.2g} m): look at both in a GIS, and move the labels by --shift-labels "
            f"{self.x_m:.1f},{self.y_m:.1f}."
        )


def find_shift(source: LabelledScene) -> LabelShift | None:
    """By how much labels would have to be moved to lie on the edges of the image, from a sample.

    Returns
    -------
    LabelShift or None
        None where that is not to be told: without a CRS, in pixels that are too coarse, from too
        few houses, or where no displacement within 5 m is better than those around it.

    Raises
    ------
    SceneError, LabelsError
        Where one of them cannot be read.
    """
    scene = source.scene
    resolution, unit = ground_resolution(scene.grid), metres_per_unit(scene.grid)
    if resolution is None or unit is None or resolution > COARSEST:
        return None
    factor = max(1, round(FINEST / resolution))
    pixel = factor * resolution
    reach = math.ceil(REACH / pixel)
    found = best_displacement(
        [agreement(*parts, reach) for parts in _windows_with_houses(source, factor, reach)]
    )
    if found is None:
        return None
    a, b, _, d, e, _ = tuple(scene.transform)[:6]
    cols, rows = found.cols * factor, found.rows * factor
    x, y = a * cols + b * rows, d * cols + e * rows
    return LabelShift(x * unit[0], y * unit[1], found.spread * pixel)


def point_out_shift(source: LabelledScene) -> None:
    """Warn of labels that lie beside the houses of their scene."""
    shift = find_shift(source)
    if shift is not None and shift.is_notable:
        log.warning("%s: %s", source.labels.path, shift.advice)


def _windows_with_houses(
    source: LabelledScene, factor: int, reach: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Image, houses and what is known of windows in means of `factor` pixels a side."""
    scene, side, taken = source.scene, SIDE * factor, 0
    for window in sample_windows(scene.height, scene.width, side, LOOKED_INTO):
        if not houses_and_known(source.labels.read(window))[0].any():
            continue
        wide = _whole_blocks(window.grow(reach * factor).clip(scene.height, scene.width), factor)
        if min(wide.shape) < (2 * reach + 3) * factor:
            continue
        houses, labelled = houses_and_known(source.labels.read(wide))
        image, valid = scene.read(wide)
        known = _means(valid & labelled, factor) == 1
        yield _means(image, factor), _means(houses, factor), known
        taken += 1
        if taken == TAKEN:
            return


def _whole_blocks(window: Window, factor: int) -> Window:
    """As much of a window as is whole blocks."""
    return Window(
        window.row, window.col, window.height // factor * factor, window.width // factor * factor
    )


def _means(array: np.ndarray, factor: int) -> np.ndarray:
    """Means of blocks of `factor` pixels a side."""
    *bands, rows, cols = array.shape
    blocks = array.reshape(*bands, rows // factor, factor, cols // factor, factor)
    return blocks.mean((-3, -1), dtype=np.float32)
