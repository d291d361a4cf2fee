"""Pixel values: normalisation, blank pixels, classes, and probabilities as uint8.

Images are (bands, rows, columns), masks and probabilities (rows, columns). `valid` is boolean,
false where a pixel is blank.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from geofcn.core.resampling import Ratio, area_sum

BACKGROUND, HOUSE, BLANK = 0, 1, 255
# What labels say besides of a pixel that is labelled, as bits: that two houses meet there, or that
# nobody knows where they do.
CONTACT, CONTACT_UNKNOWN = 2, 4
# In a mask, a house where it meets another.
HOUSE_CONTACT = 2

# uint8 probabilities: 0-254 stand for 0-1, 255 is BLANK.
PROBABILITY_STEPS = 254


@dataclass(frozen=True)
class Normalisation:
    """(value - mean) / scale, the same for the whole scene, 0 where blank.

    Attributes
    ----------
    mean : (bands, period, period) array of float32
        In units of the raster's values, repeated every `period` pixels from the scene's origin:
        period 1 is a mean per band, period W the mean image of training tiles W pixels wide.
    scale : (bands,) array of float32
        In units of the raster's values.

    Examples
    --------
    >>> normalisation = Normalisation(np.full((1, 1, 1), 100, np.float32), np.float32([50]))
    >>> image = np.array([[[50, 100, 200]]], np.uint8)
    >>> normalisation.apply(image, np.array([[True, True, False]]), 0, 0)
    array([[[-1.,  0.,  0.]]], dtype=float32)
    """

    mean: np.ndarray
    scale: np.ndarray

    @property
    def bands(self) -> int:
        """Number of bands an image must have."""
        return self.mean.shape[0]

    def apply(self, image: np.ndarray, valid: np.ndarray | None, row: int, col: int) -> np.ndarray:
        """Normalise a part of the scene.

        Parameters
        ----------
        image : (bands, rows, columns) array
            It is left alone.
        valid : (rows, columns) array of bool, optional
            None: all pixels are valid.
        row, col : int
            Where the image's upper left pixel lies in the scene.

        Returns
        -------
        (bands, rows, columns) array of float32
            0 in every band where a pixel is blank.
        """
        # A pixel that is blank may be NaN, infinite or too large for float32: it is overwritten
        # below, not computed with.
        with np.errstate(invalid="ignore", over="ignore"):
            out = image.astype(np.float32)
            out -= self._field(row, col, *image.shape[1:])
            if (self.scale != 1).any():
                out *= (1 / self.scale)[:, None, None]
        if valid is not None and not valid.all():
            out[:, ~valid] = 0
        return out

    def area_means(
        self, image: np.ndarray, valid: np.ndarray, ratio: Ratio, row: int = 0, col: int = 0
    ) -> np.ndarray:
        """Means over net pixels of what `apply` gives, up to rounding.

        Parameters
        ----------
        image : (bands, rows, columns) array
            Rows and columns are multiples of the ratio's p.
        valid : (rows, columns) array of bool
            Blank pixels count as 0, the mean, among those of a net pixel.
        ratio : Ratio
            Pixels to a net pixel.
        row, col : int
            Where the image's upper left pixel lies in the scene, in multiples of p.

        Returns
        -------
        (bands, rows q / p, columns q / p) array of float32
        """
        if ratio == Ratio(1):
            return self.apply(image, valid, row, col)
        area = ratio.p**2
        if self.mean.shape[1] > 1:
            return area_sum(self.apply(image, valid, row, col), ratio, np.float32) / area
        # With one mean per band the values are summed before they are normalised: far fewer then.
        whole = bool(valid.all())
        image = image if whole else np.where(valid, image, image.dtype.type(0))
        kind = np.uint16 if image.dtype == np.uint8 and ratio.p <= 16 else np.float32
        counted = area if whole else area_sum(valid, ratio, np.uint16)
        means = area_sum(image, ratio, kind).astype(np.float32)
        means -= self.mean * np.float32(counted)
        means *= (1 / (self.scale * area)).astype(np.float32)[:, None, None]
        return means

    def _field(self, row: int, col: int, height: int, width: int) -> np.ndarray:
        period = self.mean.shape[1]
        if period == 1:
            return self.mean
        rows = np.arange(row, row + height) % period
        cols = np.arange(col, col + width) % period
        return self.mean[:, rows[:, None], cols]


def pad_to(array: np.ndarray, height: int, width: int, value: float = 0) -> np.ndarray:
    """`array` (..., rows, columns) extended to the right and at the bottom with `value`.

    Examples
    --------
    >>> pad_to(np.array([[1, 2]]), 2, 3)
    array([[1, 2, 0],
           [0, 0, 0]])
    """
    down, right = height - array.shape[-2], width - array.shape[-1]
    if not (down or right):
        return array
    margins = [(0, 0)] * (array.ndim - 2) + [(0, down), (0, right)]
    return np.pad(array, margins, constant_values=value)


def nonblank_values(image: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """How many of a pixel's values are not blank, (rows, columns) uint16, see `is_kept`.

    A value is blank when it is 0 or its pixel is not valid: the share of blank values, not of blank
    pixels, decides whether a training tile is kept, as in the exercise.
    """
    return np.where(valid, (image != 0).sum(axis=0, dtype=np.uint16), np.uint16(0))


def is_kept(values: int, size: int, houses: int) -> bool:
    """Whether a tile is trained on: not when more than half of it is blank and it has no house.

    Parameters
    ----------
    values : int
        Values that are not blank, see `nonblank_values`.
    size : int
        Values in all bands.
    houses : int
        Pixels labelled house.

    Examples
    --------
    >>> is_kept(24, 48, houses=0), is_kept(23, 48, houses=0), is_kept(23, 48, houses=1)
    (True, False, True)
    """
    return houses > 0 or 2 * values >= size


def houses_and_known(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which pixels of uint8 labels are houses, and which are labelled: bool, of the same shape.

    Examples
    --------
    >>> houses_and_known(np.array([[BACKGROUND, HOUSE, HOUSE | CONTACT, BLANK]], np.uint8))
    (array([[False,  True,  True, False]]), array([[ True,  True,  True, False]]))
    """
    return labels & ~np.uint8(CONTACT | CONTACT_UNKNOWN) == HOUSE, labels != BLANK


