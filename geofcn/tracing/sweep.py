"""Polygons of a 0/1 mask that comes in row bands: exact, and only what is open is kept.

The mask is swept in strips of full-width rows. On a lattice line between two rows of pixels, an
EDGE is a stretch with foreground on one side only. It runs with the foreground on its left: west
along the top of a polygon, east along its bottom. Sorted by column, the ends of all edges pair up
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
long it is. What it is made of, linked SEGMENTS of corners, waits in a store.

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
T[y, x] the sum of column x over the strip's rows above y, an edge on line y adds T[y, x] for each
pixel x along it if it runs east, and takes it away if it runs west. The gates close the strip for
that purpose as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from geofcn.tracing.column_sums import SumType, column_sums, sum_tables, sum_type
from geofcn.tracing.permutations import Cycles
from geofcn.tracing.rings import Polygons, assemble
from geofcn.tracing.segments import Frontier, SegmentStore
from geofcn.tracing.strip import (
    Parts,
    Strip,
    corners_of,
    find_components,
    find_verticals,
    mark_saddles,
    sum_by_component,
)

__all__ = ["Polygons", "Sweep"]

STRIP_PIXELS = 1 << 21
"""A band is swept in even strips of about so many pixels: bounded memory that suits the cache."""

HELD_PER_RIPE = 4
"""Finished polygons leave the store once one corner in so many is theirs: linear time in all."""


class Sweep:
    """Turns a mask, pushed from its first row to its last, into polygons.

    What `push` and `finish` return, concatenated, does not depend on the heights of the bands.

    Parameters
    ----------
    width : int
        Columns of the mask.

    Raises
    ------
    ValueError
        For a mask without columns.

    Examples
    --------
    >>> sweep = Sweep(3)
    >>> len(sweep.push(np.array([[1, 1, 0]], np.uint8)))
    0
    >>> polygons = sweep.push(np.array([[1, 0, 0], [0, 0, 0]], np.uint8))
    >>> polygons.coords.tolist()
    [[0, 0], [0, 2], [1, 2], [1, 1], [2, 1], [2, 0], [0, 0]]
    >>> polygons.pixels
    array([3])
    >>> len(sweep.finish())
    0
    """

    def __init__(self, width: int) -> None:
        if width < 1:
            raise ValueError(f"a mask needs at least one column, not {width}")
        self._width = width
        self._row = 0
        self._above = np.zeros(width, np.int8)
        self._frontier = Frontier.nothing()
        self._store = SegmentStore()
        self._sum_type: SumType | None = None

    def push(
        self, band: np.ndarray, values: np.ndarray | None = None, valid: np.ndarray | None = None
    ) -> Polygons:
        """Sweep the next rows; return polygons that are finished.

        Parameters
        ----------
        band : (rows, width) array
            Bool, or uint8 of 0 and 1.
        values : (rows, width) array, optional
            Summed over each polygon: integers, or floats between 0 and 1 (rounded to multiples of
            2**-30); given with every band or with none, always of one kind.
        valid : (rows, width) array of bool, optional
            Which values count; default: all.

        Returns
        -------
        Polygons
            Finished ones may be held back for a later call as long as they are less than a quarter
            of the corners in memory.

        Raises
        ------
        ValueError
            For arrays that are not as described.
        """
        self._check(band, values, valid)
        band = band.view(np.int8)
        parts = []
        rows = _even_strips(*band.shape)
        for top in range(0, len(band), rows):
            strip = slice(top, top + rows)
            tables = [] if values is None else sum_tables(values, valid, strip)
            self._sweep(band[strip], tables)
            if 0 < self._store.held <= HELD_PER_RIPE * self._store.ripe:
                parts.append(self._harvest())
        return Polygons.concatenate(parts or [Polygons.nothing(self._sum_type)])

    def finish(self) -> Polygons:
        """The polygons that are left, after the last row; nothing may be pushed after it."""
        blank = np.zeros((1, self._width), np.uint8)
        tables = [] if self._sum_type is None else [column_sums(blank)]
        self._sweep(blank.view(np.int8), tables)
        return self._harvest()

    def _check(self, band: np.ndarray, values: np.ndarray | None, valid: np.ndarray | None) -> None:
        """Raise ValueError unless the arrays are as `push` describes them."""
        if band.ndim != 2 or band.shape[1] != self._width:
            raise ValueError(f"a band of shape {band.shape} in a mask of {self._width} columns")
        if band.dtype not in (np.bool_, np.uint8):
            raise ValueError(f"a band of {band.dtype}, not of bool or uint8")
        if band.dtype == np.uint8 and band.size and band.max() > 1:
            raise ValueError("a band with other values than 0 and 1")
        for array in (values, valid):
            if array is not None and array.shape != band.shape:
                raise ValueError(f"values of shape {array.shape} for a band of {band.shape}")
        if valid is not None and (values is None or valid.dtype != np.bool_):
            raise ValueError("`valid` is a bool array that goes with `values`")
        kind = None if values is None else sum_type(values.dtype)
        if self._row and kind is not self._sum_type:
            raise ValueError("values come with every band or with none, and are of one kind")
        self._sum_type = kind

    def _sweep(self, pixels: np.ndarray, tables: Sequence[np.ndarray]) -> None:
        """Move the frontier to the lower border of a strip of pixels, (rows, width) int8."""
        strip = Strip.open(self._above, pixels, self._frontier)
        if len(strip):
            verticals = find_verticals(strip)
            cycles = Cycles.find(verticals.successor)
            label = find_components(strip, verticals, cycles)
            totals = sum_by_component(strip, cycles, label, tables)
            self._frontier = self._carry(strip, cycles, label, totals)
        self._row += len(pixels)
        self._above = pixels[-1].copy()

    def _carry(
        self, strip: Strip, cycles: Cycles, label: np.ndarray, totals: np.ndarray
    ) -> Frontier:
        """Put a strip's outlines into the store; return the frontier on its lower border."""
        known = strip.frontier.component
        component = self._store.add_components(known, label)
        label_of = label[len(known) + cycles.of]
        is_open = np.zeros(len(label), bool)
        is_open[label_of[: strip.gates]] = True
        done = np.flatnonzero((label == np.arange(len(label))) & ~is_open)
        self._store.finish_components(component[done], totals[done])
        corners = corners_of(strip.edges, self._row)
        mark_saddles(corners, strip.edges, label_of[strip.first_edge :], is_open)
        parts = Parts.of(strip, cycles, self._store.segments)
        edge = cycles.order[cycles.order >= strip.first_edge] - strip.first_edge
        self._store.add_segments(
            corners[edge].ravel(),
            parts.length[parts.is_run] * 2,
            component[label_of[parts.item[parts.is_run]]],
            parts.links(),
        )
        number = np.cumsum(is_open) - 1
        return Frontier(
            strip.border,
            *parts.chains(),
            number[label_of[: strip.gates]],
            component[is_open],
            totals[is_open],
        )

    def _harvest(self) -> Polygons:
        """Take the finished polygons out of the store."""
        segments, totals, self._frontier = self._store.take_finished(self._frontier)
        return assemble(segments, totals, self._sum_type)


def _even_strips(rows: int, width: int) -> int:
    """Rows of the strips that a band is cut into."""
    count = max(1, round(rows * width / STRIP_PIXELS))
    return max(1, math.ceil(rows / count))
