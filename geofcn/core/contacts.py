"""Contacts: where two houses meet, as a net learns it beside house and background."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Contacts:
    """What a model knows of contacts.

    Attributes
    ----------
    reach : int
        How far from two houses a contact lies, in net pixels; see `touching`.
    threshold : float
        A pixel is a contact where the probability of one reaches it, from 0 to 1.
    """

    reach: int
    threshold: float

    def found(self, probability: np.ndarray) -> np.ndarray:
        """Where contacts are by their float32 probability, bool."""
        return np.asarray(probability >= np.float32(self.threshold))


def touching(instances: np.ndarray, reach: int) -> np.ndarray:
    """Pixels near two different houses: the contacts.

    A pixel is a contact where a square of 2 `reach` + 1 pixels a side around it holds pixels of two
    houses or more. So a wall in common is a band of 2 `reach` pixels, and a gap between two houses
    that is narrower than 2 `reach` pixels is one as well.

    Parameters
    ----------
    instances : (rows, columns) array of int
        The house of each pixel, each another number above 0; 0 where there is none.
    reach : int
        In pixels.

    Returns
    -------
    (rows, columns) array of bool

    Examples
    --------
    >>> touching(np.array([[4, 4, 4, 7, 7, 0]]), 1)
    array([[False, False,  True,  True, False, False]])
    >>> touching(np.array([[4, 0, 7, 0, 0, 0]]), 1)
    array([[False,  True, False, False, False, False]])
    """
    none = instances.dtype.type(np.iinfo(instances.dtype).max)
    highest = _extremes(instances, reach, np.maximum)
    numbered = np.where(instances == 0, none, instances)
    return np.asarray((_extremes(numbered, reach, np.minimum) < highest) & (highest > 0))


def _extremes(values: np.ndarray, reach: int, extreme: np.ufunc) -> np.ndarray:
    """Extremes of the squares around all pixels, cut off at the array's edges."""
    for axis in (0, 1):
        values = _along(values.swapaxes(0, axis), reach, extreme).swapaxes(0, axis)
    return values


def _along(values: np.ndarray, reach: int, extreme: np.ufunc) -> np.ndarray:
    """Extremes of up to 2 `reach` + 1 rows around each row."""
    out = values.copy()
    for step in range(1, min(reach, len(values) - 1) + 1):
        extreme(out[step:], values[:-step], out=out[step:])
        extreme(out[:-step], values[step:], out=out[:-step])
    return out
