"""Polygons of houses that touch: a sweep over pixels and the joints between them.

The sweep tells foreground from background, not houses from each other. So it is given a lattice
that is twice as fine, in which a wall is a line of blank cells:

        . - . - . - . - .      odd rows and columns: pixels (a, b: of two houses)
        | a + a   b + b |      even ones: joints between two pixels (| + -), or four (.)
        . + . +   + . + .
        | a + a   b + b |      Joints are foreground where a house is on either side, but not where
        . - . -   - . - .      two houses are: there is a wall.

A border against background is pushed out by one cell, one at a wall is not. So halves of the
coordinates are pixels' corners again, and whether a coordinate is odd says what is on the other
side. Where a wall begins on a straight line, the line shifts by a cell, which leaves a vertex:
where three of {houses, background} meet, each of them has a vertex. Where two houses meet the side
of a third, a joint that sticks out of that one by a cell does the same.

The halves form edges with the house on their left. A wall whose both sides are one house (see
`geofcn.tracing.instances`) is taken away, then edges are linked to rings anew.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from geofcn.tracing.instances import WalledBand
from geofcn.tracing.permutations import Cycles, offsets, spans
from geofcn.tracing.rings import Polygons
from geofcn.tracing.segments import CORNER, ROW_SHIFT
from geofcn.tracing.sweep import Sweep

__all__ = ["WalledPolygons", "WalledSweep"]


@dataclass(frozen=True)
class WalledPolygons:
    """Polygons of houses, and which of their edges are walls.

    Attributes
    ----------
    polygons : Polygons
        In pixel corners. A wall has the same vertices on both sides; some lie on straight lines.
    wall : (n,) array of bool
        Whether the edge from each of the polygons' corners to the next is a wall: another house is
        on its other side. False for the last corner of a ring.
    """

    polygons: Polygons
    wall: np.ndarray

    def __len__(self) -> int:
        return len(self.polygons)


class WalledSweep:
    """Turns a mask with walls, pushed from its first row to its last, into polygons.

    They come in the order of their last rows, those with a wall below before the others; then as
    those of `geofcn.tracing.sweep.Sweep`, which they are where there are no walls.

    Parameters
    ----------
    width : int
        Columns of the mask.

    Examples
    --------
    >>> sweep = WalledSweep(2)
    >>> houses, wall = np.ones((1, 2), bool), np.array([[False, True]])
    >>> pushed = sweep.push(WalledBand(houses, None, wall, np.zeros((1, 2), bool)))
    >>> finished = sweep.finish()
    >>> finished.polygons.coords.tolist()
    [[0, 0], [0, 1], [1, 1], [1, 0], [0, 0], [1, 0], [1, 1], [2, 1], [2, 0], [1, 0]]
    >>> finished.wall.astype(int)
    array([0, 0, 1, 0, 0, 1, 0, 0, 0, 0])
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._sweep = Sweep(2 * width + 1)
        none = np.zeros((1, width), bool)
        self._last = WalledBand(none, None, none, none)

    def push(self, band: WalledBand, valid: np.ndarray | None = None) -> WalledPolygons:
        """Sweep the next rows; return polygons that are finished.

        Parameters
        ----------
        band : WalledBand
            Its values are summed over each polygon.
        valid : (rows, width) array of bool, optional
            Which values count; default: all.
        """
        return self._swept(self._lattice(band), band.values, valid)

    def finish(self) -> WalledPolygons:
        """The polygons that are left, after the last row."""
        none = np.zeros((1, self._width), bool)
        values = self._last.values
        below = WalledBand(none, None if values is None else values[-1:], none, none)
        joints = self._swept(self._lattice(below)[:1], below.values, none)
        rest = _in_pixels(self._sweep.finish())
        return WalledPolygons(
            Polygons.concatenate([joints.polygons, rest.polygons]),
            np.concatenate([joints.wall, rest.wall]),
        )

    def _swept(
        self, cells: np.ndarray, values: np.ndarray | None, valid: np.ndarray | None
    ) -> WalledPolygons:
        """Sweep rows of the lattice; only pixels have values."""
        if values is None:
            return _in_pixels(self._sweep.push(cells))
        sparse = np.zeros(cells.shape, values.dtype)
        counted = np.zeros(cells.shape, bool)
        if len(cells) > 1:
            sparse[1::2, 1::2] = values
            counted[1::2, 1::2] = True if valid is None else valid
        return _in_pixels(self._sweep.push(cells, sparse, counted))

    def _lattice(self, band: WalledBand) -> np.ndarray:
        """The lattice of some rows, (2 rows, 2 width + 1) bool: joints above them, then they."""
        last = self._last
        values = None if band.values is None else band.values[-1:]
        self._last = WalledBand(band.houses[-1:], values, band.beside[-1:], band.above[-1:])
        houses = np.pad(np.concatenate([last.houses, band.houses]), ((0, 0), (1, 1)))
        beside = np.pad(np.concatenate([last.beside, band.beside]), ((0, 0), (0, 1)))
        above = np.pad(band.above, ((0, 0), (1, 1)))
        left, right = houses[:, :-1], houses[:, 1:]
        cells = np.empty((2 * len(band.houses), 2 * self._width + 1), bool)
        cells[1::2, 1::2] = band.houses
        cells[1::2, 0::2] = (left[1:] | right[1:]) & ~beside[1:]
        cells[0::2, 1::2] = ((houses[:-1] | houses[1:]) & ~above)[:, 1:-1]
        # A joint of four: of pixels that touch along a side, all of one house; or of a side of a
        # house at which two others meet.
        touching = (left[:-1] | right[1:]) & (right[:-1] | left[1:])
        alone = left[:-1] ^ right[:-1] ^ left[1:] ^ right[1:]
        walls = beside[:-1].view(np.uint8) + beside[1:] + above[:, :-1] + above[:, 1:]
        cells[0::2, 0::2] = ((touching | alone) & (walls == 0)) | (walls == 3)
        return cells


