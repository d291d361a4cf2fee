"""Overviews of masks and probabilities: 2 x 2 pixels reduced to one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from geofcn.core.pixels import BLANK

# (2 n, 2 m) pixels to (n, m).
Reduce = Callable[[np.ndarray], np.ndarray]


def pad_to_even(array: np.ndarray) -> np.ndarray:
    """`array` with its last row or column doubled where their number is odd.

    Examples
    --------
    >>> pad_to_even(np.array([[1, 2, 3]]))
    array([[1, 2, 3, 3],
           [1, 2, 3, 3]])
    """
    rows, cols = array.shape
    return (
        np.pad(array, ((0, rows % 2), (0, cols % 2)), mode="edge")
        if rows % 2 or cols % 2
        else array
    )


def halve_mask(mask: np.ndarray) -> np.ndarray:
    """Halve a mask: a house where two of four pixels are, blank where three are.

    Two are enough so that thin houses stay. Where houses meet they are houses like any other.

    Parameters
    ----------
    mask : (2 n, 2 m) uint8 array
        0 background, 1 house, 2 house that meets another, 255 blank.

    Returns
    -------
    (n, m) uint8 array
        Background, house and blank.

    Examples
    --------
    >>> halve_mask(np.array([[1, 0, 255, 255], [1, 0, 255, 0]], np.uint8))
    array([[  1, 255]], dtype=uint8)
    >>> halve_mask(np.array([[2, 0], [1, 0]], np.uint8))
    array([[1]], dtype=uint8)
    """
    # 0x00, 0x01 and 0x11 for background, house and blank: the upper digit of a sum of four counts
    # blank pixels, the lower one these and houses.
    count = _sum_of_four((mask | mask >> 1) & 0x11)
    blank = count >= 0x30
    halved = ((count & 0xF) - (count >> 4) >= 2).view(np.uint8)
    halved[blank] = BLANK
    return halved


def halve_quantised(quantised: np.ndarray) -> np.ndarray:
    """Halve uint8 probabilities: the mean of what is not blank, rounded down.

    Parameters
    ----------
    quantised : (2 n, 2 m) uint8 array
        0-254 for 0-1, 255 blank.

    Returns
    -------
    (n, m) uint8 array
        The same; blank where all four pixels are.

    Examples
    --------
    >>> halve_quantised(np.array([[10, 255], [21, 255]], np.uint8))
    array([[15]], dtype=uint8)
    """
    known = quantised != BLANK
    count = _count_of_four(known)
    total = _sum_of_four(np.where(known, quantised, 0).astype(np.uint16))
    return np.where(count > 0, total // np.maximum(count, 1), BLANK).astype(np.uint8)


def halve_floats(values: np.ndarray) -> np.ndarray:
    """Halve float probabilities: the mean of what is not NaN.

    Parameters
    ----------
    values : (2 n, 2 m) float32 array
        NaN where blank.

    Returns
    -------
    (n, m) float32 array
        NaN where all four pixels are.
    """
    known = ~np.isnan(values)
    count = _count_of_four(known)
    total = _sum_of_four(np.where(known, values, np.float32(0)))
    with np.errstate(invalid="ignore"):
        return (total / count).astype(np.float32)


def _count_of_four(where: np.ndarray) -> np.ndarray:
    return _sum_of_four(where.view(np.uint8))


def _sum_of_four(values: np.ndarray) -> np.ndarray:
    """Sums of 2 x 2 pixels."""
    rows = values[::2] + values[1::2]
    return rows[:, ::2] + rows[:, 1::2]
