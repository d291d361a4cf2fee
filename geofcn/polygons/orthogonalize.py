"""Orthogonalise building outlines: right angles, on whole arrays of polygons in pixels.

Douglas-Peucker leaves an outline's few edges. Their lengths squared, at four times their angles,
add up to one dominant direction: the circular mean of directions that are the same after a quarter
turn, as those of a rectangle's edges (Mardia and Jupp, Directional Statistics, 2000). Each edge
then runs along it, across it, or obliquely; edges of one direction that follow each other are one
run, and runs too short for a wall are absorbed by a neighbour. What the RAW outline does within
each run then corrects the direction and places the run's line, with as much of the outline's area
on its left as on its right; each corner is where two lines meet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import shapely

from geofcn.core.ragged import Rings, from_rings

# The shortest wall, and the shortest oblique one, in tolerances.
MIN_RUN = 2.0
MIN_OBLIQUE_RUN = 5.0
# An edge within 15 degrees of the dominant direction, or of its normal, speaks for it; one more
# than 20 degrees from both is oblique.
ALIGNED = np.tan(np.radians(15))
OBLIQUE = np.tan(np.radians(20))
# An outline has a dominant direction when the edges' sum is at least this long (1: a rectangle,
# 0: no direction at all) and this share of its length is aligned.
MIN_STRENGTH = 0.5
MIN_ALIGNED = 0.6
# Share of its bounding circle that a round outline fills at least; a square fills 0.64.
ROUND = 0.8
# Two lines that meet at an angle of a smaller sine make no corner.
MIN_SINE = 0.2


def orthogonalize(
    raw: np.ndarray, simple: np.ndarray, tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Outlines with right angles, of the polygons that have walls at right angles.

    Parameters
    ----------
    raw : (n,) array of Polygon
        Valid, in integer pixel corners.
    simple : (n,) array of Polygon
        The same, simplified with the tolerance: some of their vertices.
    tolerance : float
        Of Douglas-Peucker, in pixels; the shortest wall is MIN_RUN times as long.

    Returns
    -------
    which : (m,) int array
        The numbers of the polygons that are squared, in order. One whose exterior has no four
        walls, or no dominant direction, is left out.
    squared : (m,) array of Polygon
        Their outlines, maybe invalid. A hole that has no four walls is taken from `simple`.

    Raises
    ------
    ValueError
        For coordinates that are not integers.

    Examples
    --------
    >>> from geofcn.polygons.simplify import simplify
    >>> house = shapely.box(0, 0, 20, 10).difference(shapely.box(7, 0, 8, 1))
    >>> raw = np.array([house, shapely.Polygon([(0, 0), (9, 0), (0, 9)])])
    >>> which, squared = orthogonalize(raw, simplify(raw, 1.5).polygons, 1.5)
    >>> which
    array([0])
    >>> len(squared[0].exterior.coords) - 1
    4
    """
    direction, squarable = _dominant_direction(raw, tolerance)
    which = np.flatnonzero(squarable)
    if not len(which):
        return which, raw[which]
    edges, boundary = _edges(simple[which]), _Boundary.of(raw[which])
    runs = _refined(_runs(edges, boundary, direction[which], tolerance), boundary)
    corners, ring = _corners(runs, boundary)
    return _assemble(which, simple, corners, ring)


class _Edges(NamedTuple):
    """All edges of an array of polygons, ring after ring.

    start, vector   (m, 2) integer pixels
    ring, polygon   (m,) the ring, counted over all polygons, and the polygon it belongs to
    """

    start: np.ndarray
    vector: np.ndarray
    ring: np.ndarray
    polygon: np.ndarray


def _edges(polygons: np.ndarray) -> _Edges:
    rings = Rings.of(polygons)
    points, edges = _integers(rings.points), rings.edges
    ring = rings.ring[edges]
    return _Edges(points[edges], points[edges + 1] - points[edges], ring, rings.polygon[ring])


def _integers(points: np.ndarray) -> np.ndarray:
    integers = points.astype(np.int64)
    if not np.array_equal(integers, points):
        raise ValueError("only outlines in integer pixel coordinates can be squared")
    return integers


