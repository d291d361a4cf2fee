"""Houses of a mask told apart: between which pixels two of them meet, in row bands.

A net says which pixels are CONTACTS, where two houses meet. The others of a house are its SEED; two
seeds are one if they touch along a side of a pixel. Contacts then go back to the houses: in each of
REACH steps every one that touches a pixel which has a house takes that house, of several that of
the first in the order above, left, right, below. Contacts that are farther off are houses of their
own, those that touch as one. So nothing is lost where contacts are wrong, and every house is
4-connected.

Whether two neighbours belong together depends on what is at most REACH rows off, but for one thing:
two seeds may be joined farther off. Then there is a WALL between two pixels of one house, which
`geofcn.tracing.walls` takes away. Bands are cut anew, in a way that depends on the width alone, so
all of this does not depend on the bands that come.

A raster may number its houses instead; then there is a wall wherever two numbers meet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeAlias

import numpy as np

from geofcn.tracing.permutations import unite

REACH = 16
"""Pixels that a contact may be from its house; half of the widest band of contacts, and some."""

WINDOW_PIXELS = 1 << 21
"""Bands are cut into windows of about so many pixels, of more than REACH rows."""

Band: TypeAlias = tuple[np.ndarray, np.ndarray | None, np.ndarray]
"""Full-width rows: houses (rows, width) bool, values (rows, width) or None, contacts bool."""


class WalledBand(NamedTuple):
    """Full-width rows of a mask, and where two houses meet.

    Attributes
    ----------
    houses : (rows, width) array of bool
    values : (rows, width) array, optional
        Handed through.
    beside, above : (rows, width) array of bool
        Whether there is a wall between a pixel and the one to its left, and the one above it; both
        pixels are houses then.
    """

    houses: np.ndarray
    values: np.ndarray | None
    beside: np.ndarray
    above: np.ndarray


def walled_bands(bands: Iterable[Band], width: int) -> Iterator[WalledBand]:
    """Row bands with walls between houses; they are cut otherwise than those that come.

    Parameters
    ----------
    bands : iterable of (houses, values, contacts)
        From the first row of a mask to its last; values with every band or with none.
    width : int
        Columns of the mask.

    Examples
    --------
    >>> houses, contacts = np.ones((1, 5), bool), np.array([[0, 0, 1, 0, 0]], bool)
    >>> (band,) = walled_bands([(houses, None, contacts)], 5)
    >>> band.beside.astype(int)
    array([[0, 0, 0, 1, 0]])
    """
    before: Band | None = None
    current: Band | None = None
    for following in recut(bands, max(REACH + 1, WINDOW_PIXELS // width)):
        if current is not None:
            yield _walled(before, current, following)
        before, current = current, following
    if current is not None:
        yield _walled(before, current, None)


def numbered_band(
    numbers: np.ndarray, row_above: np.ndarray | None, values: np.ndarray | None = None
) -> WalledBand:
    """A row band of houses that are numbered, with walls between any two numbers.

    Parameters
    ----------
    numbers : (rows, width) array of int
        The house of each pixel, 0 where there is none.
    row_above : (width,) array of int, optional
        The last row of the band before; None of the first one.
    values : (rows, width) array, optional
        Handed through.

    Examples
    --------
    >>> numbered_band(np.array([[7, 7, 9, 0]]), np.array([8, 0, 9, 9])).above.astype(int)
    array([[1, 0, 0, 0]])
    """
    beside, above = np.zeros((2, *numbers.shape), bool)
    beside[:, 1:] = _are_two_houses(numbers[:, 1:], numbers[:, :-1])
    above[1:] = _are_two_houses(numbers[1:], numbers[:-1])
    if row_above is not None:
        above[0] = _are_two_houses(numbers[0], row_above)
    return WalledBand(numbers != 0, values, beside, above)


def _are_two_houses(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.asarray((first != second) & (first != 0) & (second != 0))


def recut(bands: Iterable[Band], rows: int) -> Iterator[Band]:
    """The same rows in bands of `rows` rows; the last one may have less."""
    waiting: list[Band] = []
    count = 0
    for band in bands:
        top = 0
        while len(band[0]) - top >= rows - count:
            bottom = top + rows - count
            yield _stacked([*waiting, _rows(band, top, bottom)])
            waiting, count, top = [], 0, bottom
        if top < len(band[0]):
            waiting.append(_rows(band, top, len(band[0])))
            count += len(band[0]) - top
    if waiting:
        yield _stacked(waiting)


def _rows(band: Band, top: int, bottom: int) -> Band:
    houses, values, contacts = band
    rows = slice(top, bottom)
    return houses[rows], None if values is None else values[rows], contacts[rows]


def _stacked(bands: list[Band]) -> Band:
    if len(bands) == 1:
        return bands[0]
    houses, values, contacts = zip(*bands, strict=True)
    layers = None if values[0] is None else np.concatenate(values)
    return np.concatenate(houses), layers, np.concatenate(contacts)


def _walled(before: Band | None, current: Band, following: Band | None) -> WalledBand:
    """A band with its walls, found with REACH rows more on both sides; and the row above it."""
    houses, values, contacts = current
    if not (houses & contacts).any() and (before is None or not (before[0] & before[2])[-1].any()):
        none = np.zeros(houses.shape, bool)
        return WalledBand(houses, values, none, none)
    around = [(houses, contacts)]
    top = 0
    if before is not None:
        top = min(len(before[0]), REACH + 1)
        around.insert(0, (before[0][-top:], before[2][-top:]))
    if following is not None:
        around.append((following[0][:REACH], following[2][:REACH]))
    house, contact = (np.concatenate(layer) for layer in zip(*around, strict=True))
    beside, above = _find_walls(house, contact, slice(max(top - 1, 0), top + len(houses)))
    own = slice(top, top + len(houses))
    return WalledBand(houses, values, beside[own], above[own])


def _find_walls(
    houses: np.ndarray, contacts: np.ndarray, exact: slice
) -> tuple[np.ndarray, np.ndarray]:
    """Walls to the left of and above the pixels of a window; right in the rows `exact`.

    The pixels are numbered row by row, with a blank frame of one pixel, so neighbours of a pixel
    are found by adding to its number.
    """
    stride = houses.shape[1] + 2
    framed = np.pad(houses, 1)
    taken_away = framed & np.pad(contacts, 1)
    house, taken = framed.ravel(), taken_away.ravel()
    contact = np.flatnonzero(taken)
    seeds = _Seeds.find(framed & ~taken_away)
    source, left = _grow(house & ~taken, contact, stride)
    label = np.zeros(len(house), np.int64)
    reached = np.flatnonzero(source[contact])
    label[contact[reached]] = seeds.label(source[contact[reached]])
    left = left[(left // stride > exact.start) & (left // stride <= exact.stop)]
    label[left] = len(seeds) + _components(left, stride)

    def walls(step: int) -> np.ndarray:
        """Between a pixel and the one `step` before it; one of the two is a contact."""
        both = house[step:] & house[:-step] & (taken[step:] | taken[:-step])
        first = np.flatnonzero(both)
        for pixel in (first, first + step):
            seed = pixel[~taken[pixel]]
            label[seed] = seeds.label(seed)
        wall = np.zeros(len(house), bool)
        wall[first + step] = label[first] != label[first + step]
        return wall.reshape(framed.shape)[1:-1, 1:-1]

    return walls(1), walls(stride)


class _Seeds(NamedTuple):
    """Runs of pixels of the seeds, and the seed that each belongs to.

    Attributes
    ----------
    begin : (r,) array of int
        The number of the first pixel of each run.
    seed : (r,) array of int
        The least run of the same seed.
    """

    begin: np.ndarray
    seed: np.ndarray

    @classmethod
    def find(cls, pixels: np.ndarray) -> _Seeds:
        """The seeds of (rows, stride) bool pixels that have a blank frame."""
        begin = _begins(pixels)
        both = _begins(pixels[1:] & pixels[:-1])  # a run's overlap with one below it
        upper = np.searchsorted(begin, both, side="right") - 1
        lower = np.searchsorted(begin, both + pixels.shape[1], side="right") - 1
        return cls(begin, unite(np.arange(len(begin)), upper, lower))

    def __len__(self) -> int:
        return len(self.begin)

    def label(self, pixels: np.ndarray) -> np.ndarray:
        """The seed of each of some pixels of seeds, from 0."""
        return self.seed[np.searchsorted(self.begin, pixels, side="right") - 1]


def _begins(pixels: np.ndarray) -> np.ndarray:
    """The numbers of the first pixels of all runs; a frame keeps those of two rows apart."""
    flat = pixels.ravel()
    return np.flatnonzero(flat[1:] & ~flat[:-1]) + 1


def _grow(has_house: np.ndarray, contact: np.ndarray, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Give contacts back, in place in `has_house`.

    Returns
    -------
    source : (n,) array of int
        The pixel of a seed that each contact comes from; 0 of all others.
    left : (m,) array of int
        The contacts that were not reached.
    """
    source = np.zeros(len(has_house), np.int64)
    left = contact
    around = np.array([-stride, -1, 1, stride])
    for _ in range(REACH):
        neighbours = left[:, None] + around
        touching = has_house[neighbours]
        reached = touching.any(axis=1)
        if not reached.any():
            break
        first = touching[reached].argmax(axis=1)
        pixel = left[reached]
        parent = pixel + around[first]
        source[pixel] = np.where(source[parent] > 0, source[parent], parent)
        has_house[pixel] = True
        left = left[~reached]
    return source, left


def _components(pixels: np.ndarray, stride: int) -> np.ndarray:
    """A label for each of some pixels, sorted: the same for those that are 4-connected."""
    pairs = []
    for step in (1, stride):
        after = np.searchsorted(pixels, pixels + step)
        after[after == len(pixels)] = 0
        joined = np.flatnonzero(pixels[after] == pixels + step) if len(pixels) else after
        pairs.append((joined, after[joined]))
    a, b = (np.concatenate(ends) for ends in zip(*pairs, strict=True))
    return unite(np.arange(len(pixels)), a, b)
