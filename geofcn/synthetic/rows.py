"""Rows of synthetic houses, wall to wall around a block of a town, as plain geometry.

A row stands along a side of its block. Walls that lead away from the street cut it into plots, and
two houses side by side have one wall in common, vertex by vertex: each takes up the corners of the
other that lie on it. So the footprints of a block are a coverage: no gap, no overlap.

Coordinates are pixels, x to the right (columns) and y down (rows); heights are in pixels as well.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
from shapely import Polygon

from geofcn.synthetic.buildings import Axes
from geofcn.synthetic.pieces import Piece, Side, draw_in, has_all_sides, sides_of, turns_of
from geofcn.synthetic.roofs import Look, Point, Quad, draw_look, vary

LEAST_DEPTH = 26  # of a house
LEAST_ROW = 26  # along a street
SKEW = math.radians(32)  # how far from a right angle a corner with a house is, at most

# How far along its side a row's first wall is, and its slant in radians; the same of the last one.
Ends = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True)
class Wall:
    """A line from the street into the block, on which the houses on both sides end.

    Attributes
    ----------
    place : Axes
        At the street, u into the block.
    stretch : float
        Pixels along u for one pixel away from the street.
    """

    place: Axes
    stretch: float

    def point(self, depth: float) -> Point:
        """The point `depth` pixels away from the street."""
        return self.place.point(self.stretch * depth, 0)


@dataclass(frozen=True)
class Run:
    """A part of a house's outline: along a wall from a depth to a depth.

    Attributes
    ----------
    wall : Wall
        Where it runs.
    start, stop : float
        Depths.
    from_corner : bool
        Whether the house has a corner at the start, besides the one at the stop.
    """

    wall: Wall
    start: float
    stop: float
    from_corner: bool = True


@dataclass(frozen=True)
class RowHouse:
    """A house of a row, or on the corner of a block.

    Attributes
    ----------
    outline : tuple of Run
        Clockwise.
    quad : (point, point, point, point)
        The body of the house, from the left end of its front on clockwise.
    wing : (point, point, point, point), optional
        What of it reaches further back.
    look : Look
        Of its roof.
    """

    outline: tuple[Run, ...]
    quad: Quad
    wing: Quad | None
    look: Look


@dataclass(frozen=True)
class CommonWall:
    """A wall between two houses.

    Attributes
    ----------
    wall : Wall
        Where it stands.
    start, stop : float
        Depths.
    houses : (RowHouse, RowHouse)
        Left and right of it.
    """

    wall: Wall
    start: float
    stop: float
    houses: tuple[RowHouse, RowHouse]


@dataclass(frozen=True)
class Plot:
    """What lies between two walls of a row.

    Attributes
    ----------
    left, right : Wall
        As seen from the street.
    houses : tuple of RowHouse
        From the street on.
    start, stop : float
        From which depth to which the ground is free, behind the houses or for want of any.
    """

    left: Wall
    right: Wall
    houses: tuple[RowHouse, ...]
    start: float
    stop: float

    @property
    def free(self) -> Quad:
        """The ground that is free."""
        return _quad(self.left, self.right, self.start, self.stop)


@dataclass(frozen=True)
class Block:
    """What surrounds a courtyard.

    Attributes
    ----------
    plots : list of Plot
        Row by row.
    corners : list of RowHouse
        Between two rows.
    """

    plots: list[Plot]
    corners: list[RowHouse]

    @property
    def houses(self) -> list[RowHouse]:
        """All of them."""
        return [house for plot in self.plots for house in plot.houses] + self.corners


@dataclass(frozen=True)
class Row:
    """Where the houses along a side of a block stand.

    Attributes
    ----------
    side : Side
        The street's edge.
    ends : ((float, float), (float, float))
        The first and the last wall: how far along the side, and the slant in radians.
    depth : int
        Of its houses, about.
    reach : float
        How much deeper they may be in its middle.
    """

    side: Side
    ends: Ends
    depth: int
    reach: float

    @property
    def length(self) -> float:
        """From the first wall to the last one."""
        return self.ends[1][0] - self.ends[0][0]

    @property
    def has_room(self) -> bool:
        """Whether its walls stay well apart as they lead into the block."""
        (start, first), (stop, last) = self.ends
        narrowing = (self.depth + self.reach) * (math.tan(first) - math.tan(last))
        return stop - start > max(LEAST_ROW, -2 * narrowing)

    def wall(self, along: float) -> Wall:
        """The wall that begins somewhere along the side; its slant goes from end to end."""
        (start, first), (stop, last) = self.ends
        slant = first + (along - start) / (stop - start) * (last - first)
        return Wall(self.side.edge.at(along, 0, math.pi / 2 + slant), 1 / math.cos(slant))

    def limit(self, *along: float) -> float:
        """How deep a house between places of the side may be: less near the next row."""
        (start, _), (stop, _) = self.ends
        away = min(min(place - start, stop - place) for place in along)
        return self.depth + min(self.reach, 0.65 * away - 4)


def draw_block(piece: Piece, rng: np.random.Generator) -> Block | None:
    """Rows along all sides of a block, around a courtyard; None where there is no room for them.

    Parameters
    ----------
    piece : sequence of Corner
        The block; its sides are the fronts.
    rng : Generator
        What is drawn from.
    """
    skews = [turn - math.pi / 2 for turn in turns_of(piece)]
    is_built = [abs(skew) < SKEW and rng.random() < 0.94 for skew in skews]
    rows = _rows(piece, skews, is_built, rng)
    if not rows:
        return None
    looks = [draw_look(rng) for _ in rows]
    corners = [
        _corner_house(rows[number - 1], row, vary(looks[number], rng), rng)
        for number, row in enumerate(rows)
        if is_built[number]
    ]
    plots = [plot for row, look in zip(rows, looks, strict=True) for plot in _plots(row, look, rng)]
    return Block(plots, corners)


def _rows(
    piece: Piece, skews: Sequence[float], is_built: Sequence[bool], rng: np.random.Generator
) -> list[Row]:
    """The rows of a block, as deep as leaves it a courtyard; none where it is too small."""
    sides = sides_of(piece)
    for share in (1, 0.85, 0.7, 0.6):
        depths = [_even(share * rng.uniform(41, 63)) for _ in sides]
        ends = _ends(sides, skews, is_built, depths)
        for reach in (56, 40, 26, 14, 6):
            rows = [
                Row(side, end, depth, reach)
                for side, end, depth in zip(sides, ends, depths, strict=True)
            ]
            yard = draw_in(piece, [depth + reach for depth in depths])
            if has_all_sides(yard, piece) and all(row.has_room for row in rows):
                return rows
    return []


def _ends(
    sides: Sequence[Side], skews: Sequence[float], is_built: Sequence[bool], depths: Sequence[int]
) -> list[Ends]:
    """Where the first and the last wall of every row stand.

    Beside a house on the corner a wall runs along the other side; else it stands at right angles
    to its street, where the row is out of the way of the next one.
    """
    starts, stops = [], []
    for number, (skew, built) in enumerate(zip(skews, is_built, strict=True)):
        before, depth = depths[number - 1], depths[number]
        if built:
            starts.append((before / math.cos(skew), -skew))
            stops.append((depth / math.cos(skew), skew))
        else:
            gap = max(before, depth) * math.tan(max(math.pi / 4 + skew / 2, 0))
            starts.append((gap, 0.0))
            stops.append((gap, 0.0))
    return [
        (start, (side.length - gap, slant))
        for side, start, (gap, slant) in zip(sides, starts, [*stops[1:], stops[0]], strict=True)
    ]


def _corner_house(before: Row, after: Row, look: Look, rng: np.random.Generator) -> RowHouse:
    """The house between the last wall of a row and the first one of the next row."""
    last, first = before.wall(before.ends[1][0]), after.wall(after.ends[0][0])
    corner = Wall(after.side.edge, 1)
    quad = (corner.point(0), first.point(0), first.point(after.depth), last.point(0))
    if look.kind != "flat" and rng.random() < 0.5:
        look = Look("hip", look.material, look.tint, look.eave)
    runs = (
        Run(corner, 0, 0),
        Run(first, 0, after.depth),
        # It starts at the same corner; a house of the row before ends short of it.
        Run(last, before.depth - 1, 0, from_corner=False),
    )
    return RowHouse(runs, quad, None, look)


def _plots(row: Row, look: Look, rng: np.random.Generator) -> Iterator[Plot]:
    """The plots of a row: houses, now and then a passage or an open one."""
    kinds: list[str] = []
    widths: list[float] = []
    while sum(widths) < row.length - 16:
        kind = rng.choice(("house", "passage", "open"), p=(0.86, 0.08, 0.06))
        kinds.append(kind)
        widths.append(rng.uniform(7, 13) if kind == "passage" else rng.uniform(24, 46))
    stops = row.ends[0][0] + np.cumsum(widths) * (row.length / sum(widths))
    # The last wall is to the last digit that of the house on the corner.
    places = [row.ends[0][0], *stops[:-1].tolist(), row.ends[1][0]]
    for kind, (start, stop) in zip(kinds, pairwise(places), strict=True):
        left, right, limit = row.wall(start), row.wall(stop), row.limit(start, stop)
        houses: tuple[RowHouse, ...] = ()
        back = 0.0
        if kind == "house":
            houses, back = _houses(left, right, row.depth, limit, look, rng)
        elif kind == "passage":
            limit = 0
        yield Plot(left, right, houses, back, max(back, limit))


def _houses(
    left: Wall, right: Wall, depth: int, limit: float, look: Look, rng: np.random.Generator
) -> tuple[tuple[RowHouse, ...], float]:
    """A house between two walls, perhaps with a wing, or one behind it; how deep they are."""
    front = int(rng.choice((0, 2, 4), p=(0.7, 0.15, 0.15)))
    back = min(_even(max(depth + rng.normal(-2, 5), LEAST_DEPTH)), _even(limit - 1))
    room, more = limit - back, rng.random()
    own = vary(look, rng)
    if room > 24 and more < 0.5:
        end = back + _even(rng.uniform(20, min(room, 46) - 2))
        behind = vary(look, rng, lower=10)
        houses = (
            _house(left, right, front, (back, back), own),
            _house(left, right, back, (end, end), behind),
        )
        return houses, end
    if room > 12 and more < 0.75:
        end = back + _even(rng.uniform(8, min(room, 26) - 2))
        ends = (end, back) if rng.random() < 0.5 else (back, end)
        return (_house(left, right, front, ends, own),), end
    return (_house(left, right, front, (back, back), own),), back


def _house(
    left: Wall, right: Wall, front: float, ends: tuple[float, float], look: Look
) -> RowHouse:
    """A house from the depth of its front to those of its back on the left and the right."""
    outline, back, wing = [Run(right, front, ends[1])], min(ends), None
    if ends[0] != ends[1]:
        # Halfway between the two walls.
        (x0, y0), (x1, y1) = left.point(0), right.point(0)
        angle, stretch = (left.place.angle + right.place.angle) / 2, left.stretch + right.stretch
        middle = Wall(Axes((x0 + x1) / 2, (y0 + y1) / 2, angle), stretch / 2)
        outline.append(Run(middle, ends[1], ends[0]))
        walls = (left, middle) if ends[0] > ends[1] else (middle, right)
        wing = _quad(*walls, back, max(ends))
    outline.append(Run(left, ends[0], front))
    return RowHouse(tuple(outline), _quad(left, right, front, back), wing, look)


def _quad(left: Wall, right: Wall, start: float, stop: float) -> Quad:
    return left.point(start), right.point(start), right.point(stop), left.point(stop)


def _even(depth: float) -> int:
    """The nearest even depth, so that no two walls end a few centimetres apart."""
    return 2 * round(float(depth) / 2)


def footprints(houses: Sequence[RowHouse]) -> list[Polygon]:
    """What the houses cover; those with a wall in common have all corners on it in common."""
    corners: defaultdict[Wall, set[float]] = defaultdict(set)
    for house in houses:
        for run in house.outline:
            corners[run.wall] |= {run.start, run.stop} if run.from_corner else {run.stop}
    return [
        Polygon([run.wall.point(depth) for run in house.outline for depth in _along(run, corners)])
        for house in houses
    ]


def _along(run: Run, corners: dict[Wall, set[float]]) -> list[float]:
    """The depths of the corners on a run, in its direction."""
    low, high = sorted((run.start, run.stop))
    depths = [depth for depth in corners[run.wall] if low <= depth <= high]
    return sorted(depths, reverse=run.stop < run.start)


def common_walls(houses: Sequence[RowHouse]) -> Iterator[CommonWall]:
    """The walls that two houses have in common, one on either side."""
    sides: defaultdict[Wall, tuple[list[RowHouse], list[RowHouse]]] = defaultdict(lambda: ([], []))
    for house in houses:
        for run in house.outline:
            # Clockwise, a house on the left of a wall runs away from the street along it.
            sides[run.wall][run.start < run.stop].append(house)
    for wall, (right, left) in sides.items():
        for one, other in product(left, right):
            (a, b), (c, d) = _span(one, wall), _span(other, wall)
            if min(b, d) > max(a, c):
                yield CommonWall(wall, max(a, c), min(b, d), (one, other))


def _span(house: RowHouse, wall: Wall) -> tuple[float, float]:
    """From which depth to which a house stands at a wall."""
    run = next(run for run in house.outline if run.wall == wall)
    return min(run.start, run.stop), max(run.start, run.stop)
