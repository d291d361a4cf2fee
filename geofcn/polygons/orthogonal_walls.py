"""Right angles for groups of houses that touch, so that a row of houses stays straight.

A group has one main direction, that of `geofcn.polygons.orthogonalize`. Each edge of its simplified
chains runs along it, across it, or obliquely. Vertices that edges along it join, through however
many houses, get one place across it, and the other way round: a front that several houses share is
one line, which has as much of the raw outlines on either side. What cannot be moved so stays.

Everything here is in pixels. What becomes of a group never depends on the others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from geofcn.polygons.chains import Chains
from geofcn.polygons.orthogonalize import (
    ACROSS,
    ALIGNED,
    ALONG,
    MIN_ALIGNED,
    MIN_OBLIQUE_RUN,
    MIN_RUN,
    MIN_STRENGTH,
    OBLIQUE,
    SLANTED,
    along_of,
    normal_of,
    slope_to,
)
from geofcn.tracing.permutations import unite

# How far a vertex may move from its simplified outline, in tolerances.
MAX_MOVE = 2.0


@dataclass(frozen=True)
class SquaredChains:
    """Chains whose vertices may be moved to make right angles.

    Attributes
    ----------
    chains : Chains
        Simplified; a vertex that is not moved has its place.
    moved : (v, 2) array
        Where each vertex would be, by its number.
    movable : (v,) array of bool
        Whether it may be moved as far as that.
    is_between : (p,) array of bool
        Vertices of chains that lie on a straight line, once they and their neighbours are moved.
    """

    chains: Chains
    moved: np.ndarray
    movable: np.ndarray
    is_between: np.ndarray

    def at(self, is_moved: np.ndarray) -> Chains:
        """The chains with vertices moved, (v,) bool; those that are needless then are gone."""
        moves = is_moved[self.chains.vertex]
        points = self._places(moves)
        around = moves & np.append(moves[1:], True) & np.append(True, moves[:-1])
        return replace(self.chains, points=points).select(~(self.is_between & around))

    def swept(self, is_moved: np.ndarray) -> np.ndarray:
        """(p,) the area that the edge after each vertex sweeps, at most, when they are moved.

        Its start is moved first, then its end: two triangles. The last vertex of a chain has none.
        """
        before, after = self.chains.points, self._places(is_moved[self.chains.vertex])
        start = np.diff(self.chains.of_point) == 0
        first = np.abs(_cross(after[:-1] - before[:-1], before[1:] - before[:-1]))
        second = np.abs(_cross(after[1:] - before[1:], after[:-1] - before[1:]))
        return np.append(np.where(start, (first + second) / 2, 0.0), 0.0)

    def _places(self, moves: np.ndarray) -> np.ndarray:
        return np.where(moves[:, None], self.moved[self.chains.vertex], self.chains.points)


def square_chains(raw: Chains, stays: np.ndarray, tolerance: float) -> SquaredChains:
    """Where the vertices of simplified chains would be at right angles.

    Parameters
    ----------
    raw : Chains
        In integer pixel corners.
    stays : (p,) array of bool
        Its vertices that are left when it is simplified.
    tolerance : float
        Of the simplification, in pixels; no vertex moves farther than MAX_MOVE times it.
    """
    simple, group = raw.select(stays), raw.groups()
    chain, point = simple.of_point, np.flatnonzero(stays)
    start = np.flatnonzero(chain[1:] == chain[:-1])
    vector = simple.points[start + 1] - simple.points[start]
    direction, squarable = _main_direction(vector, group[chain[start]])
    axis = direction[group[chain[start]]]
    kind = _kinds(vector, axis, chain[start], tolerance)
    kind[~squarable[group[chain[start]]]] = SLANTED
    place, vertex_axis = np.zeros((2, int(raw.vertex.max()) + 1, 2))
    place[simple.vertex], vertex_axis[simple.vertex] = simple.points, direction[group[chain]]
    can_move = np.zeros(len(place), bool)
    can_move[simple.vertex] = squarable[group[chain]]
    edges = _Edges(
        simple.vertex[start],
        simple.vertex[start + 1],
        vector,
        _integrals(raw.points, point[start], point[start + 1]),
    )
    normal = normal_of(vertex_axis)
    u = edges.common(kind == ACROSS, axis, normal_of(axis), along_of(place, vertex_axis))
    v = edges.common(kind == ALONG, normal_of(axis), axis, along_of(place, normal))
    moved = u[:, None] * vertex_axis + v[:, None] * normal
    can_move &= np.hypot(*(moved - place).T) <= MAX_MOVE * tolerance
    goes_on = (kind[1:] == kind[:-1]) & (kind[1:] != SLANTED) & (np.diff(start) == 1)
    is_between = np.zeros(len(chain), bool)
    is_between[start[1:][goes_on]] = True
    return SquaredChains(simple, moved, can_move, is_between)


def _cross(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.asarray(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0])


def _main_direction(vector: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(g, 2) unit vectors along the groups' main walls, and (g,) where there are such walls.

    Of edges as (m, 2) vectors; see `geofcn.polygons.orthogonalize`.
    """
    x, y = vector.T
    square = x * x + y * y
    cos2, sin2 = x * x - y * y, 2 * x * y
    cos4, sin4 = (cos2 * cos2 - sin2 * sin2) / square, 2 * cos2 * sin2 / square

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(group, values)

    direction = np.zeros((int(group.max()) + 1, 2))
    weight = np.ones(len(x))
    for _ in range(2):
        along, across = total(weight * cos4), total(weight * sin4)
        angle = np.arctan2(across, along) / 4
        direction = np.column_stack([np.cos(angle), np.sin(angle)])
        if weight.all():
            squarable = np.hypot(along, across) > MIN_STRENGTH * total(square)
        weight = (slope_to(vector, direction[group]) < ALIGNED).astype(np.float64)
    length = np.sqrt(square)
    return direction, squarable & (total(length * weight) > MIN_ALIGNED * total(length))