def contacts_and_known(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where houses meet, and where labels know whether they do: bool, of the same shape.

    Examples
    --------
    >>> contacts_and_known(np.array([[HOUSE, HOUSE | CONTACT, CONTACT_UNKNOWN, BLANK]], np.uint8))
    (array([[False,  True, False, False]]), array([[ True,  True, False, False]]))
    """
    known = labels & np.uint8(CONTACT_UNKNOWN) == 0  # all bits of BLANK are set
    return known & (labels & np.uint8(CONTACT) != 0), known


def classify(probability: np.ndarray, valid: np.ndarray, threshold: float) -> np.ndarray:
    """uint8 mask: HOUSE where probability >= threshold, else BACKGROUND, BLANK where not valid.

    Examples
    --------
    >>> valid = np.array([True, True, False])
    >>> classify(np.array([0.4, 0.5, 0.9], np.float32), valid, 0.5)
    array([  0,   1, 255], dtype=uint8)
    """
    mask = (probability >= np.float32(threshold)).view(np.uint8)
    if not valid.all():
        mask[~valid] = BLANK
    return mask


def mark_contacts(mask: np.ndarray, contacts: np.ndarray | None) -> np.ndarray:
    """Mark contacts in a mask: HOUSE_CONTACT for houses where they are; None: there are none.

    Examples
    --------
    >>> mark_contacts(np.array([0, 1, 1, 255], np.uint8), np.array([1, 1, 0, 1], bool))
    array([  0,   2,   1, 255], dtype=uint8)
    """
    if contacts is None:
        return mask
    return np.where((mask == HOUSE) & contacts, np.uint8(HOUSE_CONTACT), mask)


def classify_quantised(quantised: np.ndarray, threshold: float) -> np.ndarray:
    """The same mask of uint8 probabilities, see `quantise`: HOUSE where they reach the threshold.

    Examples
    --------
    >>> classify_quantised(np.array([126, 127, 255], np.uint8), 126.5 / 254)
    array([  0,   1, 255], dtype=uint8)
    """
    mask = (quantised >= np.uint8(math.ceil(threshold * PROBABILITY_STEPS))).view(np.uint8)
    mask[quantised == BLANK] = BLANK
    return mask


def quantise(probability: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
    """float32 probabilities as uint8: 0-254 for 0-1, rounded to the nearest, BLANK where not valid.

    `valid` None: all pixels are valid.

    Examples
    --------
    >>> quantise(np.array([0, 0.5, 1, 0], np.float32), np.array([True, True, True, False]))
    array([  0, 127, 254, 255], dtype=uint8)
    """
    steps = probability * np.float32(PROBABILITY_STEPS)
    steps = np.rint(steps, out=steps).astype(np.uint8)
    if valid is not None and not valid.all():
        steps[~valid] = BLANK
    return steps


def picture_of(image: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
    """Image (bands, rows, columns) of any dtype as a picture (rows, columns, 3) of uint8.

    The first three bands are shown, or the first one in grey where there are fewer. What is not
    uint8 is stretched between its 2nd and 98th percentile, of what is `valid` (rows, columns).

    Examples
    --------
    >>> picture_of(np.array([[[7, 8]]], np.uint8)).tolist()
    [[[7, 7, 7], [8, 8, 8]]]
    """
    bands = image[:3] if len(image) >= 3 else np.repeat(image[:1], 3, axis=0)
    if bands.dtype != np.uint8:
        seen = bands if valid is None else bands[:, valid]
        finite = seen[np.isfinite(seen)]
        low, high = np.percentile(finite, (2, 98)) if len(finite) else (0, 1)
        stretched = (np.nan_to_num(bands.astype(np.float32)) - low) / max(high - low, 1e-12)
        bands = (255 * stretched.clip(0, 1)).astype(np.uint8)
    return np.moveaxis(bands, 0, -1)
