"""Polygons of finished outlines: segments linked to rings, split at saddles, put in order."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from geofcn.tracing.column_sums import FIXED_POINT, SumType
from geofcn.tracing.permutations import Cycles, exchange, offsets, spans
from geofcn.tracing.segments import COORDINATE, ROW_SHIFT, Segments, is_saddle, unmark_saddle


@dataclass(frozen=True)
class Polygons:
    """Polygons as ragged arrays, the way shapely.from_ragged_array takes them.

    Attributes
    ----------
    coords : (n, 2) array of int32
        (column, row) of pixel corners; each ring is closed, its last corner the first again.
    rings : (r + 1,) array of int
        Where each ring begins in `coords`, and the number of all corners.
    polygons : (p + 1,) array of int
        Where each polygon begins among the rings, an exterior, then its holes; and the number of
        all rings.
    pixels : (p,) array of int64
        Number of pixels.
    sums : (p,) array of int64 or float64
        Sum of the valid values; 0 without values.
    counts : (p,) array of int64
        Number of valid values; 0 without values.

    Notes
    -----
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

    def moved(self, rows: int, columns: int) -> Polygons:
        """The same polygons so many rows further down, and columns further right."""
        if not (rows or columns):
            return self
        return replace(self, coords=self.coords + np.array([columns, rows], COORDINATE))

    def parts(self, corners: int) -> Iterator[Polygons]:
        """All polygons in order, those with about `corners` corners at a time, none divided."""
        number = self.rings[self.polygons[:-1]] // corners
        begins = np.flatnonzero(np.diff(number, prepend=-1))
        for begin, end in itertools.pairwise([*begins.tolist(), len(self)]):
            first, last = self.polygons[[begin, end]]
            coords = slice(*self.rings[[first, last]])
            yield Polygons(
                self.coords[coords],
                self.rings[first : last + 1] - coords.start,
                self.polygons[begin : end + 1] - first,
                self.pixels[begin:end],
                self.sums[begin:end],
                self.counts[begin:end],
            )

    @classmethod
    def nothing(cls, sum_type: SumType | None) -> Polygons:
        """No polygons, with sums of this type; None: without values."""
        none = np.zeros(0, np.int64)
        sums = np.zeros(0, sum_type or np.int64)
        return cls(np.zeros((0, 2), COORDINATE), offsets(none), offsets(none), none, sums, none)

    @classmethod
    def concatenate(cls, parts: Sequence[Polygons]) -> Polygons:
        """All polygons of one or more parts of a sweep, in order; one alone as it is."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            np.concatenate([part.coords for part in parts]),
            offsets(np.concatenate([np.diff(part.rings) for part in parts])),
            offsets(np.concatenate([np.diff(part.polygons) for part in parts])),
            np.concatenate([part.pixels for part in parts]),
            np.concatenate([part.sums for part in parts]),
            np.concatenate([part.counts for part in parts]),
        )


def assemble(segments: Segments, totals: np.ndarray, sum_type: SumType | None) -> Polygons:
    """The polygons of finished components, in order.

    Parameters
    ----------
    segments : Segments
        All of theirs; the components are numbered from 0. Marks of saddles are taken off in place.
    totals : (p, 4) array of int64
        Of each component, see `geofcn.tracing.strip.sum_by_component`.
    sum_type : type or None
        Of the sums that are returned; None: without values.
    """
    if not len(totals):
        return Polygons.nothing(sum_type)
    corners, size, component = _link_rings(_split_at_saddles(segments))
    begin = np.cumsum(size) - size
    start = np.minimum.reduceat(corners, begin)
    by_start = np.argsort(start)
    exterior = np.empty(len(totals), np.int64)
    exterior[component[by_start[::-1]]] = by_start[::-1]  # a component's first ring is kept
    last_row = (np.maximum.reduceat(corners, begin) >> ROW_SHIFT)[exterior]
    first_column = np.minimum.reduceat(corners.view(COORDINATE)[::2], begin)[exterior]
    polygon = np.lexsort((start[exterior], first_column, last_row))
    rank = np.empty(len(polygon), np.int64)
    rank[polygon] = np.arange(len(polygon))
    ring = np.lexsort((start, rank[component]))
    sums = totals[polygon, 2]
    return Polygons(
        _close(corners, begin, size, start, ring).view(COORDINATE).reshape(-1, 2),
        offsets(size[ring] + 1),
        offsets(np.bincount(component)[polygon]),
        totals[polygon, 1],
        sums / FIXED_POINT if sum_type is np.float64 else sums,
        totals[polygon, 3],
    )


def _split_at_saddles(segments: Segments) -> Segments:
    """Segments that no longer meet a saddle of their own component twice.

    They are cut there, and the successors of the two corners exchanged. If the corners are heads,
    those of the pieces that end there change places; if they are tails, the pieces themselves.
    """
    corners = segments.corners
    end = np.cumsum(segments.size)
    begin = end - segments.size
    marked = np.flatnonzero(is_saddle(corners))
    corners[marked] = unmark_saddle(corners[marked])
    owner = segments.component[np.searchsorted(end, marked, side="right")]
    order = np.lexsort((owner, corners[marked]))
    marked, owner = marked[order], owner[order]
    twice = np.flatnonzero((np.diff(corners[marked]) == 0) & (np.diff(owner) == 0))
    if not len(twice):
        return segments
    pair = marked[np.stack([twice, twice + 1])]
    cut = np.zeros(len(corners) + 1, bool)
    cut[begin] = True
    cut[pair + pair % 2] = True  # after a head, before a tail
    piece = np.flatnonzero(cut[:-1])
    segment = np.searchsorted(end, piece, side="right")
    successor = np.arange(1, len(piece) + 1)
    last = np.append(segment[1:] != segment[:-1], True)
    successor[last] = np.searchsorted(piece, begin[segments.successor])
    at = np.searchsorted(piece, pair, side="right") - 1
    heads = pair[0] % 2 == 1
    exchange_heads = exchange(at[:, heads], len(piece))
    exchange_tails = exchange(at[:, ~heads], len(piece))
    return Segments(
        corners,
        np.diff(np.append(piece, len(corners))),
        exchange_tails[successor[exchange_heads]],
        segments.component[segment],
    )


def _link_rings(segments: Segments) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The corners of all rings, ring after ring; each ring's number of corners; its component."""
    cycles = Cycles.find(segments.successor)
    size = segments.size[cycles.order]
    corners = segments.corners
    if len(cycles.start) < len(size):
        begin = np.cumsum(segments.size) - segments.size
        corners = corners[spans(begin[cycles.order], size)]
    leader = cycles.order[cycles.start]
    return corners, np.add.reduceat(size, cycles.start), segments.component[leader]


def _close(
    corners: np.ndarray, begin: np.ndarray, size: np.ndarray, start: np.ndarray, ring: np.ndarray
) -> np.ndarray:
    """The corners of the rings in the order `ring`, each from its `start` round to its `start`."""
    turn = np.flatnonzero(corners == np.repeat(start, size))
    length = size[ring] + 1
    index = spans(turn[ring], length)
    beyond = index >= np.repeat((begin + size)[ring], length)
    index[beyond] -= np.repeat(size[ring], length)[beyond]
    return corners[index]
