"""One strip of a sweep: its edges, the cycles they form, and the components these belong to.

The words are those of `sweep`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geofcn.tracing.column_sums import sums_along
from geofcn.tracing.permutations import Cycles, followers, interleave, stable_argsort, unite
from geofcn.tracing.segments import CORNER, ROW_SHIFT, Frontier, mark_saddle

# -------------------------------------------------------------------------------------------- edges


@dataclass(frozen=True)
class Edges:
    """The horizontal edges of a strip, in reading order.

    Attributes
    ----------
    line : (e,) array of int
        Lattice line, 0 on the strip's upper border.
    left, right : (e,) array of int
        Columns of the ends.
    east : (e,) array of bool
        Foreground above: it runs east, so its head is on the right.
    saddle : (s,) array of int
        The edges whose right end is the next edge's left end.
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
    """The edges on every lattice line of a strip but its lower border.

    Parameters
    ----------
    above : (width,) array of int8
        The row of pixels before it.
    strip : (rows, width) array of int8
        Its pixels, 0 and 1.

    Examples
    --------
    >>> above, strip = np.int8([0, 0, 0]), np.int8([[1, 1, 0], [0, 1, 0]])
    >>> edges = find_edges(above, strip)
    >>> edges.line, edges.tail, edges.head
    (array([0, 1]), array([2, 0]), array([0, 1]))
    """
    # Where the difference of the pixels above and below changes along a line, an edge ends or
    # begins.
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
    """The columns where a row's foreground runs begin, end, begin, end ...

    Examples
    --------
    >>> changes(np.int8([0, 1, 1, 0, 1]))
    array([1, 3, 4, 5])
    """
    padded = np.zeros(len(row) + 2, np.int8)
    padded[1:-1] = row
    return np.flatnonzero(padded[1:] != padded[:-1])


# -------------------------------------------------------------------------------------------- items


@dataclass(frozen=True)
class Strip:
    """A strip of pixels and the items its cycles are made of: gates, chains from above, edges.

    Attributes
    ----------
    above : (width,) array of int8
        The row of pixels before it.
    pixels : (rows, width) array of int8
        0 and 1.
    frontier : Frontier
        What is open on its upper border.
    border : (2g,) array of int
        Columns where its last row changes; gate i runs from 2i to 2i + 1.
    edges : Edges
        Its horizontal edges.
    tail, head : (n,) array of int
        Columns where each item begins and ends; 0 for chains, whose ends lie on the upper border.
    line : (n,) array of int
        Lattice line of each item; 0 for chains.
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
        """The strip `pixels` below the row `above`, and its items."""
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

    Attributes
    ----------
    column : (v,) array of int
        Where each lies.
    top : (v,) array of int
        Lattice line of the upper end, -1 for one that crosses the upper border.
    item : (v,) array of int
        The item at its upper end.
    successor : (n,) array of int
        The item that follows each of the strip's items, by the vertical edge at its head.
    """

    column: np.ndarray
    top: np.ndarray
    item: np.ndarray
    successor: np.ndarray


# An end of an item is one integer: the item for its tail, the item's complement, which is negative,
# for its head.


def _head_of(item: np.ndarray) -> np.ndarray:
    return ~item


def _item_at(end: np.ndarray) -> np.ndarray:
    return np.maximum(end, ~end)


def find_verticals(strip: Strip) -> Verticals:
    """Pair up, column by column, all that ends there: crossings from above, edges, gates."""
    edges, chain = strip.edges, strip.gates + strip.frontier.chain
    chain[0::2] = _head_of(chain[0::2])
    tail = np.arange(strip.first_edge, len(strip))
    head = _head_of(tail)
    edge = interleave(np.where(edges.east, tail, head), np.where(edges.east, head, tail))
    # Of two ends on one point, that whose vertical edge goes up must come first. It is the second
    # one in reading order where a saddle's left edge runs west, along the top of the lower pixel.
    later = 2 * edges.saddle[~edges.east[edges.saddle]] + 1
    edge[later], edge[later + 1] = edge[later + 1], edge[later]
    gate = np.arange(strip.gates)
    gate = interleave(gate, _head_of(gate))
    ends = np.concatenate([chain, edge, gate])
    columns = np.concatenate(
        [strip.frontier.crossing, interleave(edges.left, edges.right), strip.border]
    )
    order = stable_argsort(columns)
    upper, lower = ends[order[0::2]], ends[order[1::2]]
    successor = np.empty(len(strip), np.int64)
    # Every pair is a head, which is the lesser, and the tail that it leads to.
    successor[_item_at(np.minimum(upper, lower))] = np.maximum(upper, lower)
    item = _item_at(upper)
    top = np.where(item < strip.first_edge, -1, strip.line[item])
    return Verticals(columns[order[0::2]], top, item, successor)


