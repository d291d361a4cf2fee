"""Data augmentation of training tiles: rotation, zoom, mirroring, light and colours.

All draws come from the generator that is handed in; arrays in, arrays out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

# Logarithm of how much larger or smaller a scene's pixels are taken at most.
ZOOM = 0.45
# Pixels by which a window need not grow for an angle's last digit.
ROUNDING = 1e-6
# How far brightness and contrast move, in deviations of the normalised image, each band alone, and
# what share of a band goes into another.
LIGHT, TINT, MIX = 0.6, 0.2, 0.2
# How far colours fade or glow, and how often they are lost.
SATURATION, GREY = 0.8, 0.3


def random_hflip(arrays: list[np.ndarray], random: np.random.Generator) -> list[np.ndarray]:
    """Arrays (..., rows, columns), all mirrored left to right or none, with equal chances."""
    return [array[..., ::-1] for array in arrays] if random.integers(2) else arrays


@dataclass(frozen=True)
class AffineSample:
    """A tile turned, zoomed and mirrored about its middle, by the nearest pixels of the scene.

    Attributes
    ----------
    angle : float
        Radians, from the scene's columns towards its rows.
    zoom : float
        Distance of two neighbouring pixels of the tile, in pixels of the scene.
    mirrored : bool
        Whether the columns run backwards.

    Examples
    --------
    Every second pixel, from right to left:

    >>> sample = AffineSample(angle=0.0, zoom=2.0, mirrored=True)
    >>> sample.side(2)
    3
    >>> sample.take([np.arange(9).reshape(3, 3)], 2)[0]
    array([[2, 0],
           [8, 6]])
    """

    angle: float
    zoom: float
    mirrored: bool

    def side(self, size: int) -> int:
        """Side, in pixels, of the window of the scene that a tile of `size` x `size` needs."""
        across = abs(math.cos(self.angle)) + abs(math.sin(self.angle))
        return math.ceil(self.zoom * across * (size - 1) - ROUNDING) + 1

    def take(self, arrays: list[np.ndarray], size: int) -> list[np.ndarray]:
        """Cut the tile (..., size, size) out of each array (..., side, side).

        Parameters
        ----------
        arrays : list of array
            Arrays of the window whose side `side(size)` says; any dtypes, which are kept.
        size : int
            Side of the tile, in pixels.
        """
        side = self.side(size)
        along = np.arange(size) - (size - 1) / 2
        down, right = self.zoom * along, self.zoom * (-along if self.mirrored else along)
        cos, sin, middle = math.cos(self.angle), math.sin(self.angle), (side - 1) / 2
        index = _nearest(middle + cos * down, sin * right)
        index *= side
        index += _nearest(middle - sin * down, cos * right)
        # All indices lie inside: wrapping them costs less than numpy's check that they do.
        flat = [array.reshape(*array.shape[:-2], -1) for array in arrays]
        return [array.take(index, axis=-1, mode="wrap") for array in flat]


def _nearest(rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """The integers nearest to rows[i] + cols[j]."""
    sums = np.add.outer(rows.astype(np.float32), cols.astype(np.float32))
    return np.rint(sums, out=sums).astype(np.intp)


def random_affine(tilt: float, random: np.random.Generator, zoom: float = 1.0) -> AffineSample:
    """Draw an angle within `tilt` degrees, a zoom's logarithm within ZOOM, whether to mirror.

    What is drawn comes on top of `zoom`.
    """
    limit = math.radians(tilt)
    angle, drawn = random.uniform(-limit, limit), math.exp(random.uniform(-ZOOM, ZOOM))
    return AffineSample(angle, zoom * drawn, bool(random.integers(2)))


def colour_jitter(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Change brightness, contrast and saturation of a normalised image at random.

    One affine map of the bands, drawn anew for each call, is applied to all pixels.

    Parameters
    ----------
    image : (bands, rows, columns) float32 array
        Left as it is. Pixels that are 0 in every band stay so: blank remains blank.
    random : numpy.random.Generator
        Where the draws come from.

    Returns
    -------
    (bands, rows, columns) float32 array
    """
    bands = len(image)
    colour = 0.0 if random.random() < GREY else 1 + random.uniform(-SATURATION, SATURATION)
    grey = np.full((bands, bands), 1 / bands)
    mixed = grey + colour * (np.eye(bands) - grey) + random.uniform(-MIX, MIX, (bands, bands))
    contrast = np.exp(random.uniform(-LIGHT, LIGHT) + random.uniform(-TINT, TINT, bands))
    shift = random.uniform(-LIGHT, LIGHT) + random.uniform(-TINT, TINT, bands)
    mixed = (contrast[:, None] * mixed).astype(np.float32)
    out = (mixed @ image.reshape(bands, -1)).reshape(image.shape)
    out += shift.astype(np.float32)[:, None, None]
    blank = (image == 0).all(axis=0)
    if blank.any():
        out[:, blank] = 0
    return out
