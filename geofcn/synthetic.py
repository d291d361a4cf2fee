"""A made-up aerial photograph of villages in farmland, with its house labels known exactly.

The scene is a pure function of (size, seed). The world is cut into cells; each cell draws its
roads, houses, fields and trees from its own random stream, and textures are hashes of the world's
pixel coordinates. So any window is painted from the cells that touch it, in memory that depends on
the window alone, and two windows agree on the pixels they share.

Everything but a tree is a `Surface`: a polygon with a coat of paint and a height. A window is
painted in five steps: burn the surfaces' numbers, look up colours and heights, raise the trees,
cast the sun's shadows over the height field, and pass the result through a camera.

Coordinates are pixels, x to the right (columns) and y down (rows); heights are in pixels as well.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
import shapely
import shapely.affinity
from rasterio.crs import CRS
from rasterio.features import rasterize
from rasterio.transform import Affine
from shapely import LineString, Polygon
from shapely.ops import split, substring

from geofcn import rasterout, vectorout
from geofcn.errors import OutputError, UsageError
from geofcn.grid import Window, blocks
from geofcn.progress import Progress, silent

GROUND_RESOLUTION = 0.2  # metres
LEAST_SIZE = 384  # pixels a side: room for a house between the roads
CELL = 1024  # least side of a cell, pixels
HOUSE_SHARE = 0.091  # of a cell's pixels; the blank collar costs large scenes a little of it
STREET_SPACING = 235  # pixels
SLANT = 0.035  # how far the valid quadrilateral's corners slide, share of the scene's side

# Sunwards the ground path goes one column for every two rows; a ray climbs by SUN_RISE a row.
SUN = np.array([1.0, 2.0]) / math.sqrt(5)
SUN_SLOPE = 1.05
SUN_RISE = SUN_SLOPE * math.sqrt(5) / 2
SHADOW_STEPS = (1, 2, 4, 8, 16, 32)  # rows
SHADOW_TINT = (0.27, 0.34, 0.41)

OVERHANG = 0.11  # how far a cell's corners stray from the lattice, share of its side

Colour = tuple[float, float, float]
Road = tuple[LineString, float]


class Layer(IntEnum):
    """Which surface hides which."""

    FIELD = 0
    TRACK = 1
    LOT = 2
    PATCH = 3
    HEDGE = 4
    VERGE = 5
    ROAD = 6
    PAVED = 7
    MARK = 8
    ROOF = 9
    RIDGE = 10
    FITTING = 11
    CAR = 12
    WINDSCREEN = 13


@dataclass(frozen=True)
class Coat:
    """How a surface looks: `colour`, crossed by rows of `rows` every `period` pixels.

    mottle  strength of the patches of several metres
    grain   strength of the texture of a few pixels
    crest   height of the rows (of the whole surface where it has none); vegetation if > 0
    """

    colour: Colour
    rows: Colour | None = None
    period: float = 0
    mottle: float = 0.1
    grain: float = 0.06
    crest: float = 0


@dataclass(frozen=True)
class Surface:
    """A polygon, its coat and its height: `height + rise * t`.

    t, which also counts the coat's rows, is the distance from the line through `origin` normal to
    `axis` (a unit vector).
    """

    layer: Layer
    shape: Polygon
    coat: Coat
    origin: tuple[float, float] = (0, 0)
    axis: tuple[float, float] = (0, 1)
    height: float = 0
    rise: float = 0

    def record(self) -> tuple[float, ...]:
        """The surface's line in the look-up table, see COLUMNS."""
        coat = self.coat
        light = _lambert(self.axis, self.rise)
        colour = [light * value for value in coat.colour]
        rows = [light * value for value in coat.rows or coat.colour]
        offset = -(self.origin[0] * self.axis[0] + self.origin[1] * self.axis[1])
        frequency = 1 / coat.period if coat.period else 0
        return (
            *(*colour, *rows, *self.axis, offset, frequency),
            *(self.height, self.rise, coat.crest, coat.mottle, coat.grain, coat.crest > 0),
        )


COLUMNS = (
    *("red", "green", "blue", "rows_red", "rows_green", "rows_blue", "axis_x", "axis_y", "offset"),
    *("frequency", "height", "rise", "crest", "mottle", "grain", "foliage"),
)


@dataclass(frozen=True)
class Tree:
    """A crown: round, or a cone for a conifer."""

    x: float
    y: float
    radius: float
    height: float
    conifer: bool
    colour: Colour

    def record(self) -> tuple[float, ...]:
        """The tree's line in the look-up table, see COLUMNS."""
        return *self.colour, *self.colour, 0, 0, 0, 0, 0, 0, 0, 0.12, 0.15, 1


