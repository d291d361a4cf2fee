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
T[y, x] the sum of column x over the strip's rows above y, an edge on line y adds T[y, x] for each
pixel x along it if it runs east, and takes it away if it runs west. The gates close the strip for
that purpose as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

STRIP_PIXELS = 1 << 21
"""A band is swept in strips of about so many pixels, which bounds memory and suits the cache."""

HELD_PER_RIPE = 4
"""Finished polygons leave the pool once one corner in so many is theirs: linear time in all."""

FIXED_POINT = 1 << 30
"""Floats are summed as integers, multiples of 1 / FIXED_POINT: the same sum in any order."""

# A corner is the integer row << 32 | column, so corners compare by row, then column. In memory it
# is the pair (column, row) of int32. ~corner (negative) is one of a saddle that may need a split.
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
        self._above = np.zeros(width, np.int8)
        self._frontier = _Frontier.nothing()
        self._pool = _Pool()
        self._sum_type: type | None = None

    def push(
        self, band: np.ndarray, values: np.ndarray | None = None, valid: np.ndarray | None = None
    ) -> Polygons:
        """Sweep the next rows; return polygons that are finished.

        band    (rows, width) bool, or uint8 of 0 and 1
        values  (rows, width) to be summed: integers, or floats between 0 and 1 (rounded to
                multiples of 2**-30); given with every band or with none, always of one kind
        valid   (rows, width) bool, which values count; default all

        Finished polygons may be held back for a later call as long as they are less than a quarter
        of the corners in memory. Raises ValueError for arrays that are not as described.
        """
        self._check(band, values, valid)
        band = band.view(np.int8)
        found = []
        rows = max(1, STRIP_PIXELS // self._width)
        for top in range(0, len(band), rows):
            strip = slice(top, top + rows)
            tables = [] if values is None else _tables(values, valid, strip)
            self._sweep(band[strip], tables)
            if 0 < self._pool.held <= HELD_PER_RIPE * self._pool.ripe:
                found.append(self._harvest())
        return Polygons.concatenate(found or [_no_polygons(self._sum_type)])

    def finish(self) -> Polygons:
        """The polygons that are left, after the last row; nothing may be pushed after it."""
        blank = np.zeros((1, self._width), np.int8)
        self._sweep(blank, [] if self._sum_type is None else [_column_sums(blank)])
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
        sum_type = None if values is None else _sum_type(values.dtype)
        if self._row and sum_type is not self._sum_type:
            raise ValueError("values come with every band or with none, and are of one kind")
        self._sum_type = sum_type

    def _sweep(self, pixels: np.ndarray, tables: Sequence[np.ndarray]) -> None:
        """Move the frontier to the lower border of a strip of pixels, (rows, width) int8."""
        strip = _Strip.open(self._above, pixels, self._frontier)
        if len(strip):
            verticals = _find_verticals(strip)
            cycles = _Cycles.find(verticals.successor)
            label = _find_components(strip, verticals, cycles)
            totals = _sum_by_component(strip, cycles, label, tables)
            self._frontier = self._carry(strip, cycles, label, totals)
        self._row += len(pixels)
        self._above = pixels[-1].copy()

    def _carry(
        self, strip: _Strip, cycles: _Cycles, label: np.ndarray, totals: np.ndarray
    ) -> _Frontier:
        """Put a strip's outlines into the pool; return the frontier on its lower border."""
        known = strip.frontier.component
        component = self._pool.add_components(known, label)
        label_of = label[len(known) + cycles.of]
        is_open = np.zeros(len(label), bool)
        is_open[label_of[: strip.gates]] = True
        done = np.flatnonzero((label == np.arange(len(label))) & ~is_open)
        self._pool.finish_components(component[done], totals[done])
        corners = _corners(strip.edges, self._row)
        _mark_saddles(corners, strip.edges, label_of[strip.first_edge :], is_open)
        parts = _Parts.of(strip, cycles, self._pool.segments)
        edge = cycles.order[cycles.order >= strip.first_edge] - strip.first_edge
        self._pool.add_segments(
            corners[edge].ravel(),
            parts.length[parts.is_run] * 2,
            component[label_of[parts.item[parts.is_run]]],
            parts.links(),
        )
        number = np.cumsum(is_open) - 1
        return _Frontier(
            strip.border,
            *parts.chains(),
            number[label_of[: strip.gates]],
            component[is_open],
            totals[is_open],
        )

    def _harvest(self) -> Polygons:
        """Take the finished polygons out of the pool."""
        segments, totals, self._frontier = self._pool.take_finished(self._frontier)
        return _assemble(segments, totals, self._sum_type)


# --------------------------------------------------------------------------------- edges of a strip


@dataclass(frozen=True)
class _Edges:
    """The horizontal edges of a strip, in reading order.

    line    (e,) lattice line, 0 on the strip's upper border
    left    (e,) column of the left end
    right   (e,) column of the right end
    east    (e,) bool, foreground above: it runs east, so its head is on the right
    saddle  (s,) the edges whose right end is the next edge's left end
    """

    line: np.ndarray
    left: np.ndarray
    right: np.ndarray
    east: np.ndarray
    saddle: np.ndarray

    def __len__(self) -> int:
        return len(self.line)

    @property
    def tail(self) -> np.ndarray:
        """(e,) column of the tail."""
        return np.where(self.east, self.left, self.right)

    @property
    def head(self) -> np.ndarray:
        """(e,) column of the head."""
        return np.where(self.east, self.right, self.left)


def _find_edges(above: np.ndarray, strip: np.ndarray) -> _Edges:
    """The edges on every lattice line of a strip but its lower border; `above` is the row before.

    Where the difference of the pixels above and below changes along a line, an edge ends or begins.
    """
    height, width = strip.shape
    stride = width + 1  # a zero after each line, and one before the first
    side = np.zeros(height * stride + 1, np.int8)
    lines = side[1:].reshape(height, stride)[:, :width]
    np.subtract(above, strip[0], out=lines[0])
    np.subtract(strip[:-1], strip[1:], out=lines[1:])
    bend = np.flatnonzero(side[1:] != side[:-1])
    begin = bend[side[bend + 1] != 0]
    end = bend[side[bend] != 0]
    line = begin // stride
    east = side[begin + 1] > 0
    saddle = np.flatnonzero(end[:-1] == begin[1:])
    return _Edges(line, begin - line * stride, end - line * stride, east, saddle)


def _changes(row: np.ndarray) -> np.ndarray:
    """The columns where a row's foreground runs begin, end, begin, end ..."""
    padded = np.zeros(len(row) + 2, np.int8)
    padded[1:-1] = row
    return np.flatnonzero(padded[1:] != padded[:-1])


# -------------------------------------------------------------------------------- items of a strip


@dataclass(frozen=True)
class _Frontier:
    """What is open at the lower border of the rows swept so far.

    crossing   (2c,) columns of the vertical edges over the border; even ones run south, odd north
    chain      (2c,) the chain that crosses there, with its head (even) or its tail (odd)
    first      (c,) the first segment of each chain, a number in the pool
    last       (c,) its last segment
    owner      (c,) its component, an index into the arrays that follow
    component  (k,) the components' numbers in the pool
    totals     (k, 4) int64, see `_sum_by_component`
    """

    crossing: np.ndarray
    chain: np.ndarray
    first: np.ndarray
    last: np.ndarray
    owner: np.ndarray
    component: np.ndarray
    totals: np.ndarray

    @classmethod
    def nothing(cls) -> _Frontier:
        """What is open above the first row."""
        none = np.zeros(0, np.int64)
        return cls(none, none, none, none, none, none, np.zeros((0, 4), np.int64))


@dataclass(frozen=True)
class _Strip:
    """A strip of pixels and the items its cycles are made of: gates, chains from above, edges.

    above       (width,) the row of pixels before it
    pixels      (rows, width) int8 of 0 and 1
    frontier    what is open on its upper border
    border      (2g,) columns where its last row changes; gate i runs from 2i to 2i + 1
    edges       its horizontal edges
    tail, head  (n,) columns where each item begins and ends
    line        (n,) its lattice line; all three are 0 for chains, whose ends lie on the border
    """

    above: np.ndarray
    pixels: np.ndarray
    frontier: _Frontier
    border: np.ndarray
    edges: _Edges
    tail: np.ndarray
    head: np.ndarray
    line: np.ndarray

    @classmethod
    def open(cls, above: np.ndarray, pixels: np.ndarray, frontier: _Frontier) -> _Strip:
        """The strip `pixels`, and its items."""
        edges, border = _find_edges(above, pixels), _changes(pixels[-1])
        chains = np.zeros(len(frontier.first), np.int64)
        bottom = np.full(len(border) // 2, len(pixels))
        return cls(
            above,
            pixels,
            frontier,
            border,
            edges,
            np.concatenate([border[0::2], chains, edges.tail]),
            np.concatenate([border[1::2], chains, edges.head]),
            np.concatenate([bottom, chains, edges.line]),
        )

    def __len__(self) -> int:
        return len(self.line)

    @property
    def gates(self) -> int:
        """The number of gates, and of the first chain."""
        return len(self.border) // 2

    @property
    def first_edge(self) -> int:
        """The number of gates and chains, and of the first edge."""
        return self.gates + len(self.frontier.first)


@dataclass(frozen=True)
class _Verticals:
    """The vertical edges of a strip, in the order of their columns, then rows.

    column     (v,)
    top        (v,) lattice line of the upper end, -1 for one that crosses the upper border
    item       (v,) the item at its upper end
    successor  (items,) the item that follows each, by way of the vertical edge at its head
    """

    column: np.ndarray
    top: np.ndarray
    item: np.ndarray
    successor: np.ndarray


def _find_verticals(strip: _Strip) -> _Verticals:
    """Pair up, column by column, all that ends there: crossings from above, edges, gates.

    An end is the number of its item, complemented if it is the head: a pair is a head and a tail,
    so the lesser leads to the greater.
    """
    edges, chain = strip.edges, strip.gates + strip.frontier.chain
    chain[0::2] = ~chain[0::2]
    item = np.arange(strip.first_edge, len(strip))
    edge = _interleave(np.where(edges.east, item, ~item), np.where(edges.east, ~item, item))
    # Of two ends on one point, that whose vertical edge goes up must come first. It is the second
    # one in reading order where a saddle's left edge runs west, along the top of the lower pixel.
    later = 2 * edges.saddle[~edges.east[edges.saddle]] + 1
    edge[later], edge[later + 1] = edge[later + 1], edge[later]
    gate = _interleave(np.arange(strip.gates), ~np.arange(strip.gates))
    ends = np.concatenate([chain, edge, gate])
    columns = np.concatenate(
        [strip.frontier.crossing, _interleave(edges.left, edges.right), strip.border]
    )
    order = _stable_argsort(columns)
    upper, lower = ends[order[0::2]], ends[order[1::2]]
    successor = np.empty(len(strip), np.int64)
    successor[~np.minimum(upper, lower)] = np.maximum(upper, lower)
    item = np.maximum(upper, ~upper)
    top = np.where(item < strip.first_edge, -1, strip.line[item])
    return _Verticals(columns[order[0::2]], top, item, successor)


@dataclass(frozen=True)
class _Cycles:
    """The cycles of a permutation, in the order of their least items.

    order  (n,) the items, cycle by cycle, each from its least item on
    start  (c,) where each cycle begins in `order`
    of     (n,) the cycle of each item
    """

    order: np.ndarray
    start: np.ndarray
    of: np.ndarray

    @classmethod
    def find(cls, successor: np.ndarray) -> _Cycles:
        """The cycles of the permutation `successor`."""
        number = len(successor)
        leader, way = _to_leaders(successor, np.ones(number, np.int64))
        leads = leader == np.arange(number)
        of = (np.cumsum(leads) - 1)[leader]
        size = np.bincount(of)
        start = np.cumsum(size) - size
        order = np.empty(number, np.int64)
        order[np.where(leads, start[of], (start + size)[of] - way)] = np.arange(number)
        return cls(order, start, of)


def _to_leaders(successor: np.ndarray, step: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The least item of each item's cycle, and the way to it; `step` is the way to the successor.

    By contraction: pointer jumping leads each item to the next VALLEY, an item less than both its
    neighbours. The valleys, at most every other item, form cycles of their own.
    """
    items = np.arange(len(successor))
    valley = successor >= items
    valley[successor[successor > items]] = False
    target = np.where(valley, items, successor)
    way = np.where(valley, 0, step)
    moving = np.flatnonzero(~valley[target])
    while len(moving):
        via = target[moving]
        way[moving] += way[via]
        target[moving] = target[via]
        moving = moving[~valley[target[moving]]]
    valleys = np.flatnonzero(valley)
    onward = successor[valleys]
    shared = target[onward] != valleys
    if not shared.any():
        return target, way
    some, onward = valleys[shared], onward[shared]
    number = np.empty(len(successor), np.int64)
    number[some] = np.arange(len(some))
    leader, rest = _to_leaders(number[target[onward]], step[some] + way[onward])
    final, more = items, np.zeros(len(successor), np.int64)
    final[some], more[some] = some[leader], rest
    return final[target], way + more[target]


# -------------------------------------------------------------------------- components of a strip


def _find_components(strip: _Strip, verticals: _Verticals, cycles: _Cycles) -> np.ndarray:
    """(k + cycles,) labels of the k components on the frontier, and of the strip's cycles.

    Those of one component share a label, the index of the first of them.
    """
    frontier, edges = strip.frontier, strip.edges
    known = len(frontier.component)
    parent = np.arange(known + len(cycles.start))
    uppermost = np.where(cycles.order < strip.gates, len(strip), cycles.order)
    uppermost = np.minimum.reduceat(uppermost, cycles.start) - strip.first_edge
    hole = np.flatnonzero(uppermost >= 0)  # the others go through a chain
    hole = hole[edges.east[uppermost[hole]]]
    if len(hole):
        edge = uppermost[hole]
        left = _owners_on_the_left(strip, verticals, edges.line[edge], edges.left[edge])
        parent[known + hole] = known + cycles.of[left]
    return _unite(parent, frontier.owner, known + cycles.of[strip.gates : strip.first_edge])


def _owners_on_the_left(
    strip: _Strip, verticals: _Verticals, line: np.ndarray, column: np.ndarray
) -> np.ndarray:
    """The items that own the left side of the foreground run above each lattice point.

    line, column  points with foreground at their upper left
    """
    height, width = strip.pixels.shape
    needed = np.zeros(height + 1, bool)
    needed[line] = True
    lines = np.flatnonzero(needed)
    rows = np.zeros((len(lines), width + 1), np.int8)
    rows[:, 1:] = strip.pixels[lines - 1]
    if lines[0] == 0:
        rows[0, 1:] = strip.above
    rows = rows.ravel()
    runs = np.flatnonzero(rows[1:] > rows[:-1])
    offset = (np.cumsum(needed) - 1)[line] * (width + 1)
    begin = runs[np.searchsorted(runs, offset + column) - 1] - offset
    keys = verticals.column * (height + 1) + verticals.top + 1
    found = np.searchsorted(keys, begin * (height + 1) + line, side="right") - 1
    return verticals.item[found]


def _unite(parent: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The roots of a forest once each a[i] and b[i] are joined; the lesser root stays."""
    root = _roots(parent)
    while True:
        apart = root[a] != root[b]
        if not apart.any():
            return root
        a, b = root[a[apart]], root[b[apart]]
        np.minimum.at(root, np.maximum(a, b), np.minimum(a, b))
        root = _roots(root)


def _roots(parent: np.ndarray) -> np.ndarray:
    """The root of each node, by pointer jumping."""
    while True:
        grandparent = parent[parent]
        if np.array_equal(grandparent, parent):
            return parent
        parent = grandparent


def _sum_by_component(
    strip: _Strip, cycles: _Cycles, label: np.ndarray, tables: Sequence[np.ndarray]
) -> np.ndarray:
    """(labels, 4) int64: corners, pixels, sum of values, valid values; 0 but for roots.

    tables  none, or that of the values, or those of the values and of the valid ones
    """
    line, head, tail = strip.line, strip.head, strip.tail
    corners = np.where(np.arange(len(strip)) < strip.first_edge, 0, 2)
    measures = [corners, line * (head - tail)]
    measures += _sums_along(tables, line, tail, head)
    if len(measures) == 3:
        measures.append(measures[1])  # all values are valid
    totals = np.zeros((len(label), 4), np.int64)
    for total, before, measure in zip(totals.T, strip.frontier.totals.T, measures, strict=False):
        by_cycle = np.add.reduceat(measure[cycles.order], cycles.start)
        np.add.at(total, label, np.concatenate([before, by_cycle]))
    return totals


# -------------------------------------------------------------------------- from cycles to chains


def _corners(edges: _Edges, row: int) -> np.ndarray:
    """(e, 2) tail and head of the edges of a strip whose first row is `row`."""
    row = (edges.line + row).astype(CORNER) << ROW_SHIFT
    return np.column_stack([row + edges.tail, row + edges.head])


def _mark_saddles(
    corners: np.ndarray, edges: _Edges, label: np.ndarray, is_open: np.ndarray
) -> None:
    """Complement the two corners of each saddle that belong to one component, now or perhaps later.

    label    (e,) of the component of each edge
    is_open  (labels,) the components that may yet unite
    """
    one, other = label[edges.saddle], label[edges.saddle + 1]
    edge = edges.saddle[(one == other) | (is_open[one] & is_open[other])]
    side = edges.east[edge].astype(np.int64)  # east of west: heads meet; west of east: tails
    corners[edge, side] ^= -1
    corners[edge + 1, side] ^= -1


@dataclass(frozen=True)
class _Parts:
    """The cycles of a strip as sequences of parts: gates, chains from above, and runs of edges.

    A run of edges is a new segment. One value per part, in the cycles' order:

    item      its first item
    length    number of its items
    is_gate   bool
    is_run    bool
    follower  the part after it in its cycle
    first     its first segment, a number in the pool (no meaning for gates)
    last      its last segment

    start     (c,) the first part of each cycle
    """

    item: np.ndarray
    length: np.ndarray
    is_gate: np.ndarray
    is_run: np.ndarray
    follower: np.ndarray
    first: np.ndarray
    last: np.ndarray
    start: np.ndarray

    @classmethod
    def of(cls, strip: _Strip, cycles: _Cycles, segments: int) -> _Parts:
        """The parts of `cycles`; `segments` is the number of the first new segment."""
        is_edge = cycles.order >= strip.first_edge
        begins = np.append(True, ~(is_edge[1:] & is_edge[:-1]))
        begins[cycles.start] = True
        place = np.flatnonzero(begins)
        item, is_run = cycles.order[place], is_edge[place]
        is_gate = item < strip.gates
        first = segments - 1 + np.cumsum(is_run)
        last = first.copy()
        is_chain = ~(is_run | is_gate)
        chain = item[is_chain] - strip.gates
        first[is_chain] = strip.frontier.first[chain]
        last[is_chain] = strip.frontier.last[chain]
        start = (np.cumsum(begins) - 1)[cycles.start]
        follower = _followers(start, len(place))
        length = np.diff(np.append(place, len(begins)))
        return cls(item, length, is_gate, is_run, follower, first, last, start)

    def links(self) -> tuple[np.ndarray, np.ndarray]:
        """Segments, and those that follow them, wherever two parts of a cycle meet."""
        meet = ~(self.is_gate | self.is_gate[self.follower])
        meet &= self.follower != np.arange(len(meet))
        return self.last[meet], self.first[self.follower[meet]]

    def chains(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The chain at each crossing of the lower border; the first and last segment of each chain.

        A chain has the number of the gate it comes from; it leads to the next gate of its cycle.
        """
        gates = np.flatnonzero(self.is_gate)
        leading = (np.cumsum(self.is_gate) - 1)[self.start[self.is_gate[self.start]]]
        next_gates = gates[_followers(leading, len(gates))]
        before = np.empty(len(self.item), np.int64)
        before[self.follower] = np.arange(len(self.item))
        chain, onward = self.item[gates], self.item[next_gates]
        crossing = np.empty(2 * len(gates), np.int64)
        crossing[2 * chain + 1], crossing[2 * onward] = chain, chain
        first, last = np.empty((2, len(gates)), np.int64)
        first[chain] = self.first[self.follower[gates]]
        last[chain] = self.last[before[next_gates]]
        return crossing, first, last


def _followers(start: np.ndarray, number: int) -> np.ndarray:
    """The successor of each of `number` items, laid out in cycles that begin at `start`."""
    follower = np.arange(1, number + 1)
    follower[np.append(start, number)[1:] - 1] = start
    return follower


# ------------------------------------------------------------------------------------------- pool


@dataclass(frozen=True)
class _Segments:
    """Stretches of outlines.

    corners    all corners: of each edge the tail, then the head; segment after segment
    size       (s,) number of corners of each segment
    successor  (s,) the segment that follows on its outline (itself, as long as none does)
    component  (s,) the component it belongs to
    """

    corners: np.ndarray
    size: np.ndarray
    successor: np.ndarray
    component: np.ndarray

    def select(self, chosen: np.ndarray) -> _Segments:
        """The segments marked in `chosen`, renumbered; their successors must be chosen too."""
        number = np.cumsum(chosen) - 1
        return _Segments(
            self.corners[np.repeat(chosen, self.size)],
            self.size[chosen],
            number[self.successor[chosen]],
            self.component[chosen],
        )


class _Pool:
    """The segments of all components that are not finished or not taken out yet.

    A log: a strip appends what it adds, and only `take_finished` goes through all there is.

    segments    number of segments
    components  number of components
    held        number of corners
    ripe        number of corners of finished components
    """

    def __init__(self):
        none = np.zeros(0, np.int64)
        self._begin(_Segments(np.zeros(0, CORNER), none, none, none), 0)

    def _begin(self, segments: _Segments, components: int) -> None:
        self.segments, self.components = len(segments.size), components
        self.held, self.ripe = len(segments.corners), 0
        self._corners, self._sizes = [segments.corners], [segments.size]
        self._owners = [segments.component]
        self._links = [(np.arange(self.segments), segments.successor)]
        self._unions: list[tuple[np.ndarray, np.ndarray]] = []
        self._finished = [np.zeros(0, np.int64)]
        self._totals = [np.zeros((0, 4), np.int64)]

    def add_components(self, known: np.ndarray, label: np.ndarray) -> np.ndarray:
        """The number of the component of each label; components of one label are united.

        known  (k,) numbers of the components that the first k labels stand for
        """
        roots = np.flatnonzero(label == np.arange(len(label)))
        fresh = roots[roots >= len(known)]
        number = np.empty(len(label), np.int64)
        number[: len(known)] = known
        number[fresh] = np.arange(self.components, self.components + len(fresh))
        self.components += len(fresh)
        number = number[label]
        united = np.flatnonzero(number[: len(known)] != known)
        if len(united):
            self._unions.append((known[united], number[united]))
        return number

    def finish_components(self, component: np.ndarray, totals: np.ndarray) -> None:
        """Note that components are finished, with these totals, (f, 4)."""
        if len(component):
            self._finished.append(component)
            self._totals.append(totals)
            self.ripe += int(totals[:, 0].sum())

    def add_segments(
        self,
        corners: np.ndarray,
        size: np.ndarray,
        component: np.ndarray,
        links: tuple[np.ndarray, np.ndarray],
    ) -> None:
        """Append segments, and links between any that are held: (segments, their successors)."""
        if len(size):
            self.segments += len(size)
            self.held += len(corners)
            self._corners.append(corners)
            self._sizes.append(size)
            self._owners.append(component)
            self._links.append(links)

    def take_finished(self, frontier: _Frontier) -> tuple[_Segments, np.ndarray, _Frontier]:
        """Take out the finished components: their segments, their totals (p, 4).

        The components of those segments are numbered 0 to p - 1. What stays gets new numbers too,
        so the frontier is returned with these.
        """
        successor = np.arange(self.segments)
        for segment, after in self._links:
            successor[segment] = after
        root = np.arange(self.components)
        for component, united in self._unions:
            root[component] = united
        root = _roots(root)
        finished, kept = np.concatenate(self._finished), frontier.component
        number = np.empty(self.components, np.int64)
        number[finished] = np.arange(len(finished))
        number[kept] = np.arange(len(kept))
        is_finished = np.zeros(self.components, bool)
        is_finished[finished] = True
        owner = root[np.concatenate(self._owners)]
        segments = _Segments(
            np.concatenate(self._corners), np.concatenate(self._sizes), successor, number[owner]
        )
        taken, totals = is_finished[owner], np.concatenate(self._totals)
        self._begin(segments.select(~taken), len(kept))
        renumbered = np.cumsum(~taken) - 1
        frontier = replace(
            frontier,
            first=renumbered[frontier.first],
            last=renumbered[frontier.last],
            component=np.arange(len(kept)),
        )
        return segments.select(taken), totals, frontier


# ------------------------------------------------------------------------------ finished polygons


def _no_polygons(sum_type: type | None) -> Polygons:
    offsets, none = np.zeros(1, np.int64), np.zeros(0, np.int64)
    sums = none.astype(sum_type or np.int64)
    return Polygons(np.zeros((0, 2), COORDINATE), offsets, offsets, none, sums, none)


def _assemble(segments: _Segments, totals: np.ndarray, sum_type: type | None) -> Polygons:
    """The polygons of finished components, in order; `totals` as from `_sum_by_component`."""
    if not len(totals):
        return _no_polygons(sum_type)
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
        _offsets(size[ring] + 1),
        _offsets(np.bincount(component)[polygon]),
        totals[polygon, 1],
        sums / FIXED_POINT if sum_type is np.float64 else sums,
        totals[polygon, 3],
    )


def _split_at_saddles(segments: _Segments) -> _Segments:
    """Segments that no longer meet a saddle of their own component twice.

    They are cut there, and the successors of the two corners exchanged. If the corners are heads,
    those of the pieces that end there change places; if they are tails, the pieces themselves.
    """
    corners = segments.corners
    end = np.cumsum(segments.size)
    begin = end - segments.size
    marked = np.flatnonzero(corners < 0)
    corners[marked] ^= -1
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
    exchange_heads = _exchange(at[:, heads], len(piece))
    exchange_tails = _exchange(at[:, ~heads], len(piece))
    return _Segments(
        corners,
        np.diff(np.append(piece, len(corners))),
        exchange_tails[successor[exchange_heads]],
        segments.component[segment],
    )


def _exchange(pair: np.ndarray, number: int) -> np.ndarray:
    """The permutation of `number` items that exchanges pair[0, i] and pair[1, i]."""
    permutation = np.arange(number)
    permutation[pair] = pair[::-1]
    return permutation


def _link_rings(segments: _Segments) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The corners of all rings, ring after ring; each ring's number of corners; its component."""
    cycles = _Cycles.find(segments.successor)
    size = segments.size[cycles.order]
    corners = segments.corners
    if len(cycles.start) < len(size):
        begin = np.cumsum(segments.size) - segments.size
        corners = corners[_spans(begin[cycles.order], size)]
    leader = cycles.order[cycles.start]
    return corners, np.add.reduceat(size, cycles.start), segments.component[leader]


def _close(
    corners: np.ndarray, begin: np.ndarray, size: np.ndarray, start: np.ndarray, ring: np.ndarray
) -> np.ndarray:
    """The corners of the rings in the order `ring`, each from its `start` round to its `start`."""
    turn = np.flatnonzero(corners == np.repeat(start, size))
    length = size[ring] + 1
    index = _spans(turn[ring], length)
    beyond = index >= np.repeat((begin + size)[ring], length)
    index[beyond] -= np.repeat(size[ring], length)[beyond]
    return corners[index]


# ------------------------------------------------------------------------------------ small tools


def _sum_type(dtype: np.dtype) -> type:
    """The type of sums of values of `dtype`."""
    if dtype.kind in "biu":
        return np.int64
    if dtype.kind == "f":
        return np.float64
    raise ValueError(f"values of {dtype}, not of integers or floats")


def _tables(values: np.ndarray, valid: np.ndarray | None, rows: slice) -> list[np.ndarray]:
    """Column sums over some rows: of the valid values and, unless all are, of `valid`."""
    layers = [values[rows]]
    if valid is not None and not valid[rows].all():
        layers = [np.where(valid[rows], values[rows], 0), valid[rows]]
    if values.dtype.kind == "f":
        if not (layers[0].min() >= 0 and layers[0].max() <= 1):
            raise ValueError("values of floats must lie between 0 and 1")
        layers[0] = np.rint(layers[0] * FIXED_POINT).astype(np.int64)
    return [_column_sums(layer) for layer in layers]


def _column_sums(layer: np.ndarray) -> np.ndarray:
    """T (rows + 1, columns) of integers, T[y, x] being the sum of layer[:y, x]."""
    height, width = layer.shape
    dtype = np.int64
    if layer.dtype in (np.bool_, np.uint8):  # narrow sums are several times as fast
        dtype = np.min_scalar_type(height * 255)
    table = np.empty((height + 1, width), dtype)
    table[0] = 0
    table[1:] = layer
    for row in range(2, height + 1):  # several times as fast as cumsum over axis 0
        table[row] += table[row - 1]
    return table


def _sums_along(
    tables: Sequence[np.ndarray], line: np.ndarray, tail: np.ndarray, head: np.ndarray
) -> list[np.ndarray]:
    """(n,) int64 for each table: the sum of its entries along each edge, negative to the west."""
    if not tables:
        return []
    length = np.abs(head - tail)
    along = _spans(line * tables[0].shape[1] + np.minimum(head, tail), length)
    sums = [np.diff(_offsets(table.ravel()[along])[_offsets(length)]) for table in tables]
    return [np.where(head < tail, -total, total) for total in sums]


def _stable_argsort(keys: np.ndarray) -> np.ndarray:
    """The order of non-negative integers, by 16-bit digits: numpy sorts those in linear time."""
    order = np.argsort(keys.astype(np.uint16), kind="stable")
    if len(keys) and keys.max() >> 16:
        order = order[np.argsort((keys >> 16).astype(np.uint16)[order], kind="stable")]
    return order


def _interleave(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a[0], b[0], a[1], b[1] ..."""
    return np.column_stack([a, b]).ravel()


def _offsets(sizes: np.ndarray) -> np.ndarray:
    """0 and the running sum of `sizes`."""
    return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])


def _spans(begin: np.ndarray, size: np.ndarray) -> np.ndarray:
    """begin[0], begin[0] + 1, ... size[0] of them, then begin[1], begin[1] + 1 ..."""
    end = np.cumsum(size)
    return np.repeat(begin - (end - size), size) + np.arange(end[-1] if len(end) else 0)
