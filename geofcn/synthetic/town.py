"""Layout of the synthetic town: blocks of row houses along streets and lanes, as plain geometry.

The world is cut into cells, as that of the countryside is: a cell is a pure function of (size,
seed, row, col), a convex piece of ground with a street along each side. Lanes cut it into blocks,
which row houses surround; at the edge of a large town some of them are villas in gardens. A scene
smaller than a cell shows a part of one, around two neighbours.

Coordinates are pixels, x to the right (columns) and y down (rows); heights are in pixels as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import count

import numpy as np
import shapely
from shapely import MultiPoint, Polygon

from geofcn.synthetic.buildings import (
    Axes,
    House,
    Surface,
    Tree,
    bare_patch,
    car,
    draw_house,
    draw_plot,
    draw_tint,
)
from geofcn.synthetic.countryside import (
    Cell,
    cells_between,
    count_of_cells,
    draw_tree,
    ground_corners,
    pitch,
    random_stream,
)
from geofcn.synthetic.pieces import Corner, Piece, cut, draw_in, has_all_sides, polygon_of, sides_of
from geofcn.synthetic.roofs import roof
from geofcn.synthetic.rows import (
    Block,
    Plot,
    RowHouse,
    common_walls,
    draw_block,
    footprints,
)

LEAST_CELL = 512  # least side of a cell
STRAY = 0.1  # how far a cell's corners stray from the warped lattice, share of its side
WARP = 0.2  # how far the lattice is warped, share of a cell's side
WAVE = 5.3  # from one crest of the warp to the next, in cells
PAVEMENT = 6  # width of a street's pavements

BASES = ("lawn", "dry lawn", "bare ground", "gravel")
YARDS = ("dry lawn", "lawn", "long grass", "bare ground", "gravel", "concrete", "paving")

# The ground of a block and its row houses; an open one has none.
Ground = tuple[Piece, Block | None]


@dataclass(frozen=True)
class Plan:
    """Where a cell lies and what is built on it.

    Attributes
    ----------
    ground : sequence of Corner
        Of the cell, up to the middle of the streets around it.
    blocks : list of (sequence of Corner, Block or None)
        Between its lanes: the ground of each, and the row houses there.
    has_villas : bool
        Whether villas stand on the blocks that have no row houses.
    """

    ground: Piece
    blocks: list[Ground]
    has_villas: bool


@lru_cache(maxsize=64)
def cell(size: int, seed: int, row: int, col: int) -> Cell:
    """One cell of the scene of `size` pixels a side, without houses that reach out of the scene.

    Parameters
    ----------
    size, seed : int
        Of the scene.
    row, col : int
        Of the cell, from 0 inside the scene; cells beside it have other numbers.
    """
    rng = random_stream(seed, 10, row, col)
    plan = _plan(size, _origin(size, seed), seed, row, col)
    scene = Polygon(ground_corners(size)).buffer(-1)
    shapely.prepare(scene)
    houses: list[Polygon] = []
    surfaces, trees = list(_streets(plan.ground, rng)), []
    for piece, block in plan.blocks:
        if block:
            shapes, parts = _row_houses(block, scene, rng)
            surfaces += _yards(piece, block.plots, rng)
        elif plan.has_villas:
            shapes, parts = _villas(piece, scene, rng)
        else:
            shapes, parts = [], list(_square(piece, rng))
        houses += shapes
        surfaces += parts
        trees += _trees(piece, shapes, rng)
    return Cell(houses, surfaces, shapely.bounds([part.shape for part in surfaces]), trees)


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
    side = pitch(size, LEAST_CELL)
    overhang = (STRAY + WARP) * side + 40
    cols = cells_between(x0 + dx, x1 + dx, side, overhang)
    for row in cells_between(y0 + dy, y1 + dy, side, overhang):
        for col in cols:
            yield cell(size, seed, row, col)


# --- plan -------------------------------------------------------------------------------------


def _plan(size: int, origin: tuple[float, float], seed: int, row: int, col: int) -> Plan:
    rng = random_stream(seed, 11, row, col)
    ground = _ground(size, origin, seed, row, col)
    last = count_of_cells(size, LEAST_CELL) - 1
    is_edge = last > 1 and not (0 < row < last and 0 < col < last)
    has_villas = is_edge and rng.random() < 0.3
    blocks: list[Ground] = []
    for piece in _pieces(ground, rng):
        block = draw_in(piece, [corner.street for corner in piece])
        if has_all_sides(block, piece):
            is_open = has_villas or rng.random() < 0.05
            blocks.append((block, None if is_open else draw_block(block, rng)))
    return Plan(ground, blocks, has_villas)


@lru_cache
def _origin(size: int, seed: int) -> tuple[float, float]:
    """Where in its world a scene begins: small ones have two neighbours in their middle."""
    if size >= LEAST_CELL:
        return 0.0, 0.0
    plans = (_plan(size, (0.0, 0.0), seed, 0, col) for col in count())
    blocks = (block for plan in plans for _, block in plan.blocks if block)
    pairs = next(filter(None, map(_neighbours, blocks)))
    boxes = shapely.bounds([MultiPoint([*one.quad, *other.quad]) for one, other in pairs])
    x0, y0, x1, y1 = boxes[np.argmin(np.max(boxes[:, 2:] - boxes[:, :2], axis=1))]
    return (x0 + x1 - size) / 2, (y0 + y1 - size) / 2


def _neighbours(block: Block) -> list[tuple[RowHouse, RowHouse]]:
    """All pairs of houses with a wall in common."""
    return [common.houses for common in common_walls(block.houses)]


def _ground(size: int, origin: tuple[float, float], seed: int, row: int, col: int) -> Piece:
    """The ground of a cell; a corner and a street belong to the world, not to one of its cells."""
    nw, ne, se, sw = (
        _crossing(seed, i, j) * pitch(size, LEAST_CELL) - origin
        for i, j in ((row, col), (row, col + 1), (row + 1, col + 1), (row + 1, col))
    )
    north, south = (random_stream(seed, 12, i, col).uniform(15, 27) for i in (row, row + 1))
    west, east = (random_stream(seed, 13, row, j).uniform(15, 27) for j in (col, col + 1))
    ring = ((nw, north), (ne, east), (se, south), (sw, west))
    return [Corner(x, y, street) for (x, y), street in ring]


def _crossing(seed: int, row: int, col: int) -> np.ndarray:
    """A node (x, y) of the lattice of streets, in cells."""
    phases = random_stream(seed, 14).uniform(0, 2 * math.pi, 2)
    warp = WARP * np.sin(2 * math.pi / WAVE * np.array([row, col]) + phases)
    return np.array([col, row]) + warp + random_stream(seed, 15, row, col).uniform(-STRAY, STRAY, 2)


def _pieces(ground: Piece, rng: np.random.Generator) -> Iterator[Piece]:
    """The ground of a cell cut along lanes until the pieces are as large as a block."""
    pieces = [ground]
    while pieces:
        piece = pieces.pop()
        if polygon_of(piece).area < rng.uniform(65_000, 105_000):
            yield piece
        else:
            longest = int(np.argmax([side.length for side in sides_of(piece)]))
            shares = rng.uniform(0.4, 0.6), rng.uniform(0.4, 0.6)
            pieces += cut(piece, longest, shares, rng.uniform(6, 10))


def _streets(ground: Piece, rng: np.random.Generator) -> Iterator[Surface]:
    """Cobbles for a cell's lanes; its half of the streets around it, with parked cars."""
    pavement = draw_in(ground, [corner.street - PAVEMENT for corner in ground])
    fronts = draw_in(ground, [corner.street for corner in ground])
    whole, raised = polygon_of(ground), polygon_of(pavement)
    yield Surface("cobbles", whole)
    yield Surface("asphalt", whole.difference(raised))
    yield Surface("paving", raised.difference(polygon_of(fronts)))
    yield Surface("kerb", raised.difference(raised.buffer(-1.8, join_style="mitre")))
    for side in sides_of(pavement):
        for along in np.arange(30, side.length - 30, 27):
            if rng.random() < 0.3:
                yield from car(side.edge.at(along, -7, rng.normal(0, 0.03)), rng)