# --------------------------------------------------------------------------- from lattice to pixels


@dataclass(frozen=True)
class _Edges:
    """Edges of polygons in pixel corners, horizontal or vertical, with the house on their left.

    start, end  (n,) corners, row << ROW_SHIFT | column
    polygon     (n,)
    wall        (n,) bool
    """

    start: np.ndarray
    end: np.ndarray
    polygon: np.ndarray
    wall: np.ndarray

    def __getitem__(self, chosen: np.ndarray) -> _Edges:
        layers = (self.start, self.end, self.polygon, self.wall)
        return _Edges(*(layer[chosen] for layer in layers))

    @property
    def vector(self) -> tuple[np.ndarray, np.ndarray]:
        """(n,) columns and rows from start to end."""
        (column, row), (end_column, end_row) = _split(self.start), _split(self.end)
        return end_column - column, end_row - row


def _split(corner: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows of corners."""
    return corner & ((1 << ROW_SHIFT) - 1), corner >> ROW_SHIFT


def _in_pixels(lattice: Polygons) -> WalledPolygons:
    """Polygons of the lattice in pixel corners."""
    if not len(lattice):
        return WalledPolygons(lattice, np.zeros(0, bool))
    edges = _without_slits(_edges_of(lattice))
    # Sorted so, a ring's first edge starts at its topmost, then leftmost corner, and a polygon's
    # first ring is its exterior.
    edges = edges[np.lexsort((edges.start, edges.polygon))]
    cycles = Cycles.find(_successors(edges))
    return _assembled(lattice, edges, cycles)


def _edges_of(lattice: Polygons) -> _Edges:
    """The edges of polygons of the lattice that have a length in pixels."""
    column, row = lattice.coords.T.astype(CORNER)
    step_column, step_row = np.diff(column), np.diff(row)
    corner = (row // 2 << ROW_SHIFT) + column // 2
    ring = np.repeat(np.arange(len(lattice.rings) - 1), np.diff(lattice.rings))
    polygon = np.repeat(np.arange(len(lattice)), np.diff(lattice.polygons))[ring]
    is_odd = np.where(step_row == 0, row[:-1], column[:-1]) % 2 == 1
    # Pushed out, borders above and to the left are even, those below and to the right odd.
    is_upper_left = (step_column < 0) | (step_row > 0)
    edge = np.flatnonzero((ring[1:] == ring[:-1]) & (corner[1:] != corner[:-1]))
    wall = is_odd[edge] == is_upper_left[edge]
    return _Edges(corner[edge], corner[edge + 1], polygon[edge], wall)


def _without_slits(edges: _Edges) -> _Edges:
    """The edges without walls that have the same polygon on both sides."""
    wall = np.flatnonzero(edges.wall)
    sides = edges[wall]
    upper = np.minimum(sides.start, sides.end)
    is_vertical = sides.vector[0] == 0
    order = np.lexsort((is_vertical, upper, sides.polygon))
    key = np.stack([sides.polygon, upper, is_vertical])[:, order]
    twice = np.flatnonzero((key[:, 1:] == key[:, :-1]).all(axis=0))
    stays = np.ones(len(edges.wall), bool)
    stays[wall[order[twice]]] = stays[wall[order[twice + 1]]] = False
    return edges if stays.all() else edges[stays]


def _successors(edges: _Edges) -> np.ndarray:
    """The edge that follows each of some edges, sorted by polygon and start.

    Where two edges of a polygon start in one corner, two end there. Each goes on to the right, so
    that rings do not touch themselves, see `geofcn.tracing.sweep`.
    """
    ending = np.lexsort((edges.end, edges.polygon))
    successor = np.empty(len(ending), np.int64)
    successor[ending] = np.arange(len(ending))
    same = (np.diff(edges.start) == 0) & (np.diff(edges.polygon) == 0)
    first = np.flatnonzero(same)
    column, row = edges.vector
    edge = ending[first]
    turn = column[edge] * row[first] - row[edge] * column[first]
    swapped = first[turn < 0]
    successor[ending[swapped]], successor[ending[swapped + 1]] = swapped + 1, swapped
    return successor


def _assembled(lattice: Polygons, edges: _Edges, cycles: Cycles) -> WalledPolygons:
    """Polygons of edges in cycles; where a slit met an outline, no vertex stays."""
    edges = edges[cycles.order]
    size = np.diff(np.append(cycles.start, len(edges.wall)))
    before = np.arange(len(edges.wall)) - 1
    before[cycles.start] += size
    column_step, row_step = edges.vector
    pixels = np.zeros(len(lattice), np.int64)
    np.add.at(pixels, edges.polygon, (edges.start >> ROW_SHIFT) * column_step)
    straight = (np.sign(column_step) == np.sign(column_step)[before]) & (
        np.sign(row_step) == np.sign(row_step)[before]
    )
    needed = ~straight | edges.wall | edges.wall[before]
    ring = np.repeat(np.arange(len(size)), size)[needed]
    edges, size = edges[needed], np.bincount(ring)
    first = np.cumsum(size) - size
    closed = spans(first, size + 1)
    rings = offsets(size + 1)
    closed[rings[1:] - 1] = first
    wall = edges.wall[closed]
    wall[rings[1:] - 1] = False
    coords = np.column_stack(_split(edges.start[closed])).astype(lattice.coords.dtype)
    polygons = offsets(np.bincount(edges.polygon[first], minlength=len(lattice)))
    traced = replace(lattice, coords=coords, rings=rings, polygons=polygons, pixels=pixels)
    return WalledPolygons(traced, wall)
