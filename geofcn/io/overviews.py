"""Overviews of masks and probabilities: 2 x 2 pixels reduced to one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from geofcn.core.pixels import BLANK

Reduce = Callable[[np.ndarray], np.ndarray]


def _even(array: np.ndarray) -> np.ndarray:
    """`array` with its last row or column doubled where their number is odd."""
    rows, cols = array.shape
    return (
        np.pad(array, ((0, rows % 2), (0, cols % 2)), mode="edge")
        if rows % 2 or cols % 2
        else array
    )


def halve_mask(mask: np.ndarray) -> np.ndarray:
    """(2 n, 2 m) classes to (n, m): a house where two or more of four pixels are, so that thin
    houses stay; blank where three or more are.
    """
    # 0x00, 0x01 and 0x11 for background, house and blank: the upper digit of a sum of four counts
    # blank pixels, the lower one these and houses.
    count = _sum_of_four(mask & 0x11)
    blank = count >= 0x30
    halved = ((count & 0xF) - (count >> 4) >= 2).view(np.uint8)
    halved[blank] = BLANK
    return halved


def halve_quantised(quantised: np.ndarray) -> np.ndarray:
    """(2 n, 2 m) uint8 probabilities to (n, m): the mean of what is not blank, rounded down."""
    known = quantised != BLANK
    count = _count_of_four(known)
    total = _sum_of_four(np.where(known, quantised, 0).astype(np.uint16))
    return np.where(count > 0, total // np.maximum(count, 1), BLANK).astype(np.uint8)


def halve_floats(values: np.ndarray) -> np.ndarray:
    """(2 n, 2 m) float probabilities to (n, m): the mean of what is not NaN."""
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