@dataclass(frozen=True)
class Frame:
    """A local frame: u along `angle` (radians, clockwise as y points down), v to the right of u."""

    x: float
    y: float
    angle: float

    def vector(self, u: float, v: float) -> tuple[float, float]:
        """A direction of the frame as (x, y)."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return u * cos - v * sin, u * sin + v * cos

    def point(self, u: float, v: float) -> tuple[float, float]:
        """A place of the frame as (x, y)."""
        x, y = self.vector(u, v)
        return self.x + x, self.y + y

    def polygon(self, points: Iterable[tuple[float, float]]) -> Polygon:
        """The polygon through places of the frame."""
        return Polygon([self.point(u, v) for u, v in points])

    def box(self, u0: float, v0: float, u1: float, v1: float) -> Polygon:
        """The rectangle between two opposite corners."""
        return self.polygon([(u0, v0), (u1, v0), (u1, v1), (u0, v1)])

    def at(self, u: float, v: float, turn: float = 0) -> Frame:
        """The frame moved to a place of its own, and turned."""
        return Frame(*self.point(u, v), self.angle + turn)


# Paint. Named colours are what the surfaces look like in full sun on level ground.
VERGE = Coat((132, 138, 88), mottle=0.22, grain=0.16)
ASPHALT = Coat((152, 152, 150), mottle=0.05, grain=0.03)
KERB = Coat((186, 183, 174), mottle=0.06, grain=0.05)
GRAVEL = Coat((190, 180, 160), mottle=0.12, grain=0.06)
PAVING = Coat((182, 168, 152), rows=(170, 156, 142), period=4, mottle=0.08, grain=0.04)
WHITE = Coat((228, 228, 224), mottle=0.02, grain=0.02)
WATER = Coat((56, 176, 206), rows=(66, 188, 214), period=9, mottle=0.04, grain=0.02)
CLAY = Coat((178, 112, 86), mottle=0.05, grain=0.02)
HEDGE = Coat((78, 98, 60), mottle=0.15, grain=0.2, crest=9)
GLASS = Coat((38, 46, 58), mottle=0.02, grain=0.02)
SOLAR = Coat((40, 58, 96), rows=(70, 88, 124), period=8, mottle=0.02, grain=0.02)
TRAMLINE = Coat((150, 136, 100), mottle=0.15, grain=0.12)

ROUGH_GRASS = Coat((124, 136, 82), mottle=0.2, grain=0.14)

LAWNS = (
    Coat((122, 144, 84), mottle=0.18, grain=0.12),
    Coat((110, 134, 80), mottle=0.18, grain=0.12),
    Coat((138, 146, 92), mottle=0.26, grain=0.13),
    Coat((156, 148, 106), mottle=0.26, grain=0.13),
    Coat((104, 126, 76), mottle=0.16, grain=0.14),
)
FIELDS = (
    Coat((114, 144, 80), mottle=0.15, grain=0.10),
    Coat((102, 132, 76), mottle=0.15, grain=0.11),
    Coat((124, 146, 86), rows=(136, 154, 94), period=34, mottle=0.16, grain=0.10),
    Coat((160, 160, 106), rows=(142, 150, 92), period=22, mottle=0.18, grain=0.09),
    Coat((194, 180, 136), rows=(182, 166, 120), period=6, mottle=0.10, grain=0.08),
    Coat((150, 122, 94), rows=(132, 104, 80), period=7, mottle=0.16, grain=0.10),
    Coat((110, 90, 68), rows=(72, 108, 54), period=8, mottle=0.12, grain=0.10, crest=3),
    Coat((138, 126, 88), rows=(84, 116, 62), period=17, mottle=0.15, grain=0.14, crest=14),
)
TRAMLINED = FIELDS[4:6]
BARE = (
    Coat((158, 128, 102), mottle=0.14, grain=0.08),
    Coat((176, 156, 128), mottle=0.12, grain=0.08),
    Coat((142, 104, 80), mottle=0.14, grain=0.08),
)
ROOFS = (
    *[Coat((176, 116, 90), rows=(162, 104, 80), period=4, mottle=0.12, grain=0.08)] * 3,
    *[Coat((160, 128, 104), rows=(146, 115, 93), period=4, mottle=0.16, grain=0.10)] * 2,
    Coat((128, 98, 84), rows=(116, 88, 76), period=4, mottle=0.12, grain=0.08),
    *[Coat((88, 88, 92), rows=(80, 80, 85), period=4, mottle=0.08, grain=0.06)] * 2,
    *[Coat((176, 170, 158), rows=(168, 161, 149), period=5, mottle=0.09, grain=0.05)] * 2,
    Coat((128, 148, 164), rows=(116, 136, 152), period=5, mottle=0.06, grain=0.03),
)
FLAT_ROOFS = (
    Coat((170, 166, 158), mottle=0.12, grain=0.06),
    Coat((122, 120, 118), mottle=0.12, grain=0.06),
    Coat((200, 198, 190), mottle=0.10, grain=0.04),
    Coat((128, 130, 96), mottle=0.22, grain=0.10),
)
CARS = (
    (216, 216, 214),
    (62, 64, 70),
    (158, 162, 168),
    (136, 44, 40),
    (52, 74, 118),
    (196, 190, 176),
)
LEAVES = ((84, 106, 62), (74, 98, 58), (96, 114, 66), (68, 88, 58), (106, 114, 70))
NEEDLES = ((52, 76, 56), (58, 80, 52), (46, 68, 50))


def _rng(*key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence([part % 2**32 for part in key]))


def _pick(rng: np.random.Generator, options):
    return options[rng.integers(len(options))]


def _tinted(coat: Coat, rng: np.random.Generator, spread: float = 0.06) -> Coat:
    """The coat a little lighter or darker, warmer or colder."""
    factors = 1 + rng.normal(0, spread) + rng.normal(0, spread / 4, 3)
    colour = tuple(factors * coat.colour)
    return replace(coat, colour=colour, rows=coat.rows and tuple(factors * coat.rows))


def _lambert(axis: tuple[float, float], rise: float) -> float:
    """Light on a plane that rises along `axis`, relative to level ground; a third is sky light."""
    towards = float(np.dot(axis, SUN))
    direct = max(0, 1 - rise * towards / SUN_SLOPE) / math.hypot(1, rise)
    return 0.3 + 0.7 * direct


def _valid_corners(size: int) -> list[tuple[float, float]]:
    """The slanted quadrilateral outside which the scene is blank."""
    slide = SLANT * size
    return [(slide, 0), (size, slide), (size - slide, size), (0, size - slide)]


# --- the plan of a cell: corners, roads, plots ------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """Where a cell lies and where its roads run.

    quad    the cell's ground; the quads of all cells cover the world without overlap
    centre  of the village, its u axis along the main street
    roads   (line, half width): through roads first, then the village's side streets
    """

    quad: Polygon
    centre: Frame
    roads: list[Road]


def _plan(pitch: float, seed: int, row: int, col: int) -> Plan:
    rng = _rng(seed, 1, row, col)
    corner = {
        (i, j): (
            np.array([col + j, row + i])
            + _rng(seed, 2, row + i, col + j).uniform(-OVERHANG, OVERHANG, 2)
        )
        * pitch
        for i in (0, 1)
        for j in (0, 1)
    }
    quad = Polygon([corner[0, 0], corner[0, 1], corner[1, 1], corner[1, 0]])
    middle = (np.array([col, row]) + 0.5 + rng.uniform(-0.05, 0.05, 2)) * pitch
    centre = Frame(*middle, rng.uniform(-0.4, 0.4))
    # A crossing belongs to the edge, so that the cells on both sides meet in it.
    west = _crossing(corner[0, 0], corner[1, 0], _rng(seed, 3, row, col))
    east = _crossing(corner[0, 1], corner[1, 1], _rng(seed, 3, row, col + 1))
    north = _crossing(corner[0, 0], corner[0, 1], _rng(seed, 4, row, col))
    south = _crossing(corner[1, 0], corner[1, 1], _rng(seed, 4, row + 1, col))
    across = replace(centre, angle=centre.angle + math.pi / 2 + rng.uniform(-0.15, 0.15))
    main = _road(west, centre, east, 0)
    lane = _road(north, across, south, math.pi / 2)
    return Plan(quad, centre, [(main, 15), (lane, 12), *_side_streets(main, centre, pitch, rng)])


def _crossing(a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Where a road crosses the edge a-b, and by how much it slants there (radians)."""
    return a + rng.uniform(0.35, 0.65) * (b - a), rng.uniform(-0.3, 0.3)


def _road(start, through: Frame, end, heading: float) -> LineString:
    """A smooth road from crossing to crossing, prolonged a little over both edges."""
    middle = np.array([through.x, through.y])
    inner = np.array(through.vector(1, 0))
    directions = [
        np.array([math.cos(heading + slant), math.sin(heading + slant)])
        for slant in (start[1], end[1])
    ]
    first = _hermite(start[0], directions[0], middle, inner)
    second = _hermite(middle, inner, end[0], directions[1])
    return LineString(
        [start[0] - 4 * directions[0], *first, *second[1:], end[0] + 4 * directions[1]]
    )