# --- blocks -----------------------------------------------------------------------------------


def _row_houses(
    block: Block, scene: Polygon, rng: np.random.Generator
) -> tuple[list[Polygon], list[Surface]]:
    """The footprints of a block's houses inside the scene, and their roofs."""
    shapes, built = [], []
    surfaces: list[Surface] = []
    for house, shape in zip(block.houses, footprints(block.houses), strict=True):
        if scene.contains(shape):
            shapes.append(shape)
            built.append(house)
            surfaces += roof(shape, house.quad, house.wing, house.look, rng)
    surfaces += _party_walls(built, rng)
    return shapes, surfaces


def _party_walls(houses: Sequence[RowHouse], rng: np.random.Generator) -> Iterator[Surface]:
    """Most of the walls between houses, as far as they stand out from the roofs."""
    for common in common_walls(houses):
        if rng.random() < 0.65:
            half, stretch = rng.uniform(0.7, 1.4), common.wall.stretch
            box = common.wall.place.box(stretch * common.start, -half, stretch * common.stop, half)
            height = 4 + max(house.look.eave for house in common.houses)
            yield Surface("party wall", box, tint=draw_tint(rng), height=height)


def _yards(piece: Piece, plots: Sequence[Plot], rng: np.random.Generator) -> Iterator[Surface]:
    """What is on the ground around row houses: yards, low walls, cars and ruins."""
    yield Surface(rng.choice(BASES), polygon_of(piece), tint=draw_tint(rng))
    for plot in plots:
        shape, (x, y) = Polygon(plot.free), plot.left.point(plot.start)
        if shape.area < 150:
            continue
        place = Axes(x, y, plot.left.place.angle - math.pi / 2)
        yield Surface(rng.choice(YARDS), shape, place, draw_tint(rng))
        fate = rng.random()
        if not plot.houses and fate < 0.4:
            ruin = shape.boundary.buffer(1.6, join_style="mitre")
            yield Surface("party wall", ruin, tint=draw_tint(rng), height=rng.uniform(5, 16))
        elif fate < 0.25:
            middle = shape.centroid
            yield from car(Axes(middle.x, middle.y, plot.left.place.angle), rng)
        elif fate < 0.5:
            stretch = plot.left.stretch
            fence = plot.left.place.box(stretch * plot.start, -0.8, stretch * plot.stop, 0.8)
            yield Surface("party wall", fence, tint=draw_tint(rng), height=6)


