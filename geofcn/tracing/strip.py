"""One strip of a sweep: its edges, the cycles they form, and the components these belong to.

The words are those of `sweep`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geofcn.tracing.column_sums import sums_along
from geofcn.tracing.permutations import Cycles, followers, interleave, stable_argsort, unite
from geofcn.tracing.segments import CORNER, ROW_SHIFT, Frontier

# -------------------------------------------------------------------------------------------- edges


@dataclass(frozen=True)
class Edges:
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


def find_edges(above: np.ndarray, strip: np.ndarray) -> Edges:
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
    return Edges(line, begin - line * stride, end - line * stride, east, saddle)


def changes(row: np.ndarray) -> np.ndarray:
    """The columns where a row's foreground runs begin, end, begin, end ..."""
    padded = np.zeros(len(row) + 2, np.int8)
    padded[1:-1] = row
    return np.flatnonzero(padded[1:] != padded[:-1])


# -------------------------------------------------------------------------------------------- items


@dataclass(frozen=True)
class Strip:
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
    frontier: Frontier
    border: np.ndarray
    edges: Edges
    tail: np.ndarray
    head: np.ndarray
    line: np.ndarray

    @classmethod
    def open(cls, above: np.ndarray, pixels: np.ndarray, frontier: Frontier) -> Strip:
        """The strip `pixels`, and its items."""
        edges, border = find_edges(above, pixels), changes(pixels[-1])
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
class Verticals:
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


def find_verticals(strip: Strip) -> Verticals:
    """Pair up, column by column, all that ends there: crossings from above, edges, gates.

    An end is the number of its item, complemented if it is the head: a pair is a head and a tail,
    so the lesser leads to the greater.
    """
    edges, chain = strip.edges, strip.gates + strip.frontier.chain
    chain[0::2] = ~chain[0::2]
    item = np.arange(strip.first_edge, len(strip))
    edge = interleave(np.where(edges.east, item, ~item), np.where(edges.east, ~item, item))
    # Of two ends on one point, that whose vertical edge goes up must come first. It is the second
    # one in reading order where a saddle's left edge runs west, along the top of the lower pixel.
    later = 2 * edges.saddle[~edges.east[edges.saddle]] + 1
    edge[later], edge[later + 1] = edge[later + 1], edge[later]
    gate = interleave(np.arange(strip.gates), ~np.arange(strip.gates))
    ends = np.concatenate([chain, edge, gate])
    columns = np.concatenate(
        [strip.frontier.crossing, interleave(edges.left, edges.right), strip.border]
    )
    order = stable_argsort(columns)
    upper, lower = ends[order[0::2]], ends[order[1::2]]
    successor = np.empty(len(strip), np.int64)
    successor[~np.minimum(upper, lower)] = np.maximum(upper, lower)
    item = np.maximum(upper, ~upper)
    top = np.where(item < strip.first_edge, -1, strip.line[item])
    return Verticals(columns[order[0::2]], top, item, successor)


# --------------------------------------------------------------------------------------- components


def find_components(strip: Strip, verticals: Verticals, cycles: Cycles) -> np.ndarray:
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
    return unite(parent, frontier.owner, known + cycles.of[strip.gates : strip.first_edge])


def _owners_on_the_left(
    strip: Strip, verticals: Verticals, line: np.ndarray, column: np.ndarray
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


def sum_by_component(
    strip: Strip, cycles: Cycles, label: np.ndarray, tables: Sequence[np.ndarray]
) -> np.ndarray:
    """(labels, 4) int64: corners, pixels, sum of values, valid values; 0 but for roots.

    tables  none, or that of the values, or those of the values and of the valid ones
    """
    line, head, tail = strip.line, strip.head, strip.tail
    corners = np.where(np.arange(len(strip)) < strip.first_edge, 0, 2)
    measures = [corners, line * (head - tail)]
    measures += sums_along(tables, line, tail, head)
    if len(measures) == 3:
        measures.append(measures[1])  # all values are valid
    totals = np.zeros((len(label), 4), np.int64)
    for total, before, measure in zip(totals.T, strip.frontier.totals.T, measures, strict=False):
        by_cycle = np.add.reduceat(measure[cycles.order], cycles.start)
        np.add.at(total, label, np.concatenate([before, by_cycle]))
    return totals


# ---------------------------------------------------------------------------- from cycles to chains


def corners_of(edges: Edges, row: int) -> np.ndarray:
    """(e, 2) tail and head of the edges of a strip whose first row is `row`."""
    row = (edges.line + row).astype(CORNER) << ROW_SHIFT
    return np.column_stack([row + edges.tail, row + edges.head])


def mark_saddles(corners: np.ndarray, edges: Edges, label: np.ndarray, is_open: np.ndarray) -> None:
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
class Parts:
    """The cycles of a strip as sequences of parts: gates, chains from above, and runs of edges.

    A run of edges is a new segment. One value per part, in the cycles' order:

    item      its first item
    length    number of its items
    is_gate   bool
    is_run    bool
    follower  the part after it in its cycle
    first     its first segment, a number in the store (no meaning for gates)
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
    def of(cls, strip: Strip, cycles: Cycles, segments: int) -> Parts:
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
        follower = followers(start, len(place))
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
        next_gates = gates[followers(leading, len(gates))]
        before = np.empty(len(self.item), np.int64)
        before[self.follower] = np.arange(len(self.item))
        chain, onward = self.item[gates], self.item[next_gates]
        crossing = np.empty(2 * len(gates), np.int64)
        crossing[2 * chain + 1], crossing[2 * onward] = chain, chain
        first, last = np.empty((2, len(gates)), np.int64)
        first[chain] = self.first[self.follower[gates]]
        last[chain] = self.last[before[next_gates]]
        return crossing, first, last