def _hermite(p, p_direction, q, q_direction) -> np.ndarray:
    """Points (17, 2) of the cubic from p to q that leaves and arrives in the given directions."""
    t = np.linspace(0, 1, 17)[:, None]
    reach = np.linalg.norm(q - p)
    return (
        (2 * t**3 - 3 * t**2 + 1) * p
        + (t**3 - 2 * t**2 + t) * reach * p_direction
        + (3 * t**2 - 2 * t**3) * q
        + (t**3 - t**2) * reach * q_direction
    )


def _village_radius(pitch: float) -> float:
    """Half the side of a village in which houses take a quarter of the ground."""
    return 0.56 * pitch * math.sqrt(HOUSE_SHARE / 0.25)


def _side_streets(main: LineString, centre: Frame, pitch: float, rng) -> Iterator[Road]:
    """Copies of the main street beside it, as far as the village reaches."""
    radius = _village_radius(pitch)
    count = int(radius // STREET_SPACING)
    for number in [n for n in range(-count, count + 1) if n]:
        # As long as the village is wide there; the outermost ones keep some length.
        half = math.sqrt(radius**2 - (0.85 * STREET_SPACING * number) ** 2)
        piece = shapely.intersection(main, shapely.Point(centre.x, centre.y).buffer(half))
        if piece.geom_type == "LineString":
            x, y = centre.vector(0, STREET_SPACING * number)
            piece = shapely.affinity.rotate(piece, rng.normal(0, 2.5), (centre.x, centre.y))
            yield shapely.affinity.translate(piece, x, y), rng.uniform(9, 12)


# --- houses -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class House:
    """A house on its lot. In `frame` u runs along the street and v away from it."""

    frame: Frame
    half: tuple[float, float]
    setback: float
    footprint: Polygon
    surfaces: list[Surface]


def _houses(plan: Plan, size: int, pitch: float, rng: np.random.Generator) -> list[House]:
    """Houses on both sides of the streets, from the village's centre outwards."""
    streets = shapely.union_all([line.buffer(half + 12) for line, half in plan.roads])
    ground = plan.quad.buffer(-8).intersection(Polygon(_valid_corners(size)).buffer(-1))
    shapely.prepare([streets, ground])
    places = [place for line, half in plan.roads for place in _places(line, half, rng)]
    places.sort(
        key=lambda place: math.hypot(place[0].x - plan.centre.x, place[0].y - plan.centre.y)
    )
    houses: list[House] = []
    budget = HOUSE_SHARE * pitch**2
    for street, setback in places:
        x, y = street.point(0, setback + 32)
        if any(math.hypot(x - other.frame.x, y - other.frame.y) < 58 for other in houses):
            continue
        house = _house(street, setback, rng)
        gap = rng.uniform(9, 26)
        if (
            house.footprint.area < budget + 2000
            and ground.contains(house.footprint)
            and not streets.intersects(house.footprint)
            and not any(house.footprint.dwithin(other.footprint, gap) for other in houses)
        ):
            houses.append(house)
            budget -= house.footprint.area
        if budget < 1500:
            break
    return houses


def _used(roads: list[Road], houses: list[House]) -> list[Road]:
    """The through roads, and the side streets as far as they lead from the lane to a house."""
    doors = np.array([shapely.Point(house.frame.x, house.frame.y) for house in houses])
    lane, used = roads[1][0], list(roads[:2])
    for line, half in roads[2:]:
        near = doors[shapely.distance(line, doors) < 95]
        if near.size and line.intersects(lane):
            served = shapely.line_locate_point(line, [*near, line.intersection(lane)])
            used.append((substring(line, max(served.min() - 40, 0), served.max() + 40), half))
    return used


def _places(line: LineString, half: float, rng) -> Iterator[tuple[Frame, float]]:
    """(frame on the street's edge with v away from the street, setback) for every house front."""
    for side in (1, -1):
        along = rng.uniform(10, 60)
        while along < line.length - 20:
            a, b = line.interpolate(along - 5), line.interpolate(along + 5)
            angle = math.atan2(side * (b.y - a.y), side * (b.x - a.x))
            edge = Frame(a.x, a.y, angle).at(5 * side, half)
            yield edge, rng.uniform(22, 44)
            along += rng.uniform(28, 44)


def _house(street: Frame, setback: float, rng: np.random.Generator) -> House:
    """A house of any kind, `setback` from the street's edge."""
    a, b = rng.uniform(32, 52), rng.uniform(25, 38)
    kind = rng.choice(["gable", "hip", "winged", "flat", "barn"], p=[0.42, 0.12, 0.26, 0.12, 0.08])
    if kind == "barn":
        a, b = rng.uniform(54, 72), rng.uniform(30, 38)
    frame = street.at(0, setback + b, rng.normal(0, 0.06))
    if kind != "barn" and a < 1.35 * b and rng.random() < 0.5:
        # The ridge at right angles to the street; the lot keeps the street's frame.
        roof = replace(frame, angle=frame.angle + math.pi / 2)
        half = (b, a)
    else:
        roof, half = frame, (a, b)
    if kind == "flat":
        footprint, surfaces = _flat_house(roof, half, rng)
    else:
        footprint, surfaces = _pitched_house(roof, half, kind, rng)
    return House(frame, (a, b), setback, footprint, surfaces)


def _outline(frame: Frame, *boxes: tuple[float, float, float, float]) -> Polygon:
    """The union of rectangles (u0, v0, u1, v1), without needless corners."""
    union = shapely.union_all([shapely.box(*box) for box in boxes])
    return frame.polygon(union.simplify(1e-6).exterior.coords[:-1])


def _pitched_house(frame: Frame, half, kind: str, rng) -> tuple[Polygon, list[Surface]]:
    """A gabled or hipped roof, for "winged" with a lower wing at one of its long sides."""
    a, b = half
    coat = _tinted(_pick(rng, ROOFS), rng)
    eave, rise = rng.uniform(22, 34), rng.uniform(0.35, 0.62)
    hip = min(b, a - 4) * rng.uniform(0.7, 1) if kind == "hip" else 0
    boxes = [(-a, -b, a, b)]
    surfaces = _roof(frame, a, b, hip, eave, rise, coat)
    if kind == "winged":
        c, d = min(a, b) * rng.uniform(0.5, 0.75), rng.uniform(20, 34)
        side, share = rng.choice((-1, 1)), rng.choice((-1, 1, rng.uniform(-0.8, 0.8)))
        middle = share * (a - c)
        boxes.append((middle - c, side * b, middle + c, side * (b + d)))
        surfaces += _wing(
            frame.at(middle, side * b, (1 - side) * math.pi / 2), c, d, eave, rise, coat
        )
    return _outline(frame, *boxes), surfaces + _fittings(frame, a, b, hip, eave, rise, rng)


def _roof(frame: Frame, a, b, hip, eave, rise, coat) -> list[Surface]:
    """The faces and the ridge of a roof over 2a x 2b, ridge along u.

    `hip` is how far the ridge ends before the short sides: 0 makes gables.
    """
    surfaces = []
    for turn, along, deep, inset in ((0, a, b, hip), (math.pi / 2, b, a, b)):
        for side in (frame.at(0, 0, turn), frame.at(0, 0, turn + math.pi)):
            if turn and not hip:
                continue
            # A face between its eave at v = -deep and the ridge, or the ridge's end.
            inner = 0 if not turn else hip - a
            points = [
                (-along, -deep),
                (along, -deep),
                (along - inset, inner),
                (inset - along, inner),
            ]
            slope = rise if not turn else rise * b / hip
            surfaces.append(_face(side, points, (0, -deep), (0, 1), eave, slope, coat))
    ridge = frame.box(hip - a, -1.1, a - hip, 1.1)
    bright = replace(coat, colour=tuple(1.14 * np.array(coat.colour)), rows=None)
    return [*surfaces, Surface(Layer.RIDGE, ridge, bright, height=eave + rise * b + 0.5)]


def _face(frame: Frame, points, eave, inward, height, rise, coat) -> Surface:
    return Surface(
        Layer.ROOF,
        frame.polygon(points),
        coat,
        frame.point(*eave),
        frame.vector(*inward),
        height,
        rise,
    )


def _wing(frame: Frame, c, d, eave, rise, coat) -> list[Surface]:
    """A wing from v = 0, the house's eave, to v = d; its ridge dies in the house's roof."""
    left = [(-c, 0), (-c, d), (0, d), (0, -c)]
    right = [(c, 0), (c, d), (0, d), (0, -c)]
    return [
        _face(frame, left, (-c, 0), (1, 0), eave, rise, coat),
        _face(frame, right, (c, 0), (-1, 0), eave, rise, coat),
    ]


def _fittings(frame: Frame, a, b, hip, eave, rise, rng) -> list[Surface]:
    """Chimneys, skylights and now and then a field of solar cells."""
    things = []
    for _ in range(rng.integers(1, 4)):
        u = rng.uniform(-1, 1) * max(a - hip - 8, 4)
        v = rng.uniform(-0.6, 0.6) * b
        top = eave + rise * (b - abs(v))
        brick = Coat(_pick(rng, ((150, 110, 90), (190, 186, 178), (84, 80, 78))))
        things.append(
            Surface(Layer.FITTING, frame.box(u - 2, v - 2.5, u + 2, v + 2.5), brick, height=top + 8)
        )
    side = frame if np.dot(frame.vector(0, -1), SUN) > 0 else frame.at(0, 0, math.pi)
    if rng.random() < 0.14 and a - hip > 24:
        panel = side.box(12 - a + hip, 5 - b, rng.uniform(0, a - hip - 8), -0.3 * b)
        place = {"origin": side.point(0, -b), "axis": side.vector(0, 1)}
        things.append(Surface(Layer.FITTING, panel, SOLAR, **place, height=eave + 1, rise=rise))
    elif rng.random() < 0.4:
        for u in np.arange(hip - a + 14, a - hip - 12, rng.uniform(18, 30)):
            window = side.box(u, -0.6 * b, u + 4, 7 - 0.6 * b)
            things.append(Surface(Layer.FITTING, window, GLASS, height=eave + rise * 0.4 * b))
    return things


def _flat_house(frame: Frame, half, rng) -> tuple[Polygon, list[Surface]]:
    """A flat roof with a parapet, a stair house or chimneys; sometimes an L."""
    a, b = half
    coat = _tinted(_pick(rng, FLAT_ROOFS), rng)
    top = rng.uniform(26, 48)
    boxes = [(-a, -b, a, b)]
    if rng.random() < 0.5:
        boxes.append((-a, b, rng.uniform(-0.3, 0.2) * a, b + rng.uniform(16, 30)))
    outline = _outline(frame, *boxes)
    rim = replace(coat, colour=tuple(np.minimum(1.18 * np.array(coat.colour), 225)))
    surfaces = [
        Surface(Layer.ROOF, outline, rim, height=top + 3),
        Surface(Layer.RIDGE, outline.buffer(-2.2, join_style="mitre"), coat, height=top),
    ]
    for _ in range(rng.integers(2, 6)):
        place = frame.at(rng.uniform(-0.8, 0.8) * a, rng.uniform(-0.75, 0.75) * b)
        u, v = rng.uniform(1.5, 6, 2)
        box = Coat(_pick(rng, ((206, 204, 198), (130, 128, 126), (96, 92, 90))))
        surfaces.append(
            Surface(Layer.FITTING, place.box(-u, -v, u, v), box, height=top + rng.uniform(4, 9))
        )
    return outline, surfaces


# --- what surrounds a house -------------------------------------------------------------------


def _lot(house: House, rng: np.random.Generator) -> Iterator[Surface]:
    """Lawn, drive, terrace, hedges, and what else stands in a garden."""
    frame, (a, b), front = house.frame, house.half, -house.half[1] - house.setback
    side, back = rng.uniform(14, 24), b + rng.uniform(26, 64)
    lawn = _tinted(_pick(rng, LAWNS), rng, 0.05)
    yield Surface(Layer.LOT, frame.box(-a - side, front, a + side, back), lawn)
    yield from _drive(house, front, rng)
    if rng.random() < 0.7:
        rim = rng.uniform(5, 12, 4)
        terrace = frame.box(-a - rim[0], -b - rim[1], a * rng.uniform(0, 1) + rim[2], b + rim[3])
        yield Surface(
            Layer.PATCH, terrace, _tinted(PAVING, rng), frame.point(0, 0), frame.vector(1, 0)
        )
    if rng.random() < 0.6:
        for u0, v0, u1, v1 in (
            (-a - side, back - 5, a + side, back),
            (-a - side, front + 12, -a - side + 5, back),
            (a + side - 5, front + 12, a + side, back),
        ):
            if rng.random() < 0.7:
                yield Surface(Layer.HEDGE, frame.box(u0, v0, u1, v1), _tinted(HEDGE, rng))
    corner = frame.at(rng.uniform(-0.6, 0.6) * a, b + 30, rng.normal(0, 0.1))
    extra = rng.random()
    if extra < 0.12:
        yield from _pool(corner, rng)
    elif extra < 0.3:
        yield Surface(
            Layer.PATCH,
            corner.box(-22, -12, 22, 12),
            _tinted(FIELDS[6], rng),
            axis=corner.vector(0, 1),
        )
    elif extra < 0.45:
        yield _bare(corner, rng.uniform(14, 24), rng)


def _drive(house: House, front: float, rng: np.random.Generator) -> Iterator[Surface]:
    """The way from the street (v = `front`) to the house, with a car on every other one."""
    frame, (a, b) = house.frame, house.half
    u, half = rng.choice((-1, 1)) * rng.uniform(0.2, 0.8) * a, rng.uniform(7, 13)
    coat = _tinted(_pick(rng, (GRAVEL, PAVING, ASPHALT, KERB)), rng)
    shape = frame.box(u - half, front - 6, u + half, 5 - b)
    yield Surface(Layer.PATCH, shape, coat, frame.point(0, 0), frame.vector(0, 1))
    if rng.random() < 0.5:
        place = frame.at(u, -b - rng.uniform(16, 20), math.pi / 2 + rng.normal(0, 0.06))
        yield from _car(place, rng)


def _car(frame: Frame, rng: np.random.Generator) -> Iterator[Surface]:
    """A car, or now and then a van, its length along u."""
    a, b = (rng.uniform(10, 11.5), 4.6) if rng.random() < 0.85 else (14, 5.4)
    paint = Coat(_pick(rng, CARS), mottle=0.02, grain=0.03)
    glass = Surface(Layer.WINDSCREEN, frame.box(0.25 * a, 1 - b, 0.5 * a, b - 1), GLASS, height=6)
    rear = Surface(
        Layer.WINDSCREEN, frame.box(-0.85 * a, 1.2 - b, -0.65 * a, b - 1.2), GLASS, height=6
    )
    yield Surface(Layer.CAR, frame.box(-a, -b, a, b).buffer(1.2), paint, height=6)
    yield from (glass, rear)


def _pool(frame: Frame, rng: np.random.Generator) -> Iterator[Surface]:
    a, b = rng.uniform(16, 24), rng.uniform(8, 12)
    yield Surface(Layer.PATCH, frame.box(-a - 6, -b - 6, a + 6, b + 6), KERB)
    yield Surface(Layer.PATCH, frame.box(-a, -b, a, b), WATER, axis=frame.vector(1, 0))


def _bare(frame: Frame, radius: float, rng: np.random.Generator) -> Surface:
    """A patch of bare ground: the colours of a tiled roof, but no house."""
    angles = np.linspace(0, 2 * math.pi, 14, endpoint=False)
    reach = radius * rng.uniform(0.75, 1.2, 14)
    points = zip(1.3 * reach * np.cos(angles), reach * np.sin(angles), strict=True)
    return Surface(Layer.PATCH, frame.polygon(points), _tinted(_pick(rng, BARE), rng))


def _tennis_court(frame: Frame) -> Iterator[Surface]:
    yield Surface(Layer.PATCH, frame.box(-90, -46, 90, 46), CLAY)
    court = frame.box(-59, -27, 59, 27).boundary
    lines = [(-59, -20, 59, -20), (-59, 20, 59, 20), (-32, -20, -32, 20), (32, -20, 32, 20)]
    marks = [
        court,
        *(LineString([frame.point(*line[:2]), frame.point(*line[2:])]) for line in lines),
    ]
    for mark in (*marks, LineString([frame.point(-32, 0), frame.point(32, 0)])):
        yield Surface(Layer.MARK, mark.buffer(0.8, quad_segs=1), WHITE)
    net = frame.box(-0.8, -30, 0.8, 30)
    yield Surface(Layer.CAR, net, GLASS, height=5)


def _car_park(frame: Frame, rng: np.random.Generator) -> Iterator[Surface]:
    coat = _tinted(ASPHALT, rng, 0.04)
    yield Surface(Layer.PATCH, frame.box(-85, -48, 85, 48), coat)
    yield Surface(Layer.ROAD, frame.box(-10, -68, 10, -48), coat)
    for u in np.arange(-77, 78, 14):
        for v in (-32, 32):
            yield Surface(Layer.MARK, frame.box(u - 7.5, v - 14, u - 6.7, v + 14), WHITE)
            if rng.random() < 0.55:
                yield from _car(frame.at(u, v, math.copysign(math.pi / 2, rng.uniform(-1, 1))), rng)


def _extras(plan: Plan, houses: list[House], pitch: float, rng) -> Iterator[Surface]:
    """A car park at a road, a tennis court and bare patches, where there is room."""
    taken = [house.footprint.buffer(16) for house in houses]
    taken += [line.buffer(half + 14) for line, half in plan.roads]
    radius = _village_radius(pitch)

    def free(places: Iterable[Frame], a: float, b: float) -> Iterator[Frame]:
        for place in places:
            shape = place.box(-a, -b, a, b)
            if plan.quad.contains(shape) and not shapely.intersects(taken, shape).any():
                taken.append(shape)
                yield place

    roadside = [edge.at(0, 66) for line, half in plan.roads for edge, _ in _places(line, half, rng)]
    for place in islice(free((roadside[i] for i in rng.permutation(len(roadside))), 88, 50), 1):
        yield from _car_park(place, rng)
    spots = rng.uniform(-1.1, 1.1, (40, 2)) * radius
    turns = rng.choice((0, math.pi / 2), 40)
    anywhere = [plan.centre.at(*spot, turn) for spot, turn in zip(spots, turns, strict=True)]
    for place in islice(free(anywhere[:20], 96, 52), 1):
        yield from _tennis_court(place)
    for place in islice(free(anywhere[20:], 40, 40), int(rng.integers(2, 6))):
        yield _bare(place, rng.uniform(16, 32), rng)


# --- roads and fields -------------------------------------------------------------------------


def _paving(plan: Plan) -> Iterator[Surface]:
    """Roads with kerbs and grass verges; the main street has a dashed centre line."""
    for number, (line, half) in enumerate(plan.roads):
        yield Surface(Layer.VERGE, line.buffer(half + 9, quad_segs=4), VERGE)
        yield Surface(Layer.ROAD, line.buffer(half + 1.8, quad_segs=4), KERB)
        yield Surface(Layer.PAVED, line.buffer(half, quad_segs=4), ASPHALT)
        if number == 0:
            for start in np.arange(8, line.length - 12, 36):
                dash = substring(line, start, start + 14)
                yield Surface(Layer.MARK, dash.buffer(0.7, cap_style="flat"), WHITE)


def _parcels(plan: Plan, rng: np.random.Generator) -> list[Polygon]:
    """The quad cut along its two through roads, then across until the pieces are field-sized."""
    pieces = [plan.quad]
    for line, _ in plan.roads[:2]:
        pieces = [part for piece in pieces for part in split(piece, line).geoms]
    fields = []
    while pieces:
        piece = pieces.pop()
        if piece.area < rng.uniform(40_000, 220_000):
            fields.append(piece)
        else:
            pieces += _halves(piece, rng)
    return fields


def _halves(piece: Polygon, rng: np.random.Generator) -> list[Polygon]:
    """A parcel cut in two, roughly across its longer side."""
    box = np.array(piece.minimum_rotated_rectangle.exterior.coords)
    sides = np.diff(box, axis=0)
    longer = int(np.argmax(np.hypot(*sides.T)[:2]))
    if rng.random() < 0.25:
        longer = 1 - longer
    share, slant = rng.uniform(0.35, 0.65), rng.normal(0, 0.06)
    foot = box[longer] + share * sides[longer]
    across = sides[longer + 1] + slant * sides[longer]
    cut = LineString([foot - 0.5 * across, foot + 1.5 * across])
    return list(split(piece, cut).geoms)


def _field(parcel: Polygon, rng: np.random.Generator) -> Iterator[Surface]:
    """A parcel under one crop, its rows along its longer side, with a margin of rough grass."""
    box = np.array(parcel.minimum_rotated_rectangle.exterior.coords)
    sides = np.diff(box, axis=0)[:2]
    rows = sides[np.argmax(np.hypot(*sides.T))]
    rows = rows / np.hypot(*rows)
    crop = int(rng.choice(len(FIELDS), p=[0.2, 0.15, 0.14, 0.1, 0.13, 0.1, 0.09, 0.09]))
    coat = _tinted(FIELDS[crop], rng)
    shape = parcel.buffer(-rng.uniform(2, 5))
    axis = (-rows[1], rows[0])
    yield Surface(Layer.FIELD, shape, coat, tuple(box[0]), axis)
    if FIELDS[crop] in TRAMLINED:
        reach = np.hypot(*np.ptp(box, axis=0))
        for offset in np.arange(-reach, reach, 88):
            for gauge in (-4.5, 4.5):
                foot = box[0] + (offset + gauge) * np.array(axis)
                line = LineString([foot - reach * rows, foot + reach * rows]).intersection(shape)
                if line.length:
                    yield Surface(Layer.TRACK, line.buffer(1, cap_style="flat"), TRAMLINE)


# --- trees ------------------------------------------------------------------------------------


def _tree(x: float, y: float, radius: float, rng: np.random.Generator) -> Tree:
    conifer = rng.random() < 0.3
    colour = np.array(_pick(rng, NEEDLES if conifer else LEAVES)) * (1 + rng.normal(0, 0.07))
    height = min(radius * (rng.uniform(3.2, 4.2) if conifer else rng.uniform(1.5, 2.2)), 66)
    return Tree(x, y, radius * (0.8 if conifer else 1), height, conifer, tuple(colour))


def _trees(plan: Plan, houses: list[House], parcels: list[Polygon], rng) -> list[Tree]:
    """Garden trees, trees along roads and parcels, lone trees and small woods."""
    places = [*_garden_places(houses, rng), *_roadside_places(plan, rng)]
    for parcel in parcels:
        places += _parcel_places(parcel, rng)
    if not places:
        return []
    x, y, radius = np.array(places).T
    points = shapely.points(x, y)
    built = shapely.union_all([house.footprint for house in houses])
    free = shapely.distance(points, plan.quad) == 0
    if houses:
        free &= shapely.distance(points, built) > 0.8 * radius + 2
    for line, half in plan.roads:
        free &= shapely.distance(points, line) > half + 0.45 * radius + 3
    return [_tree(*place, rng) for place in np.array(places)[free]]


def _garden_places(houses: list[House], rng) -> Iterator[tuple[float, float, float]]:
    """(x, y, radius) of bushes and trees around the houses."""
    for house in houses:
        (a, b), front = house.half, -house.half[1] - house.setback
        for _ in range(rng.integers(4, 11)):
            u, v = rng.uniform(-a - 26, a + 26), rng.uniform(front, b + 60)
            yield *house.frame.point(u, v), rng.choice((rng.uniform(4, 8), rng.uniform(10, 25)))


def _roadside_places(plan: Plan, rng) -> Iterator[tuple[float, float, float]]:
    """(x, y, radius) of trees along a part of each through road."""
    for line, half in plan.roads[:2]:
        beside = line.parallel_offset(half + 16)
        start, stop = np.sort(rng.uniform(0, line.length, 2))
        for along in np.arange(start, stop, rng.uniform(34, 60)):
            x, y = beside.interpolate(along).coords[0]
            yield x + rng.normal(0, 2), y + rng.normal(0, 2), rng.uniform(10, 15)


def _parcel_places(parcel: Polygon, rng) -> Iterator[tuple[float, float, float]]:
    """(x, y, radius) of a hedgerow, a small wood or lone trees; many parcels have none."""
    kind = rng.random()
    if kind < 0.35:  # a row of trees and bushes along part of its rim
        rim = parcel.exterior
        start, along = rng.uniform(0, rim.length), 0.0
        stop = rng.uniform(150, 500)
        while along < stop:
            x, y = rim.interpolate((start + along) % rim.length).coords[0]
            yield x + rng.normal(0, 3), y + rng.normal(0, 3), rng.uniform(6, 19)
            along += rng.uniform(9, 30)
    elif kind < 0.5:  # a small wood at one of its corners
        x, y = parcel.exterior.coords[0]
        reach = rng.uniform(70, 150)
        spots = np.stack(np.meshgrid(*[np.arange(-reach, reach, 19)] * 2), -1).reshape(-1, 2)
        spots += rng.normal(0, 5, spots.shape)
        limit = reach * rng.uniform(0.75, 1.0, len(spots))
        for u, v in spots[np.hypot(*spots.T) < limit]:
            yield x + u, y + v, rng.uniform(11, 20)
    elif kind < 0.75:  # lone trees
        x0, y0, x1, y1 = parcel.bounds
        for _ in range(rng.integers(1, 4)):
            yield rng.uniform(x0, x1), rng.uniform(y0, y1), rng.uniform(9, 20)


# --- a cell, and all cells of a window --------------------------------------------------------


@dataclass(frozen=True)
class Cell:
    """Everything that is generated together; `bounds` are the surfaces' (n, 4)."""

    houses: list[Polygon]
    surfaces: list[Surface]
    bounds: np.ndarray
    trees: list[Tree]


@lru_cache(maxsize=64)
def _cell(size: int, seed: int, row: int, col: int) -> Cell:
    pitch = _pitch(size)
    rng = _rng(seed, 0, row, col)
    plan = _plan(pitch, seed, row, col)
    houses = _houses(plan, size, pitch, rng)
    plan = replace(plan, roads=_used(plan.roads, houses))
    parcels = _parcels(plan, rng)
    surfaces = [*_paving(plan), *_extras(plan, houses, pitch, rng)]
    for parcel in parcels:
        surfaces += _field(parcel, rng)
    for house in houses:
        surfaces += [*house.surfaces, *_lot(house, rng)]
    trees = _trees(plan, houses, parcels, rng)
    return Cell(
        [house.footprint for house in houses],
        surfaces,
        np.array([shapely.bounds(s.shape) for s in surfaces]),
        trees,
    )


def _pitch(size: int) -> float:
    """The side of a cell: a whole number of them makes the scene."""
    return size / max(1, size // CELL)


# --- textures: functions of the world's pixel coordinates --------------------------------------


def _hashed(rows: np.ndarray, cols: np.ndarray, key: int) -> np.ndarray:
    """A random uint32 for every (row, column)."""
    salt = (key * 0x27D4EB2F) % 2**32
    h = (rows.astype(np.uint32) * np.uint32(0x9E3779B1) + np.uint32(salt))[:, None]
    h = h ^ (cols.astype(np.uint32) * np.uint32(0x85EBCA77))
    for shift, factor in ((15, 0x2C1B3C6D), (12, 0x297A2D39)):
        h ^= h >> np.uint32(shift)
        h *= np.uint32(factor)
    h ^= h >> np.uint32(15)
    return h


def _noise(window: Window, wavelength: int, key: int) -> np.ndarray:
    """Smooth noise in [-1, 1]: values hashed on a lattice, interpolated with a smooth step."""
    weights, nodes = [], []
    for start, length in ((window.row, window.height), (window.col, window.width)):
        node, rest = np.divmod(np.arange(start, start + length), wavelength)
        share = ((rest + 0.5) / wavelength).astype(np.float32)
        weights.append(share * share * (3 - 2 * share))
        nodes.append(node)
    (y, x), (wy, wx) = nodes, weights
    lattice = _hashed(np.arange(y[0], y[-1] + 2), np.arange(x[0], x[-1] + 2), key)
    values = lattice.astype(np.float32) * np.float32(2**-31) - 1
    y, x = y - y[0], x - x[0]
    rows = values[y] + wy[:, None] * (values[y + 1] - values[y])
    steps = np.diff(rows, axis=1)
    return rows[:, x] + wx * steps[:, x]


# --- the painter ------------------------------------------------------------------------------


@dataclass(frozen=True)
class SyntheticScene:
    """A square scene of `size` pixels a side, the same for the same seed; see the module."""

    size: int
    seed: int = 0

    def __post_init__(self):
        if self.size < LEAST_SIZE:
            raise ValueError(f"a synthetic scene needs at least {LEAST_SIZE} pixels a side")

    @property
    def crs(self) -> CRS:
        """UTM zone 32 north."""
        return CRS.from_epsg(32632)

    @property
    def transform(self) -> Affine:
        """From (column, row) to metres."""
        return Affine(GROUND_RESOLUTION, 0, 677_000, 0, -GROUND_RESOLUTION, 5_152_000)

    def paint(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """The image (3, rows, columns) uint8 and `valid` (rows, columns) bool of a window.

        A pixel of the blank collar is 0 in all bands, a valid one never.
        """
        valid = self._valid(window)
        if not valid.any():
            return np.zeros((3, *window.shape), np.uint8), valid
        image = _camera(*self._sunlit(window.grow(1)), window, self.seed)
        image *= valid
        return image, valid

    def labels(self, window: Window) -> np.ndarray:
        """1 where a pixel's centre is inside a house, else 0: (rows, columns) uint8."""
        houses = [
            (house, 1)
            for cell in self._cells(window)
            for house in cell.houses
            if _touches(shapely.bounds(house), window)
        ]
        return _burn(houses, window, np.uint8)

    def footprints(self) -> Iterator[Polygon]:
        """Every house of the scene once, as a polygon of (column, row) pixel coordinates."""
        for cell in self._cells(Window(0, 0, self.size, self.size)):
            yield from cell.houses

    def _valid(self, window: Window) -> np.ndarray:
        """True where a pixel's centre is inside the slanted quadrilateral."""
        y = np.arange(window.row, window.bottom)[:, None] + 0.5
        x = np.arange(window.col, window.right) + 0.5
        corners = _valid_corners(self.size)
        valid = np.ones(window.shape, bool)
        for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
            valid &= (x1 - x0) * (y - y0) >= (y1 - y0) * (x - x0)
        return valid

    def _cells(self, window: Window) -> Iterator[Cell]:
        """The cells that may have something in a window, by rows."""
        pitch = _pitch(self.size)
        overhang = OVERHANG * pitch + 130
        rows, cols = (
            range(math.floor((start - overhang) / pitch), math.floor((stop + overhang) / pitch) + 1)
            for start, stop in ((window.row, window.bottom), (window.col, window.right))
        )
        for row in rows:
            for col in cols:
                yield _cell(self.size, self.seed, row, col)

    def _sunlit(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Colours in full sun (3, rows, columns) and the depth of shadow (rows, columns), 0-1."""
        reach = sum(SHADOW_STEPS)
        wide = replace(window, height=window.height + reach, width=window.width + reach // 2)
        cells = list(self._cells(wide))
        surfaces = _surfaces(cells, wide)
        trees = [tree for cell in cells for tree in cell.trees if _touches(_crown(tree), wide)]
        table = [
            Surface(Layer.FIELD, Polygon(), ROUGH_GRASS).record(),
            *(item.record() for item in (*surfaces, *trees)),
        ]
        columns = dict(zip(COLUMNS, np.array(table, np.float32).T, strict=True))
        shapes = [(surface.shape, number) for number, surface in enumerate(surfaces, 1)]
        ids = _burn(shapes, wide, np.int32)
        foliage = _noise(wide, 5, 16 * self.seed)
        rows, height = _relief(ids, columns, foliage, wide)
        for number, tree in enumerate(trees, 1 + len(surfaces)):
            _raise(tree, number, ids, height, foliage, wide)
        inner = np.s_[: window.height, : window.width]
        shadow = _shadow(height, window)
        light = _facing(height, columns["foliage"], ids, window)
        return _colours(ids[inner], rows[inner], columns, light, window, self.seed), shadow


def _touches(bounds, window: Window) -> bool:
    x0, y0, x1, y1 = bounds
    return x0 < window.right and x1 > window.col and y0 < window.bottom and y1 > window.row


def _crown(tree: Tree) -> tuple[float, float, float, float]:
    reach = 1.4 * tree.radius
    return tree.x - reach, tree.y - reach, tree.x + reach, tree.y + reach


def _surfaces(cells: list[Cell], window: Window) -> list[Surface]:
    """The cells' surfaces that touch a window, each behind those that hide it."""
    found = []
    for cell in cells:
        x0, y0, x1, y1 = cell.bounds.T
        near = (x0 < window.right) & (x1 > window.col) & (y0 < window.bottom) & (y1 > window.row)
        found += [cell.surfaces[index] for index in np.flatnonzero(near)]
    return sorted(found, key=lambda surface: surface.layer)


def _burn(shapes: list[tuple[Polygon, int]], window: Window, dtype) -> np.ndarray:
    """The shapes' numbers where they cover a pixel's centre, later ones on top, else 0."""
    if not shapes:
        return np.zeros(window.shape, dtype)
    place = Affine.translation(window.col, window.row)
    return rasterize(shapes, window.shape, transform=place, dtype=dtype)


def _relief(ids, columns, foliage, window: Window) -> tuple[np.ndarray, np.ndarray]:
    """Row pattern (0 between two rows, 1 on a row) and height of the surfaces."""
    x = np.arange(window.col, window.right, dtype=np.float32)
    y = np.arange(window.row, window.bottom, dtype=np.float32)[:, None]
    t = columns["axis_x"][ids] * x
    t += columns["axis_y"][ids] * y
    t += columns["offset"][ids]
    rows = t * columns["frequency"][ids]
    rows -= np.floor(rows)
    rows = np.abs(2 * rows - 1)
    t *= columns["rise"][ids]
    t += columns["height"][ids]
    t += columns["crest"][ids] * rows * (np.float32(0.6) + np.float32(0.5) * foliage)
    return rows, t


def _raise(tree: Tree, number: int, ids, height, foliage, window: Window) -> None:
    """Let a tree's crown stand out of the height field, in place."""
    x0, y0, x1, y1 = _crown(tree)
    crown = Window(math.floor(y0), math.floor(x0), math.ceil(y1 - y0) + 1, math.ceil(x1 - x0) + 1)
    part = crown.intersect(window)
    inside = part.relative_to(window).slices
    dx = (np.arange(part.col, part.right) + (0.5 - tree.x)).astype(np.float32)
    dy = (np.arange(part.row, part.bottom) + (0.5 - tree.y)).astype(np.float32)[:, None]
    square = (dx * dx + dy * dy) / np.float32(tree.radius**2)
    lumps = np.float32(0.5) * foliage[inside]
    if tree.conifer:
        top = 1 - np.sqrt(square) + np.float32(0.6) * lumps
    else:
        top = np.sqrt(np.maximum(1 - square, 0)) + lumps * (1 - np.float32(0.3) * square)
        top[square > 1 + lumps] = 0
    top *= np.float32(tree.height)
    wins = (top > height[inside]) & (top > 2)
    height[inside][wins] = top[wins]
    ids[inside][wins] = number


def _shadow(height: np.ndarray, window: Window) -> np.ndarray:
    """How deep every pixel of a window lies in the shadow of what stands sunwards of it, 0-1.

    `height` reaches sum(SHADOW_STEPS) rows further down and half as many columns to the right. The
    highest ray over a pixel is found by doubling: over the first 2k rows sunwards it is the higher
    of that over the first k, and the same of the pixel k rows away, lowered by its way here.
    """
    ray = height
    for step in SHADOW_STEPS:
        aside = step // 2
        near = ray[:-step, : ray.shape[1] - aside]
        ray = np.maximum(near, ray[step:, aside:] - np.float32(step * SUN_RISE))
    inner = np.s_[: window.height, : window.width]
    return np.clip((ray[inner] - height[inner] - 0.4) * np.float32(0.5), 0, 1)


def _facing(height, foliage, ids, window: Window) -> np.ndarray:
    """Light on foliage: brighter where it slopes towards the sun; 1 elsewhere."""
    rows, cols = window.shape
    slope = height[:rows, :cols] - height[2 : rows + 2, 1 : cols + 1]
    slope = np.clip(slope * np.float32(0.07), -0.5, 0.6)
    slope *= foliage[ids[:rows, :cols]]
    return slope + 1


def _colours(ids, rows, columns, light, window: Window, seed: int) -> np.ndarray:
    """The surfaces' colours with their textures, (3, rows, columns) float32."""
    patches = 0.6 * _noise(window, 97, 16 * seed + 1) + 0.4 * _noise(window, 29, 16 * seed + 2)
    grain = 0.6 * _noise(window, 3, 16 * seed + 3) + 0.5 * _noise(window, 7, 16 * seed + 4)
    patches *= columns["mottle"][ids]
    grain *= columns["grain"][ids]
    light = light * (1 + grain)
    image = np.empty((3, *window.shape), np.float32)
    for band, (name, share) in enumerate((("red", 1.0), ("green", 0.6), ("blue", 0.7))):
        base, crossing = columns[name], columns["rows_" + name]
        np.add(base[ids], rows * (crossing - base)[ids], out=image[band])
        image[band] *= light * (1 + np.float32(share) * patches)
    return image


def _camera(image: np.ndarray, shadow: np.ndarray, window: Window, seed: int) -> np.ndarray:
    """What the camera makes of the light: shadows, haze, a slight blur and noise; uint8 >= 1.

    `image` and `shadow` reach one pixel further than the window on every side.
    """
    rows, cols = np.arange(window.row, window.bottom), np.arange(window.col, window.right)
    speckle = _hashed(rows, cols, 16 * seed + 5)
    common = sum((speckle >> np.uint32(shift)) & np.uint32(255) for shift in (0, 8, 16, 24))
    noise = common.astype(np.float32) * np.float32(3 / 148) - np.float32(3 * 510 / 148)
    out = np.empty((3, *window.shape), np.uint8)
    for band, tint in enumerate(SHADOW_TINT):
        light = image[band] * (1 - np.float32(1 - tint) * shadow)
        light = light[:-2] + 2 * light[1:-1] + light[2:]
        light = light[:, :-2] + 2 * light[:, 1:-1] + light[:, 2:]
        own = ((speckle >> np.uint32(5 + 9 * band)) & np.uint32(7)).astype(np.float32)
        light = light * np.float32(0.95 / 16) + noise + own + np.float32(3)
        np.clip(light, 1, 255, out=light)
        out[band] = light
    return out


# --- the painter's pictures as files ----------------------------------------------------------


def write_sample(
    folder: str | os.PathLike,
    size: int = 1536,
    seed: int = 0,
    *,
    overwrite: bool = False,
    progress: Progress = silent,
) -> tuple[Path, Path, Path]:
    """Write a scene and its labels into a folder, which is made where it is missing.

    scene.tif    uint8 red, green, blue; the collar is 0, which is nodata
    labels.tif   uint8 on the same grid: 1 house, 0 background
    labels.gpkg  the footprints, layer `houses`, column `id`

    Returns the three paths. Memory does not depend on `size`. Raises OutputError where one of them
    exists (unless `overwrite`) or cannot be written, UsageError for a size that is too small.
    """
    if size < LEAST_SIZE:
        raise UsageError(f"{size}: a sample needs at least {LEAST_SIZE} pixels a side.")
    scene = SyntheticScene(size, seed)
    folder = _made_folder(Path(folder))
    image_path = rasterout.check_target(folder / "scene.tif", overwrite)
    labels_path = rasterout.check_target(folder / "labels.tif", overwrite)
    houses_path = vectorout.check_target(folder / "labels.gpkg", overwrite)
    frame = {
        "height": size,
        "width": size,
        "dtype": "uint8",
        "crs": scene.crs,
        "transform": scene.transform,
    }
    with (
        rasterout.RasterWriter(image_path, **frame, count=3, nodata=0) as image_file,
        rasterout.RasterWriter(labels_path, **frame, description="house") as labels_file,
        progress("painting", size * size, "pixels") as step,
    ):
        for window in blocks(Window(0, 0, size, size), rasterout.BLOCK):
            image_file.write(window, scene.paint(window)[0])
            labels_file.write(window, scene.labels(window))
            step.advance(window.pixels)
    vectorout.write_polygons(
        houses_path, _batches(scene), scene.crs, columns={"id": "int64"}, overwrite=overwrite
    )
    return image_path, labels_path, houses_path


def _made_folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{folder}: the folder cannot be made ({error.strerror}); choose another name."
        ) from error
    return folder


def _batches(scene: SyntheticScene) -> Iterator[vectorout.Batch]:
    """The footprints in map coordinates, numbered from 1."""
    footprints, first = scene.footprints(), 1
    to_map = scene.transform
    scale, origin = np.array([to_map.a, to_map.e]), np.array([to_map.c, to_map.f])
    while houses := list(islice(footprints, 4096)):
        geometry = shapely.transform(np.array(houses), lambda corner: corner * scale + origin)
        yield vectorout.Batch(geometry, {"id": np.arange(first, first + len(houses))})
        first += len(houses)
