"""Layout of the synthetic countryside: villages among fields, as plain geometry.

The world is cut into cells. A cell is a pure function of (size, seed, row, col): it draws its
roads, houses, fields and trees from random streams of its own, so a window of any scene needs no
more than the cells around it. A scene smaller than a cell shows a part of one, beside its main
street.

Coordinates are pixels, x to the right (columns) and y down (rows); heights are in pixels as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain, islice, pairwise

import numpy as np
import shapely
import shapely.affinity
from shapely import LineString, Point, Polygon
from shapely.ops import split, substring

from geofcn.synthetic.buildings import (
    Axes,
    House,
    Surface,
    Tree,
    bare_patch,
    car_park,
    draw_house,
    draw_plot,
    draw_tint,
    tennis_court,
)

LEAST_CELL = 1024  # least side of a cell
STRAY = 0.11  # how far a cell's corners stray from the lattice, share of its side
SLANT = 0.035  # how far the corners of a scene's ground slide, share of its side
HOUSE_SHARE = 0.091  # of a scene's pixels
LEAST_HOUSES = 4500  # pixels of houses, in however small a scene
STREET_SPACING = 235
VILLAGE = 0.34  # half the side of a village, share of its cell's

CROPS = ("meadow", "dark meadow", "mown meadow", "hay", "wheat", "soil", "potatoes", "vineyard")

Road = tuple[LineString, float]  # and half its width
Spot = tuple[float, float, float]  # x, y and radius of what may become a tree


@dataclass(frozen=True)
class Cell:
    """Everything in one cell of the countryside, drawn together.

    Attributes
    ----------
    houses : list of Polygon
        Footprints.
    surfaces : list of Surface
        All that has an area, the houses' roofs among them.
    bounds : (n, 4) array
        Of the surfaces: x0, y0, x1, y1.
    trees : list of Tree
        Their crowns.
    """

    houses: list[Polygon]
    surfaces: list[Surface]
    bounds: np.ndarray
    trees: list[Tree]


def count_of_cells(size: int, least: int = LEAST_CELL) -> int:
    """How many rows, and columns, of cells of a least side a scene of `size` pixels a side has.

    Examples
    --------
    >>> count_of_cells(600), count_of_cells(2048), count_of_cells(2100)
    (1, 2, 2)
    """
    return max(1, size // least)


def pitch(size: int, least: int = LEAST_CELL) -> float:
    """The side of a scene's cells in pixels: a whole number of them, or a part of one, makes it.

    Examples
    --------
    >>> pitch(2100), pitch(600)
    (1050.0, 1024.0)
    """
    return max(size, least) / count_of_cells(size, least)


def ground_corners(size: int) -> list[tuple[float, float]]:
    """Corners (x, y) of the slanted quadrilateral outside which a scene is blank, clockwise.

    Examples
    --------
    >>> ground_corners(1000)
    [(35.0, 0), (1000, 35.0), (965.0, 1000), (0, 965.0)]
    """
    slide = SLANT * size
    return [(slide, 0), (size, slide), (size - slide, size), (0, size - slide)]


@lru_cache(maxsize=64)
def cell(size: int, seed: int, row: int, col: int) -> Cell:
    """One cell of the scene of `size` pixels a side; only those inside the scene have houses.

    Parameters
    ----------
    size, seed : int
        Of the scene.
    row, col : int
        Of the cell, from 0 inside the scene; cells beside it have other numbers.
    """
    rng = random_stream(seed, 0, row, col)
    plan = _plan(size, seed, row, col)
    inside = 0 <= min(row, col) <= max(row, col) < count_of_cells(size)
    houses = _houses(plan, size, rng) if inside else []
    plan = replace(plan, roads=_used(plan.roads, houses))
    parcels = _parcels(plan, rng)
    surfaces = [*_paving(plan), *_extras(plan, houses, VILLAGE * pitch(size), rng)]
    surfaces += [_field(parcel, rng) for parcel in parcels]
    surfaces += chain.from_iterable([*house.surfaces, *draw_plot(house, rng)] for house in houses)
    return Cell(
        [house.footprint for house in houses],
        surfaces,
        shapely.bounds([surface.shape for surface in surfaces]),
        _trees(plan, houses, parcels, rng),
    )


def cells_near(size: int, seed: int, x0: float, y0: float, x1: float, y1: float) -> Iterator[Cell]:
    """The cells that may have something in a rectangle of the scene, row by row.

    Parameters
    ----------
    size, seed : int
        Of the scene.
    x0, y0, x1, y1 : float
        The rectangle, in pixels.
    """
    dx, dy = _origin(size, seed)
    side, overhang = pitch(size), STRAY * pitch(size) + 130
    cols = cells_between(x0 + dx, x1 + dx, side, overhang)
    for row in cells_between(y0 + dy, y1 + dy, side, overhang):
        for col in cols:
            yield cell(size, seed, row, col)


def cells_between(start: float, stop: float, side: float, overhang: float) -> range:
    """The rows, or columns, of cells that may reach between two coordinates of their world.

    Examples
    --------
    >>> cells_between(0, 100, side=100, overhang=20)
    range(-1, 2)
    """
    return range(math.floor((start - overhang) / side), math.floor((stop + overhang) / side) + 1)


def random_stream(*key: int) -> np.random.Generator:
    """The random stream of a key, such as the seed, a purpose, row and column."""
    return np.random.default_rng([part % 2**32 for part in key])


def _distance(a: Axes, b: Axes) -> float:
    """Between two origins."""
    return math.hypot(a.x - b.x, a.y - b.y)


# --- roads ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """Where a cell lies and where its roads run.

    Attributes
    ----------
    quad : Polygon
        The cell's ground; the quads of all cells cover the world without overlap.
    centre : Axes
        Of the village, its u axis along the main street.
    roads : list of (LineString, float)
        Lines with half their widths: main street, lane, then the village's side streets.
    """

    quad: Polygon
    centre: Axes
    roads: list[Road]


def _plan(size: int, seed: int, row: int, col: int) -> Plan:
    side, origin = pitch(size), _origin(size, seed)
    centre = _centre(size, origin, seed, row, col)
    nw, ne, sw, se = (
        (np.array([j, i]) + random_stream(seed, 2, i, j).uniform(-STRAY, STRAY, 2)) * side - origin
        for i in (row, row + 1)
        for j in (col, col + 1)
    )
    # A crossing belongs to the edge, so that the cells on both sides meet in it.
    west = _crossing(nw, sw, 0, random_stream(seed, 3, row, col))
    east = _crossing(ne, se, 0, random_stream(seed, 3, row, col + 1))
    north = _crossing(nw, ne, math.pi / 2, random_stream(seed, 4, row, col))
    south = _crossing(sw, se, math.pi / 2, random_stream(seed, 4, row + 1, col))
    main = _road(west, centre, east)
    lane = _road(north, centre.at(0, 0, math.pi / 2), south)
    streets = _side_streets(main, centre, VILLAGE * side, random_stream(seed, 5, row, col))
    return Plan(Polygon([nw, ne, se, sw]), centre, [(main, 15), (lane, 12), *streets])


@lru_cache
def _origin(size: int, seed: int) -> tuple[float, float]:
    """Where in its world a scene begins: small ones have a building plot in their middle."""
    if size >= LEAST_CELL:
        return 0.0, 0.0
    x, y = _centre(size, (0, 0), seed, 0, 0).point(92, 80)
    return x - size / 2, y - size / 2


def _centre(size: int, origin: tuple[float, float], seed: int, row: int, col: int) -> Axes:
    rng = random_stream(seed, 1, row, col)
    x, y = (np.array([col, row]) + 0.5 + rng.uniform(-0.05, 0.05, 2)) * pitch(size) - origin
    # A house that stands askew would not fit into the smallest scenes.
    return Axes(x, y, rng.uniform(-0.4, 0.4) * min(1, size / LEAST_CELL))


def _crossing(a: np.ndarray, b: np.ndarray, heading: float, rng: np.random.Generator) -> Axes:
    """Where, and in which direction, a road crosses the edge a-b."""
    x, y = a + rng.uniform(0.35, 0.65) * (b - a)
    return Axes(x, y, heading + rng.uniform(-0.3, 0.3))


def _road(*stops: Axes) -> LineString:
    """A smooth road (Hermite cubics) through places in their directions, prolonged a little."""
    t = np.linspace(0, 1, 17)[:, None]
    points = [stops[0].point(-4, 0)]
    for p, q in pairwise(stops):
        reach = _distance(p, q)
        bend = (t**3 - 2 * t**2 + t) * p.vector(reach, 0) + (t**3 - t**2) * q.vector(reach, 0)
        points += [*((p.x, p.y) + (3 * t**2 - 2 * t**3) * (q.x - p.x, q.y - p.y) + bend)][:-1]
    return LineString([*points, stops[-1].point(0, 0), stops[-1].point(4, 0)])


def _side_streets(
    main: LineString, centre: Axes, radius: float, rng: np.random.Generator
) -> Iterator[Road]:
    """Copies of the main street beside it, as far as the village reaches."""
    count = int(radius // STREET_SPACING)
    for number in [n for n in range(-count, count + 1) if n]:
        # As long as the village is wide there; the outermost ones keep some length.
        half = math.sqrt(radius**2 - (0.85 * STREET_SPACING * number) ** 2)
        piece = main.intersection(Point(centre.x, centre.y).buffer(half))
        if piece.geom_type == "LineString":
            piece = shapely.affinity.rotate(piece, rng.normal(0, 2.5), (centre.x, centre.y))
            x, y = centre.vector(0, STREET_SPACING * number)
            yield shapely.affinity.translate(piece, x, y), 10.5


def _used(roads: list[Road], houses: list[House]) -> list[Road]:
    """The through roads, and the side streets as far as they lead from the lane to a house."""
    doors = np.array([Point(house.place.x, house.place.y) for house in houses])
    lane, used = roads[1][0], list(roads[:2])
    for line, half in roads[2:]:
        near = doors[shapely.distance(line, doors) < 95]
        if near.size and line.intersects(lane):
            served = shapely.line_locate_point(line, [*near, line.intersection(lane)])
            used.append((substring(line, max(served.min() - 40, 0), served.max() + 40), half))
    return used


def _roadside(plan: Plan, rng: np.random.Generator) -> Iterator[Axes]:
    """Places for a house front on the streets' edges, v away from the street."""
    for line, half in plan.roads:
        for side in (1, -1):
            along = rng.uniform(10, 60)
            while along < line.length - 20:
                a, b = line.interpolate(along - 5), line.interpolate(along + 5)
                angle = math.atan2(side * (b.y - a.y), side * (b.x - a.x))
                yield Axes(a.x, a.y, angle).at(5 * side, half)
                along += rng.uniform(28, 44)