def _dominant_direction(raw: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """(n, 2) unit vectors along the outlines' main walls, and (n,) where there are such walls.

    Twice the tolerance evens out ragged outlines, which have no long edges otherwise.
    """
    coarse = shapely.simplify(raw, 2 * tolerance, preserve_topology=True)
    edges, count = _edges(coarse), len(raw)
    # Each edge at four times its angle, as long as its length squared: doubled twice, in integers
    # and exactly rounded operations.
    x, y = edges.vector.T.astype(np.float64)
    square = x * x + y * y
    cos2, sin2 = x * x - y * y, 2 * x * y
    cos4, sin4 = (cos2 * cos2 - sin2 * sin2) / square, 2 * cos2 * sin2 / square

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(edges.polygon, values, minlength=count)

    def mean_direction(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        along, across = total(weight * cos4), total(weight * sin4)
        angle = np.arctan2(across, along) / 4
        return np.column_stack([np.cos(angle), np.sin(angle)]), np.hypot(along, across)

    direction, length = mean_direction(np.ones(len(x)))
    aligned = slope_to(edges.vector, direction[edges.polygon]) < ALIGNED
    directed = length > MIN_STRENGTH * total(square)
    direction, _ = mean_direction(aligned.astype(np.float64))
    aligned = slope_to(edges.vector, direction[edges.polygon]) < ALIGNED
    directed &= total(np.sqrt(square) * aligned) > MIN_ALIGNED * total(np.sqrt(square))
    filled = shapely.area(raw) / (np.pi * shapely.minimum_bounding_radius(raw) ** 2)
    return direction, directed & (filled < ROUND)


def along_of(vector: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Lengths of (m, 2) vectors along (m, 2) unit vectors, signed."""
    return vector[:, 0] * direction[:, 0] + vector[:, 1] * direction[:, 1]


def normal_of(direction: np.ndarray) -> np.ndarray:
    """(m, 2) vectors a quarter turn from (m, 2) vectors."""
    return np.column_stack([-direction[:, 1], direction[:, 0]])


def slope_to(vector: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Tangents of the angles to the direction or its normal, whichever is nearer: 0 to 1."""
    along = np.abs(along_of(vector, direction))
    across = np.abs(along_of(vector, normal_of(direction)))
    return np.minimum(along, across) / np.maximum(along, across)


@dataclass(frozen=True)
class _Boundary:
    """The raw outlines' vertices, ring after ring, each ring counted from its first vertex.

    points    (m, 2) integer pixels from the ring's `origin`
    ydx       (m,) twice the integral of y dx from the first vertex of all to this one
    moments   (m, 6) six times the integrals of 1, x, y, xx, xy, yy over the length likewise
    offsets   (rings + 1,) where each ring starts in `points`; its first vertex is also its last
    origin    (rings, 2) the rings' first vertices
    polygon   (rings,) the polygons they belong to

    A running sum that outgrows 64 bits wraps around, and its differences are right all the same.
    """

    points: np.ndarray
    ydx: np.ndarray
    moments: np.ndarray
    offsets: np.ndarray
    origin: np.ndarray
    polygon: np.ndarray

    @classmethod
    def of(cls, polygons: np.ndarray) -> _Boundary:
        rings = Rings.of(polygons)
        points = _integers(rings.points)
        origin = points[rings.first[:-1]]
        points -= origin[rings.ring]
        # A ring ends where it starts, at (0, 0), so the step to the next ring adds nothing.
        steps = (points[1:, 1] + points[:-1, 1]) * np.diff(points[:, 0])
        ydx = np.append(0, np.cumsum(steps))
        return cls(points, ydx, _moments(points), rings.first, origin, rings.polygon)

    def find(self, start: np.ndarray, ring: np.ndarray) -> np.ndarray:
        """The index of each vertex `start` (in pixels) among the vertices of its ring."""
        rings = np.repeat(np.arange(len(self.origin)), np.diff(self.offsets))
        low = self.points.min(axis=0)
        span = self.points.max(axis=0) - low + 1

        def key(ring: np.ndarray, points: np.ndarray) -> np.ndarray:
            x, y = (points - low).T
            return (ring * span[1] + y) * span[0] + x

        keys = key(rings, self.points)
        order = np.argsort(keys, kind="stable")  # a ring's first vertex comes before its last
        wanted = key(ring, start - self.origin[ring])
        return order[np.searchsorted(keys, wanted, sorter=order)]

    def _between(self, sums: np.ndarray, runs: _Runs) -> np.ndarray:
        """Differences of running sums from the runs' starts to their ends, round the ring."""
        low, high = self.offsets[runs.ring], self.offsets[runs.ring + 1] - 1
        turn = np.where(runs.end <= runs.start, (sums[high] - sums[low]).T, 0).T
        return sums[runs.end] - sums[runs.start] + turn

    def integrals(self, runs: _Runs) -> np.ndarray:
        """(m, 4): the integrals of x dx, x dy, y dx, y dy over the runs."""
        (x0, y0), (x1, y1) = self.points[runs.start].T, self.points[runs.end].T
        ydx = self._between(self.ydx, runs)
        xdy = 2 * (x1 * y1 - x0 * y0) - ydx
        return np.column_stack([x1 * x1 - x0 * x0, xdy, ydx, y1 * y1 - y0 * y0]) / 2

    def spread(self, runs: _Runs) -> np.ndarray:
        """(m, 3): the runs' variances of x, of x with y, and of y, in square pixels."""
        length, x, y, xx, xy, yy = self._between(self.moments, runs).T / 6
        x, y = x / length, y / length
        return np.column_stack([xx / length - x * x, xy / length - x * y, yy / length - y * y])


def _moments(points: np.ndarray) -> np.ndarray:
    """Running sums over steps along x or y: six times 1, x, y, xx, xy, yy, times the length."""
    (x0, y0), (x1, y1) = points[:-1].T, points[1:].T
    steps = np.column_stack(
        [
            np.full(len(x0), 6),
            3 * (x0 + x1),
            3 * (y0 + y1),
            2 * (x0 * x0 + x0 * x1 + x1 * x1),
            2 * (x0 * y0 + x1 * y1) + x0 * y1 + x1 * y0,
            2 * (y0 * y0 + y0 * y1 + y1 * y1),
        ]
    )
    steps *= (np.abs(x1 - x0) + np.abs(y1 - y0))[:, None]
    return np.vstack([np.zeros((1, 6), np.int64), np.cumsum(steps, axis=0)])


ALONG, ACROSS, SLANTED = 0, 1, 2


class _Runs(NamedTuple):
    """Stretches of boundary that will be straight, ring after ring, in the rings' order.

    start, end   (m,) indices into the boundary; a run ends where the ring's next one starts
    ring         (m,)
    kind         (m,) ALONG or ACROSS the dominant direction, or SLANTED
    axis         (m, 2) unit vectors: the polygon's dominant direction
    direction    (m, 2) unit vectors: the run's own
    chord        (m,) lengths from end to end in that direction
    before       (m,) the run before in the ring; before a ring's first is its last
    after        (m,) the run after
    ring_runs    (m,) how many runs the ring has
    """

    start: np.ndarray
    end: np.ndarray
    ring: np.ndarray
    kind: np.ndarray
    axis: np.ndarray
    direction: np.ndarray
    chord: np.ndarray
    before: np.ndarray
    after: np.ndarray
    ring_runs: np.ndarray


def _runs(edges: _Edges, boundary: _Boundary, dominant: np.ndarray, tolerance: float) -> _Runs:
    """The runs that are left when edges of one kind are joined and short runs absorbed.

    So are runs whose wall, from corner to corner, would be shorter by half or even go backwards.

    dominant  (polygons, 2) unit vectors
    """
    axis = dominant[edges.polygon]
    across = np.abs(along_of(edges.vector, axis)) < np.abs(along_of(edges.vector, normal_of(axis)))
    kind = np.where(across, ACROSS, ALONG)
    length = np.hypot(*edges.vector.T)
    slanted = (slope_to(edges.vector, axis) > OBLIQUE) & (length >= MIN_OBLIQUE_RUN * tolerance)
    kind[slanted] = SLANTED
    start, ring = boundary.find(edges.start, edges.ring), edges.ring
    shortest = tolerance * np.array([MIN_RUN, MIN_RUN, MIN_OBLIQUE_RUN])
    while True:
        before, _, _ = _cyclic(ring)
        begins = (kind != kind[before]) | (kind == SLANTED)
        start, ring, kind, axis = start[begins], ring[begins], kind[begins], axis[begins]
        runs = _measure(start, ring, kind, axis, boundary)
        length = np.abs(runs.chord)
        absorbed = _absorbable(runs, length, length < shortest[kind])
        if not absorbed.any():
            length = _wall_lengths(runs, boundary)
            absorbed = _absorbable(runs, length, length < shortest[kind] / 2)
        if not absorbed.any():
            return runs
        start = _absorb(runs, absorbed)
        start, ring, kind, axis = (
            start[~absorbed],
            ring[~absorbed],
            kind[~absorbed],
            axis[~absorbed],
        )


def _cyclic(ring: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For runs sorted by ring: the one before, the one after, and how many the ring has."""
    first = np.flatnonzero(np.diff(ring, prepend=-1))
    count = np.diff(np.append(first, len(ring)))
    before, after = np.arange(len(ring)) - 1, np.arange(len(ring)) + 1
    before[first] = first + count - 1
    after[first + count - 1] = first
    return before, after, np.repeat(count, count)


def _measure(
    start: np.ndarray, ring: np.ndarray, kind: np.ndarray, axis: np.ndarray, boundary: _Boundary
) -> _Runs:
    before, after, count = _cyclic(ring)
    end = start[after]
    vector = (boundary.points[end] - boundary.points[start]).astype(np.float64)
    length = np.hypot(*vector.T)[:, None]
    own = np.divide(vector, length, out=axis.copy(), where=length > 0)
    direction = np.choose(kind[:, None], [axis, normal_of(axis), own])
    chord = along_of(vector, direction)
    return _Runs(start, end, ring, kind, axis, direction, chord, before, after, count)


def _absorbable(runs: _Runs, length: np.ndarray, short: np.ndarray) -> np.ndarray:
    """Which of the short runs go now: shorter than both neighbours, and four runs must stay.

    No two of them are neighbours. The first of equally short ones counts as shorter.
    """
    order = np.lexsort((np.arange(len(short)), length, runs.ring))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    shortest = (rank < rank[runs.before]) & (rank < rank[runs.after])
    going = short & shortest & (runs.ring_runs > 4)
    # One that goes takes another with it when its neighbours become one.
    number = np.cumsum(going[order])
    first = np.searchsorted(runs.ring, runs.ring)  # where the ring starts, in either order
    nth = number[rank] - number[first] + going[order][first]
    return going & (nth <= np.maximum(1, (runs.ring_runs - 4) // 2))


def _absorb(runs: _Runs, absorbed: np.ndarray) -> np.ndarray:
    """The runs' starts after a neighbour has taken over each absorbed run.

    A neighbour that is not slanted takes it, else the longer one: the run before by the mere
    absence of the absorbed one, the run after by starting earlier.
    """
    start = runs.start.copy()
    going = np.flatnonzero(absorbed)
    left, right = runs.before[going], runs.after[going]
    square_left, square_right = runs.kind[left] != SLANTED, runs.kind[right] != SLANTED
    longer = np.abs(runs.chord[right]) > np.abs(runs.chord[left])
    to_right = np.where(square_left == square_right, longer, square_right)
    start[right[to_right]] = runs.start[going[to_right]]
    return start


def _refined(runs: _Runs, boundary: _Boundary) -> _Runs:
    """The same runs along the direction that the raw boundary itself has in them.

    A run's own direction is its boundary's longer principal axis. The polygon turns by the mean of
    their angles from the dominant direction, at four times the angle as before.
    """
    xx, xy, yy = boundary.spread(runs).T
    cos, sin = runs.axis.T
    # Twice the angle of each principal axis, seen from the dominant direction.
    cos2, sin2 = xx - yy, 2 * xy
    turn_cos, turn_sin = cos * cos - sin * sin, 2 * cos * sin
    cos2, sin2 = cos2 * turn_cos + sin2 * turn_sin, sin2 * turn_cos - cos2 * turn_sin
    size = cos2 * cos2 + sin2 * sin2
    weight = np.where(runs.kind == SLANTED, 0, runs.chord**2)
    weight = np.divide(weight, size, out=np.zeros(len(size)), where=size > 0)
    polygon = boundary.polygon[runs.ring]
    along = np.bincount(polygon, weight * (cos2 * cos2 - sin2 * sin2))
    across = np.bincount(polygon, weight * 2 * cos2 * sin2)
    turn = (np.arctan2(across, along) / 4)[polygon]
    axis = np.column_stack(
        [cos * np.cos(turn) - sin * np.sin(turn), sin * np.cos(turn) + cos * np.sin(turn)]
    )
    return _measure(runs.start, runs.ring, runs.kind, axis, boundary)


def _meetings(runs: _Runs, boundary: _Boundary) -> tuple[np.ndarray, np.ndarray]:
    """Where each run's line meets the one before, (m, 2) from the ring's origin, and the sines.

    The line along the unit vector u, n its normal, is n.p = c with c = integral of n.p d(u.p) over
    the run, divided by the run's length along u: boundary and line then enclose no area. Lines
    that are parallel, or of runs without a length, meet at no finite place.
    """
    (ux, uy), (nx, ny) = runs.direction.T, normal_of(runs.direction).T
    xdx, xdy, ydx, ydy = boundary.integrals(runs).T
    before = runs.before
    with np.errstate(divide="ignore", invalid="ignore"):
        level = (nx * (ux * xdx + uy * xdy) + ny * (ux * ydx + uy * ydy)) / runs.chord
        sine = nx[before] * ny - ny[before] * nx
        x = (level[before] * ny - ny[before] * level) / sine
        y = (nx[before] * level - level[before] * nx) / sine
    return np.column_stack([x, y]), sine


def _wall_lengths(runs: _Runs, boundary: _Boundary) -> np.ndarray:
    """From corner to corner of each run; negative where they come in the wrong order."""
    points, _ = _meetings(runs, boundary)
    with np.errstate(invalid="ignore"):
        return along_of(points[runs.after] - points, runs.direction) * np.sign(runs.chord)


def _corners(runs: _Runs, boundary: _Boundary) -> tuple[np.ndarray, np.ndarray]:
    """(m, 2) pixels, and (m,) the rings.

    Rings that have fewer than four runs, or two lines that hardly meet, are left out.
    """
    points, sine = _meetings(runs, boundary)
    fine = np.isfinite(points).all(axis=1) & (np.abs(sine) >= MIN_SINE) & (runs.ring_runs >= 4)
    cornered = ~np.isin(runs.ring, runs.ring[~fine])
    return points[cornered] + boundary.origin[runs.ring[cornered]], runs.ring[cornered]


def _assemble(
    which: np.ndarray, simple: np.ndarray, corners: np.ndarray, ring: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Polygons of the cornered rings, and of `simple`'s for holes that have no corners.

    ring  (m,) of the corners, counted over the polygons `which`, sorted
    """
    rings, owner = shapely.get_rings(simple[which], return_index=True)
    numbers, first = np.unique(ring, return_index=True)
    size = np.diff(np.append(first, len(ring)))
    closed = np.insert(corners, first + size, corners[first], axis=0)
    rings[numbers] = shapely.linearrings(closed, indices=np.repeat(np.arange(len(size)), size + 1))
    cornered = np.isin(np.arange(len(rings)), numbers)
    exterior = np.diff(owner, prepend=-1) > 0
    usable = cornered[exterior]
    owned = usable[owner]
    polygon = (np.cumsum(usable) - 1)[owner[owned]]
    points, ring = shapely.get_coordinates(rings[owned], return_index=True)
    first = np.searchsorted(ring, np.arange(len(polygon) + 1))
    return which[usable], from_rings(points, first, polygon, int(usable.sum()))