def _kinds(vector: np.ndarray, axis: np.ndarray, chain: np.ndarray, tolerance: float) -> np.ndarray:
    """(m,) ALONG, ACROSS or SLANTED of edges; a short one between two of one kind is of that."""
    across = np.abs(along_of(vector, axis)) < np.abs(along_of(vector, normal_of(axis)))
    kind = np.where(across, ACROSS, ALONG)
    length = np.hypot(*vector.T)
    kind[(slope_to(vector, axis) > OBLIQUE) & (length >= MIN_OBLIQUE_RUN * tolerance)] = SLANTED
    short = length[1:-1] < MIN_RUN * tolerance
    short &= (kind[:-2] == kind[2:]) & (chain[:-2] == chain[2:]) & (kind[2:] != SLANTED)
    inner = np.flatnonzero(short)
    kind[inner + 1] = kind[inner]
    return kind


@dataclass(frozen=True)
class _Edges:
    """Edges of simplified chains, and what the raw outline does along them.

    tail, head  (m,) numbers of their vertices
    vector      (m, 2) pixels from tail to head
    integrals   (m, 2, 2) the integrals of p[i] dp[j] along the raw outline
    """

    tail: np.ndarray
    head: np.ndarray
    vector: np.ndarray
    integrals: np.ndarray

    def common(
        self, chosen: np.ndarray, across: np.ndarray, along: np.ndarray, own: np.ndarray
    ) -> np.ndarray:
        """(v,) places of vertices across the chosen edges, (m,) bool, the same for those they join.

        A place is the mean of the raw outlines', each weighted by its length along the edge; that
        of a vertex without such edges is its `own`, (v,).

        across, along  (m, 2) unit vectors
        """
        tail, head = self.tail[chosen], self.head[chosen]
        root = unite(np.arange(len(own)), tail, head)
        run = along_of(self.vector, along)[chosen]
        area = np.zeros(len(run))
        for i in range(2):
            for j in range(2):
                area += (across[:, i] * along[:, j] * self.integrals[:, i, j])[chosen]
        length = np.bincount(root[tail], np.abs(run), len(own))
        total = np.bincount(root[tail], np.sign(run) * area, len(own))
        mean = np.divide(total, length, out=np.zeros(len(own)), where=length > 0)
        return np.where(length[root] > 0, mean[root], own)


def _integrals(points: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """(m, 2, 2) the integrals of p[i] dp[j] from one point to a later one; points are integers."""
    points = points.astype(np.int64)
    ydx = np.append(0, np.cumsum((points[1:, 1] + points[:-1, 1]) * np.diff(points[:, 0])))
    (x0, y0), (x1, y1) = points[start].T, points[end].T
    y_dx = ydx[end] - ydx[start]
    x_dy = 2 * (x1 * y1 - x0 * y0) - y_dx
    layers = [x1 * x1 - x0 * x0, x_dy, y_dx, y1 * y1 - y0 * y0]
    return np.column_stack(layers).reshape(-1, 2, 2) / 2
