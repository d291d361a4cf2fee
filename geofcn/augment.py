"""Variations of training tiles: how a tile is turned, and what light it is seen in.

All draws come from the generator that is handed in; arrays in, arrays out.
"""

from __future__ import annotations

import numpy as np

# How far brightness and contrast move, in deviations of the normalised image, and each band alone.
LIGHT = 0.3
TINT = 0.1


def turned(arrays: list[np.ndarray], random: np.random.Generator) -> list[np.ndarray]:
    """All arrays (..., n, n) by one random quarter turn and flip."""
    turns, flip = random.integers(4), random.integers(2)
    arrays = [np.rot90(array, turns, axes=(-2, -1)) for array in arrays]
    return [array[..., ::-1] for array in arrays] if flip else arrays


def relit(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A normalised image (bands, rows, columns) in another light: contrast, brightness and tint.

    Pixels that are 0 in every band stay so: blank remains blank.
    """
    bands = len(image)
    contrast = np.exp(random.uniform(-LIGHT, LIGHT) + random.uniform(-TINT, TINT, bands))
    shift = random.uniform(-LIGHT, LIGHT) + random.uniform(-TINT, TINT, bands)
    out = image * contrast.astype(np.float32)[:, None, None]
    out += shift.astype(np.float32)[:, None, None]
    blank = (image == 0).all(axis=0)
    if blank.any():
        out[:, blank] = 0
    return out