def _paving(plan: Plan) -> Iterator[Surface]:
    """Roads with kerbs and grass verges; the main street has a dashed centre line."""
    for line, half in plan.roads:
        for material, reach in (("verge", half + 9), ("kerb", half + 1.8), ("asphalt", half)):
            yield Surface(material, line.buffer(reach, quad_segs=4))
    main = plan.roads[0][0]
    for start in np.arange(8, main.length - 12, 36):
        dash = substring(main, start, start + 14)
        yield Surface("marking", dash.buffer(0.7, cap_style="flat"))


# --- houses -----------------------------------------------------------------------------------


def _houses(plan: Plan, size: int, rng: np.random.Generator) -> list[House]:
    """Houses on both sides of the streets, from the middle of the village outwards."""
    streets = shapely.union_all([line.buffer(half + 12) for line, half in plan.roads])
    ground = plan.quad.buffer(-8).intersection(Polygon(ground_corners(size)).buffer(-1))
    shapely.prepare([streets, ground])
    centre = plan.centre if size >= LEAST_CELL else Axes(size / 2, size / 2, 0)
    budget = max(HOUSE_SHARE * min(size, pitch(size)) ** 2, LEAST_HOUSES)
    houses: list[House] = []
    # One walk through the village is enough for all but the smallest scenes.
    for walk in range(500):
        if walk >= 30 and houses:
            break
        fronts = [edge.at(0, 62) for edge in _roadside(plan, rng)]
        fronts = [front for front in fronts if ground.contains(Point(front.x, front.y))]
        for front in sorted(fronts, key=lambda front: _distance(front, centre)):
            if budget < 1500:
                return houses
            if any(_distance(front, neighbour.place) < 58 for neighbour in houses):
                continue
            house, gap = draw_house(front.at(0, -62), rng), rng.uniform(9, 26)
            if (
                house.footprint.area < budget + 2000
                and ground.contains(house.footprint)
                and not streets.intersects(house.footprint)
                and not any(house.footprint.dwithin(built.footprint, gap) for built in houses)
            ):
                houses.append(house)
                budget -= house.footprint.area
    return houses