# --------------------------------------------------------------------------------------- components


def find_components(strip: Strip, verticals: Verticals, cycles: Cycles) -> np.ndarray:
    """Label the components on the frontier and the strip's cycles: one label, one component.

    Returns
    -------
    (k + c,) array of int
        Labels of the k components on the frontier, then of the c cycles: the index of the first
        of those that belong together.
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

    The points (line, column) have foreground at their upper left.
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
    vertical = np.searchsorted(keys, begin * (height + 1) + line, side="right") - 1
    return verticals.item[vertical]


def sum_by_component(
    strip: Strip, cycles: Cycles, label: np.ndarray, tables: Sequence[np.ndarray]
) -> np.ndarray:
    """Sum the items of each component, by the edges alone (Green's theorem).

    Parameters
    ----------
    strip : Strip
    cycles : Cycles
        Of its items.
    label : (k + c,) array of int
        See `find_components`.
    tables : sequence of arrays
        None, or that of the values, or those of the values and of the valid ones; see
        `geofcn.tracing.column_sums.column_sums`.

    Returns
    -------
    (k + c, 4) array of int64
        Corners, pixels, sum of values, number of valid values (without tables 0); of all so far,
        where an index is its own label, else 0.
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
    row_part = (edges.line + row).astype(CORNER) << ROW_SHIFT
    return np.column_stack([row_part + edges.tail, row_part + edges.head])


def mark_saddles(corners: np.ndarray, edges: Edges, label: np.ndarray, is_open: np.ndarray) -> None:
    """Mark, in place, the two corners of each saddle within a component, now or perhaps later.

    Parameters
    ----------
    corners : (e, 2) array of CORNER
        See `corners_of`.
    edges : Edges
    label : (e,) array of int
        Of the component of each edge.
    is_open : (l,) array of bool
        Whether the component of each label may yet unite with another.
    """
    left, right = label[edges.saddle], label[edges.saddle + 1]
    edge = edges.saddle[(left == right) | (is_open[left] & is_open[right])]
    side = edges.east[edge].astype(np.int64)  # east of west: heads meet; west of east: tails
    for either in (edge, edge + 1):
        corners[either, side] = mark_saddle(corners[either, side])


@dataclass(frozen=True)
class Parts:
    """The cycles of a strip as sequences of parts: gates, chains from above, and runs of edges.

    A run of edges is a new segment. Parts are in the cycles' order.

    Attributes
    ----------
    item : (p,) array of int
        The first item of each part.
    length : (p,) array of int
        Number of its items.
    is_gate, is_run : (p,) array of bool
        What it is; a chain is neither.
    follower : (p,) array of int
        The part after it in its cycle.
    first, last : (p,) array of int
        Its first and last segment, numbers in the store; no meaning for gates.
    start : (c,) array of int
        The first part of each cycle.
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
        begin = np.flatnonzero(begins)
        item, is_run = cycles.order[begin], is_edge[begin]
        is_gate = item < strip.gates
        first = segments - 1 + np.cumsum(is_run)
        last = first.copy()
        is_chain = ~(is_run | is_gate)
        chain = item[is_chain] - strip.gates
        first[is_chain] = strip.frontier.first[chain]
        last[is_chain] = strip.frontier.last[chain]
        start = (np.cumsum(begins) - 1)[cycles.start]
        follower = followers(start, len(begin))
        length = np.diff(np.append(begin, len(begins)))
        return cls(item, length, is_gate, is_run, follower, first, last, start)

    def links(self) -> tuple[np.ndarray, np.ndarray]:
        """Segments, and those that follow them, wherever two parts of a cycle meet."""
        meet = ~(self.is_gate | self.is_gate[self.follower])
        meet &= self.follower != np.arange(len(meet))
        return self.last[meet], self.first[self.follower[meet]]

    def chains(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The chains that go on below: a chain leads from a gate to the next one of its cycle.

        Returns
        -------
        chain : (2g,) array of int
            The chain at each crossing of the lower border; it has the number of the gate that it
            comes from.
        first, last : (g,) array of int
            The first and last segment of each chain.
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
