"""The polygons of a 0/1 mask pushed in row bands: exact, and only what is open is kept.

The mask is swept in strips of full-width rows. On a lattice line between two rows of pixels, an
EDGE is a stretch with foreground on one side only. It runs with the foreground on its left: west
along the top of a house, east along its bottom. Sorted by column, the ends of all edges pair up
into the vertical edges, which lead each edge to its successor:

        o<----------------o
        | # # # # # # # # ^      #  foreground
        | # # o---->o # # |      o  corner: the end of an edge
        | # # ^     | # # |
        v # # |     v # # |
    - - =====>- - - =====>- - -  =  gate, on the lower border of the strip

Each foreground run of a strip's last row is closed by a GATE, an edge along the border. So every
outline is a CYCLE, and `successor` a permutation. Cut at its gates, a cycle falls into CHAINS,
which go on in the next strip: there a chain is one item with two ends on the upper border, however
long it is. What it is made of, linked SEGMENTS of corners, waits in a pool.

A COMPONENT is a set of 4-connected foreground pixels; it becomes one polygon as soon as it has no
gate. A cycle whose topmost edge runs east is a hole, or may become one: it belongs to the component
that owns the nearest vertical edge on its left, in the pixel row above.

Where two foreground pixels touch at a corner only, two corners lie on one point, a SADDLE:

        # # ^           # # ^        Each corner hugs its own pixel, so pixels of different
        # # |           # # |        components stay apart (left). A ring with both corners would
        --->o           # # o<---    touch itself: it is split in two by exchanging the two
            o<---       --->o # #    successors (right). Rings do not cross, so that can be done
            | # #           | # #    for all saddles at once, when the component is finished.
            v # #           v # #

Sums of pixels or of values over a polygon follow from its edges alone (Green's theorem): with
T[y, x] the sum over the strip's rows above y and columns left of x, an edge on line y adds
T[y, head] - T[y, tail]. The gates close the strip for that purpose as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

STRIP_PIXELS = 1 << 21
"""A band is swept in strips of about so many pixels, which bounds memory and suits the cache."""

HELD_PER_FINISHED = 4
"""The pool is emptied of finished polygons once they are this fraction of it: amortised O(1)."""

FIXED_POINT = 1 << 30
"""Floats are summed as integers, multiples of 1 / FIXED_POINT: the same sum in any order."""

# A corner is the integer row << 32 | column, so corners compare by row, then column. In memory it
# is the pair (column, row) of int32. The complement ~corner (negative) is a saddle's, not yet split.
CORNER = np.dtype("<i8")
COORDINATE = np.dtype("<i4")
ROW_SHIFT = 32


@dataclass(frozen=True)
class Polygons:
    """Polygons as ragged arrays, the way shapely.from_ragged_array takes them.

    coords    (n, 2) int32, (column, row) of pixel corners; each ring is closed (first == last)
    rings     (r + 1,) offsets of the rings in `coords`
    polygons  (p + 1,) offsets of the polygons in `rings`; an exterior, then its holes
    pixels    (p,) int64, number of pixels
    sums      (p,) int64 or float64, sum of the valid values (0 without values)
    counts    (p,) int64, number of valid values (0 without values)

    As seen on screen (rows downwards) exteriors run counter-clockwise and holes clockwise. A ring
    starts at its topmost, then leftmost corner. Holes come in the order of their starts, polygons
    in that of their last rows, then first columns, then starts.
    """

    coords: np.ndarray
    rings: np.ndarray
    polygons: np.ndarray
    pixels: np.ndarray
    sums: np.ndarray
    counts: np.ndarray

    def __len__(self) -> int:
        return len(self.pixels)

    @classmethod
    def concatenate(cls, parts: Sequence[Polygons]) -> Polygons:
        """All polygons of one or more parts of a sweep, in order."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            np.concatenate([part.coords for part in parts]),
            _offsets(np.concatenate([np.diff(part.rings) for part in parts])),
            _offsets(np.concatenate([np.diff(part.polygons) for part in parts])),
            np.concatenate([part.pixels for part in parts]),
            np.concatenate([part.sums for part in parts]),
            np.concatenate([part.counts for part in parts]),
        )


class Sweep:
    """Turns a mask of `width` columns, pushed from its first row to its last, into polygons.

    What `push` and `finish` return, concatenated, does not depend on the heights of the bands.
    """

    def __init__(self, width: int):
        if width < 1:
            raise ValueError(f"a mask needs at least one column, not {width}")
        self._width = width
        self._row = 0
        self._above = np.zeros(width, np.uint8)
        self._measures: _Measures | None = None
        self._frontier: _Frontier | None = None
        self._pool = _Pool()

    def push(
        self, band: np.ndarray, values: np.ndarray | None = None, valid: np.ndarray | None = None
    ) -> Polygons:
        """Sweep the next rows; return polygons that are finished.

        band    (rows, width) bool, or uint8 of 0 and 1
        values  (rows, width) to be summed: integers, or floats between 0 and 1 (rounded to
                multiples of 2**-30); given with every band or with none, always of one kind
        valid   (rows, width) bool, which values count; default all

        A finished polygon may be held back for a later call as long as what is held altogether
        grows by less than a third. Raises ValueError for arrays that are not as described.
        """
        band = self._mask(band)
        measures = _Measures.of(values)
        if self._measures is None:
            self._start(measures)
        elif measures != self._measures:
            raise ValueError("values must come with every band or with none, and be of one kind")
        found = [self._measures.no_polygons()]
        for rows in _strips(*band.shape):
            tables = self._measures.tables(band[rows], values, valid, rows)
            self._sweep(band[rows], tables)
            if self._pool.worth_emptying:
                found.append(self._empty_pool())
        return Polygons.concatenate(found)