def _villas(
    piece: Piece, scene: Polygon, rng: np.random.Generator
) -> tuple[list[Polygon], list[Surface]]:
    """Detached houses along the sides of a block, in gardens; their footprints and all else."""
    ground, houses = polygon_of(piece), list[House]()
    for side in sides_of(piece):
        along = rng.uniform(50, 70)
        while along < side.length - 50:
            house = draw_house(side.edge.at(along, 0), rng)
            shape = house.footprint
            if (
                scene.contains(shape)
                and ground.contains(shape)
                and not any(shape.dwithin(other.footprint, 14) for other in houses)
            ):
                houses.append(house)
            along += rng.uniform(95, 135)
    surfaces = [Surface(rng.choice(BASES[:2]), ground, tint=draw_tint(rng))]
    for house in houses:
        surfaces += house.surfaces
        for part in draw_plot(house, rng):
            shape = part.shape.intersection(ground)
            if shape.geom_type == "Polygon" and not shape.is_empty:
                surfaces.append(replace(part, shape=shape))
    return [house.footprint for house in houses], surfaces


def _square(piece: Piece, rng: np.random.Generator) -> Iterator[Surface]:
    """A square with parked cars, or a small park."""
    ground = polygon_of(piece)
    yield Surface(rng.choice(("paving", "lawn", "gravel")), ground, tint=draw_tint(rng))
    inner = ground.buffer(-24)
    for side in sides_of(piece):
        for along in np.arange(40, side.length - 40, 15):
            if rng.random() < 0.25:
                yield from car(side.edge.at(along, 16, math.pi / 2), rng)
    if not inner.is_empty:
        yield bare_patch(Axes(inner.centroid.x, inner.centroid.y, 0), rng.uniform(8, 16), rng)


def _trees(piece: Piece, houses: Sequence[Polygon], rng: np.random.Generator) -> list[Tree]:
    """Trees and bushes where a block is not built on."""
    ground = polygon_of(piece)
    x0, y0, x1, y1 = ground.bounds
    number = int(ground.area / 1100)
    spots = rng.uniform((x0, y0), (x1, y1), (number, 2))
    radii = rng.uniform(3, 15, number)
    points = shapely.points(spots)
    free = shapely.contains(ground, points)
    if houses:
        free &= shapely.distance(points, shapely.union_all(houses)) > 0.7 * radii + 2
    trees = np.column_stack((spots, radii))[free]
    return [draw_tree(x, y, radius, rng) for x, y, radius in trees]