def _extras(
    plan: Plan, houses: list[House], radius: float, rng: np.random.Generator
) -> Iterator[Surface]:
    """A car park at a road, a tennis court and bare patches, where the ground is free."""
    taken = [house.footprint.buffer(16) for house in houses]
    taken += [line.buffer(half + 14) for line, half in plan.roads]

    def free(places: Iterable[Axes], a: float, b: float) -> Iterator[Axes]:
        for place in places:
            shape = place.box(-a, -b, a, b)
            if plan.quad.contains(shape) and not shapely.intersects(taken, shape).any():
                taken.append(shape)
                yield place

    def anywhere() -> Iterator[Axes]:
        for _ in range(20):
            u, v = radius * rng.uniform(-1.1, 1.1, 2)
            yield plan.centre.at(u, v, rng.choice((0, math.pi / 2)))

    roadside = [edge.at(0, 66) for edge in _roadside(plan, rng)]
    for place in islice(free((roadside[i] for i in rng.permutation(len(roadside))), 88, 50), 1):
        yield from car_park(place, rng)
    for place in islice(free(anywhere(), 96, 52), 1):
        yield from tennis_court(place)
    for place in islice(free(anywhere(), 40, 40), 4):
        yield bare_patch(place, rng.uniform(16, 32), rng)


