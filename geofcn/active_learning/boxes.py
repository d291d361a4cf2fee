"""Boxes of a scene in which most pixels are expected to be wrong, from streamed row bands.

A box is a square of `side` pixels; together they cover the raster from its upper left corner, and
are cut off at its right and bottom.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from geofcn.core.pixels import BLANK, HOUSE, PROBABILITY_STEPS
from geofcn.core.windows import Window, band_height, blocks, cut, origins

UNCERTAIN, MAP = "uncertain", "map"


@dataclass(frozen=True)
class Box:
    """A square of a raster, and what is expected of its pixels.

    Attributes
    ----------
    number : int
        From 1, row by row.
    window : Window
        Its pixels.
    wrong : float
        How many of them are expected to be wrong.
    contradicted : float
        Of these, the ones where the model calls a house what the map does not, or the reverse.
    houses : float
        How many are expected to be houses.
    """

    number: int
    window: Window
    wrong: float
    contradicted: float
    houses: float

    @property
    def reason(self) -> str:
        """Why it is worth a look: the model is uncertain there, or contradicts the map."""
        return MAP if 2 * self.contradicted > self.wrong else UNCERTAIN


def box_bands(height: int, width: int, side: int) -> Iterator[Window]:
    """Full-width row bands of which a few can be held, none of them in two rows of boxes.

    Examples
    --------
    >>> for band in box_bands(40, 1_000_000, 20):
    ...     print(band)
    rows 0-15, columns 0-999999
    rows 16-19, columns 0-999999
    rows 20-35, columns 0-999999
    rows 36-39, columns 0-999999
    """
    for row in cut(Window(0, 0, height, width), side, width):
        yield from cut(row, band_height(width), width)


def expected_boxes(
    bands: Iterable[tuple[Window, np.ndarray, np.ndarray | None]],
    height: int,
    width: int,
    side: int,
) -> Iterator[Box]:
    """All boxes of a raster, row by row.

    A pixel of probability p is wrong with the chance min(p, 1 - p): the model calls it what is the
    more probable. With a map it is wrong where it is not what the map says, with the chance p where
    that is background, else 1 - p. Memory is bounded by a band and a row of boxes.

    Parameters
    ----------
    bands : iterable of (Window, quantised, map)
        Those of `box_bands`, each with its probabilities, (rows, columns) uint8 (0-254 for 0-1, 255
        blank), and the classes of a map, (rows, columns) uint8 (0 background, 1 house, 255
        unknown), or None.
    height, width : int
        Of the raster.
    side : int
        Of a box, in pixels.
    """
    windows = enumerate(blocks(Window(0, 0, height, width), side), 1)
    starts = np.array(origins(width, side))
    for _, row in groupby(bands, lambda band: band[0].row // side):
        # Whole numbers of steps: the sums do not depend on how the raster is cut.
        sums = sum(_column_sums(quantised, classes) for _, quantised, classes in row)
        in_boxes = np.add.reduceat(sums, starts, axis=1) / PROBABILITY_STEPS
        for wrong, contradicted, houses in in_boxes.T.tolist():
            yield Box(*next(windows), wrong, contradicted, houses)


def most_wrong(boxes: Iterable[Box], count: int) -> list[Box]:
    """The `count` boxes with the most pixels expected to be wrong, in that order; none without any.

    Of equal ones the first come first. Memory is bounded by the count.

    Examples
    --------
    >>> boxes = [Box(i, Window(0, i, 1, 1), wrong, 0, 0) for i, wrong in enumerate([1, 0, 3, 1])]
    >>> [box.number for box in most_wrong(boxes, 2)], [box.number for box in most_wrong(boxes, 9)]
    ([2, 0], [2, 0, 3])
    """
    return heapq.nsmallest(count, (box for box in boxes if box.wrong > 0), key=_rank)


def _rank(box: Box) -> tuple[float, int]:
    return -box.wrong, box.number


def _column_sums(quantised: np.ndarray, classes: np.ndarray | None) -> np.ndarray:
    """Steps in each column that are expected to be wrong, are contradicted, and are houses.

    (3, columns) int64.
    """
    known = quantised != BLANK
    steps = np.where(known, quantised, np.uint8(0))
    rest = np.where(known, PROBABILITY_STEPS - steps, np.uint8(0))
    called = steps > rest
    wrong, contradicted = np.minimum(steps, rest), np.zeros_like(steps)
    if classes is not None:
        mapped = classes == HOUSE
        differs = (classes != BLANK) & (mapped != called)
        contradicted[differs] = np.maximum(steps, rest)[differs]
        wrong = np.maximum(wrong, contradicted)
    return np.stack([a.sum(axis=0, dtype=np.int64) for a in (wrong, contradicted, steps)])