# --- fields and trees -------------------------------------------------------------------------


def _parcels(plan: Plan, rng: np.random.Generator) -> list[Polygon]:
    """The quad cut along its two through roads, then across until the pieces are field-sized."""
    pieces = [plan.quad]
    for line, _ in plan.roads[:2]:
        pieces = [part for piece in pieces for part in split(piece, line).geoms]
    parcels = []
    while pieces:
        piece = pieces.pop()
        if piece.area < rng.uniform(40_000, 220_000):
            parcels.append(piece)
        else:
            place, length, width = _long_side(piece)
            cut = place.at(rng.uniform(0.35, 0.65) * length, 0, rng.normal(0, 0.06))
            line = LineString([cut.point(0, -2 * width), cut.point(0, 2 * width)])
            pieces += split(piece, line).geoms
    return parcels


def _long_side(piece: Polygon) -> tuple[Axes, float, float]:
    """A corner of the least rectangle around a parcel, u along its longer side; both lengths."""
    corners = np.array(piece.minimum_rotated_rectangle.exterior.coords)
    sides = np.diff(corners, axis=0)[:2]
    lengths = np.hypot(*sides.T)
    longer = int(np.argmax(lengths))
    x, y = sides[longer]
    x0, y0 = corners[longer]
    return Axes(x0, y0, math.atan2(y, x)), lengths[longer], lengths[1 - longer]


def _field(parcel: Polygon, rng: np.random.Generator) -> Surface:
    """A parcel under one crop, its rows along its longer side, with a margin of rough grass."""
    crop = rng.choice(CROPS, p=(0.2, 0.15, 0.14, 0.1, 0.13, 0.1, 0.09, 0.09))
    return Surface(crop, parcel.buffer(-rng.uniform(2, 5)), _long_side(parcel)[0], draw_tint(rng))


def _trees(
    plan: Plan, houses: list[House], parcels: list[Polygon], rng: np.random.Generator
) -> list[Tree]:
    """Garden trees, trees along a road and parcels, lone trees and small woods."""
    spots = np.array([*_garden_spots(houses, rng), *_parcel_spots(parcels, rng)]).reshape(-1, 3)
    radii = spots[:, 2]
    points = shapely.points(spots[:, :2])
    free = shapely.distance(points, plan.quad) == 0
    if houses:
        built = shapely.union_all([house.footprint for house in houses])
        free &= shapely.distance(points, built) > 0.8 * radii + 2
    for line, half in plan.roads:
        free &= shapely.distance(points, line) > half + 0.45 * radii + 3
    return [draw_tree(x, y, radius, rng) for x, y, radius in spots[free]]


def draw_tree(x: float, y: float, radius: float, rng: np.random.Generator) -> Tree:
    """A random tree whose crown has about a radius."""
    if rng.random() < 0.3:
        return Tree("needles", x, y, 0.8 * radius, min(3.7 * radius, 66), draw_tint(rng))
    return Tree("leaves", x, y, radius, rng.uniform(1.5, 2.2) * radius, draw_tint(rng))


def _garden_spots(houses: list[House], rng: np.random.Generator) -> Iterator[Spot]:
    """Bushes and trees around the houses."""
    for house in houses:
        (a, b), front = house.half, -house.half[1] - house.setback
        for _ in range(rng.integers(4, 11)):
            u, v = rng.uniform(-a - 26, a + 26), rng.uniform(front, b + 60)
            yield *house.place.point(u, v), rng.choice((rng.uniform(4, 8), rng.uniform(10, 25)))


def _parcel_spots(parcels: list[Polygon], rng: np.random.Generator) -> Iterator[Spot]:
    """A hedgerow, a small wood or lone trees in some of the parcels."""
    for parcel in parcels:
        kind, rim = rng.random(), parcel.exterior
        if kind < 0.45:  # along part of its rim
            start = rng.uniform(0, rim.length)
            for along in start + np.arange(0, rng.uniform(150, 500), rng.uniform(13, 36)):
                x, y = rim.interpolate(along % rim.length).coords[0] + rng.normal(0, 3, 2)
                yield x, y, rng.uniform(6, 19)
        elif kind < 0.55:  # around one of its corners
            reach = rng.uniform(70, 150)
            spots = np.stack(np.meshgrid(*[np.arange(-reach, reach, 19)] * 2), -1).reshape(-1, 2)
            spots += rng.normal(0, 5, spots.shape)
            for x, y in spots[np.hypot(*spots.T) < reach] + rim.coords[0]:
                yield x, y, rng.uniform(11, 20)
        elif kind < 0.85:  # anywhere
            x0, y0, x1, y1 = parcel.bounds
            for _ in range(rng.integers(1, 4)):
                yield rng.uniform(x0, x1), rng.uniform(y0, y1), rng.uniform(9, 20)
