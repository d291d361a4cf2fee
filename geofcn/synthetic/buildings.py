"""Synthetic houses, gardens, cars and courts, as plain geometry.

Everything but a tree is a `Surface`: a polygon of some material, with a height. A material is no
more than its name here; how it looks is said in `geofcn.synthetic.render`.

Coordinates are pixels, x to the right (columns) and y down (rows); heights are in pixels as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import shapely
from shapely import Polygon

# Names of materials that one is drawn from.
LAWNS = ("lawn", "dark lawn", "long grass", "dry lawn", "straw lawn")
DRIVES = ("gravel", "paving", "concrete")
ROOFS = ("red tiles", "brown tiles", "dark tiles", "slate", "grey tiles", "blue metal")
DECKS = ("pale deck", "dark deck", "white deck", "green deck")
CARS = ("white car", "black car", "silver car", "red car", "blue car")

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Axes:
    """Local coordinate axes: an origin, u along a direction, v to its right.

    Attributes
    ----------
    x, y : float
        The origin.
    angle : float
        The direction of u, in radians, clockwise from x as y points down.

    Examples
    --------
    >>> Axes(10, 20, 0).point(3, 2)
    (13.0, 22.0)
    """

    x: float
    y: float
    angle: float

    def vector(self, u: float, v: float) -> tuple[float, float]:
        """A direction (u, v) as (x, y)."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return u * cos - v * sin, u * sin + v * cos

    def point(self, u: float, v: float) -> tuple[float, float]:
        """A point (u, v) as (x, y)."""
        x, y = self.vector(u, v)
        return self.x + x, self.y + y

    def across(self, x: float, y: float) -> float:
        """The v of a point (x, y)."""
        return (y - self.y) * math.cos(self.angle) - (x - self.x) * math.sin(self.angle)

    def polygon(self, points: Iterable[tuple[float, float]]) -> Polygon:
        """The polygon through points (u, v)."""
        return Polygon([self.point(u, v) for u, v in points])

    def box(self, u0: float, v0: float, u1: float, v1: float) -> Polygon:
        """The rectangle between two opposite corners."""
        return self.polygon([(u0, v0), (u1, v0), (u1, v1), (u0, v1)])

    def at(self, u: float, v: float, turn: float = 0) -> Axes:
        """The axes moved to (u, v), and turned by `turn` radians."""
        return Axes(*self.point(u, v), self.angle + turn)


@dataclass(frozen=True)
class Surface:
    """A polygon of some material, ``height + rise * v`` high.

    Attributes
    ----------
    material : str
        Name of the material, a key of `geofcn.synthetic.render.APPEARANCES`.
    shape : Polygon
        What it covers, in pixels of the scene.
    place : Axes
        Its v is that of the height, and counts the material's rows.
    tint : (float, float, float)
        Multiplies the material's red, green and blue.
    height : float
        Where v is 0, in pixels.
    rise : float
        Pixels up per pixel along v.
    """

    material: str
    shape: Polygon
    place: Axes = Axes(0, 0, 0)
    tint: Colour = (1, 1, 1)
    height: float = 0
    rise: float = 0


@dataclass(frozen=True)
class Tree:
    """A tree's crown.

    Attributes
    ----------
    material : {"leaves", "needles"}
        Name of the material; a crown of leaves is round, one of needles a cone.
    x, y : float
        Its middle.
    radius, height : float
        In pixels.
    tint : (float, float, float)
        Multiplies the material's red, green and blue.
    """

    material: str
    x: float
    y: float
    radius: float
    height: float
    tint: Colour

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """What the crown may touch: (x0, y0, x1, y1)."""
        reach = 1.4 * self.radius
        return self.x - reach, self.y - reach, self.x + reach, self.y + reach


@dataclass(frozen=True)
class House:
    """A house beside a street.

    Attributes
    ----------
    place : Axes
        Its middle, with u along the street and v away from it.
    half : (float, float)
        Half its width along the street, and half its depth, in pixels.
    setback : float
        From the street to its front, in pixels.
    footprint : Polygon
        What the roof covers: the label.
    surfaces : list of Surface
        Roofs, chimneys and the like.
    """

    place: Axes
    half: tuple[float, float]
    setback: float
    footprint: Polygon
    surfaces: list[Surface]


def draw_tint(rng: np.random.Generator) -> Colour:
    """A random tint: a little lighter or darker, warmer or colder."""
    return tuple(1 + rng.normal(0, 0.06) + rng.normal(0, 0.015, 3))


def _slab(
    material: str, place: Axes, *box: float, tint: Colour = (1, 1, 1), height: float = 0
) -> Surface:
    """A level rectangle (u0, v0, u1, v1) at a place."""
    return Surface(material, place.box(*box), place, tint, height)


def draw_house(street: Axes, rng: np.random.Generator) -> House:
    """A random house beside a street, whose edge is the u axis of `street`."""
    a, b, setback = rng.uniform(32, 54), rng.uniform(25, 38), rng.uniform(22, 44)
    place = street.at(0, setback + b, rng.normal(0, 0.06))
    # The ridge along the street, or at right angles to it.
    base = (place.at(0, 0, math.pi / 2), b, a) if rng.random() < 0.25 else (place, a, b)
    build = _flat_house if rng.random() < 0.14 else _pitched_house
    return House(place, (a, b), setback, *build(*base, rng))


def _outline(place: Axes, *boxes: tuple[float, float, float, float]) -> Polygon:
    """The union of rectangles (u0, v0, u1, v1), without needless corners."""
    union = shapely.union_all([shapely.box(*box) for box in boxes])
    return place.polygon(union.simplify(1e-6).exterior.coords[:-1])


def _pitched_house(
    place: Axes, a: float, b: float, rng: np.random.Generator
) -> tuple[Polygon, list[Surface]]:
    """A gabled or hipped roof over 2a x 2b, its ridge along u; maybe with a lower wing."""
    tiles, tint = rng.choice(ROOFS, p=(0.28, 0.18, 0.1, 0.18, 0.18, 0.08)), draw_tint(rng)
    eave, rise = rng.uniform(22, 34), rng.uniform(0.35, 0.62)
    # How far the ridge ends before the short sides: 0 makes gables.
    hip = min(b, a - 4) * rng.uniform(0.7, 1) if rng.random() < 0.18 else 0
    surfaces, boxes = [], [(-a, -b, a, b)]

    def face(edge: Axes, slope: float, *points: tuple[float, float]) -> None:
        surfaces.append(Surface(tiles, edge.polygon(points), edge, tint, eave, slope))

    for turn in (0, math.pi):
        face(place.at(0, 0, turn).at(0, -b), rise, (-a, 0), (a, 0), (a - hip, b), (hip - a, b))
        if hip:
            end = place.at(0, 0, turn + math.pi / 2).at(0, -a)
            face(end, rise * b / hip, (-b, 0), (b, 0), (0, hip))
    if rng.random() < 0.32:
        c, d = min(a, b) * rng.uniform(0.5, 0.75), rng.uniform(20, 34)
        side, u = rng.choice((-1, 1)), rng.choice((-1, 1, rng.uniform(-0.8, 0.8))) * (a - c)
        boxes.append((u - c, side * b, u + c, side * (b + d)))
        wing = place.at(u, side * b, (1 - side) * math.pi / 2)
        for s in (-1, 1):  # the wing's ridge dies in the house's roof
            edge = wing.at(s * c, 0, s * math.pi / 2)
            face(edge, rise, (0, 0), (s * d, 0), (s * d, c), (-s * c, c))
    surfaces += chimneys(place, 0.8 * (a - hip), 0.6 * b, eave + rise * b, rng)
    if rng.random() < 0.13 and a - hip > 24:
        # On the side that faces down the picture, where the sun is.
        turn = 0 if math.cos(place.angle) < 0 else math.pi
        edge = place.at(0, 0, turn).at(0, -b)
        panel = edge.box(12 - a + hip, 5, rng.uniform(0, a - hip - 8), 0.7 * b)
        surfaces.append(Surface("solar panel", panel, edge, height=eave + 1, rise=rise))
    return _outline(place, *boxes), surfaces


def _flat_house(
    place: Axes, a: float, b: float, rng: np.random.Generator
) -> tuple[Polygon, list[Surface]]:
    """A flat roof with a parapet, chimneys and the like; sometimes an L."""
    boxes, top = [(-a, -b, a, b)], rng.uniform(26, 48)
    if rng.random() < 0.5:
        boxes.append((-a, b, rng.uniform(-0.3, 0.2) * a, b + rng.uniform(16, 30)))
    outline = _outline(place, *boxes)
    deck = outline.buffer(-2.2, join_style="mitre")
    return outline, [
        Surface("parapet", outline, place, height=top + 3),
        Surface(rng.choice(DECKS), deck, place, draw_tint(rng), top),
        *chimneys(place, 0.8 * a, 0.7 * b, top, rng),
    ]


def chimneys(
    place: Axes, a: float, b: float, top: float, rng: np.random.Generator
) -> Iterator[Surface]:
    """Up to four chimneys on a roof of height `top`, within a of the middle along u, b along v."""
    for _ in range(rng.integers(1, 5)):
        spot, (u, v) = place.at(rng.uniform(-a, a), rng.uniform(-b, b)), rng.uniform(1.5, 4, 2)
        yield _slab("chimney", spot, -u, -v, u, v, tint=draw_tint(rng), height=top + 4)


# --- what surrounds a house -------------------------------------------------------------------


def draw_plot(house: House, rng: np.random.Generator) -> Iterator[Surface]:
    """The plot around a house: lawn, drive, car, terrace, hedges, maybe a pool or bare ground."""
    place, (a, b), front = house.place, house.half, -house.half[1] - house.setback
    side, back = a + rng.uniform(14, 24), b + rng.uniform(26, 64)
    yield _slab(rng.choice(LAWNS), place, -side, front, side, back, tint=draw_tint(rng))
    drive = place.at(rng.choice((-1, 1)) * rng.uniform(0.2, 0.8) * a, -b, math.pi / 2)
    half = rng.uniform(7, 13)
    yield _slab(rng.choice(DRIVES), drive, -house.setback - 6, -half, 5, half, tint=draw_tint(rng))
    if rng.random() < 0.5:
        yield from car(drive.at(-18, 0, rng.normal(0, 0.06)), rng)
    if rng.random() < 0.7:
        west, north, east, south = rng.uniform(5, 12, 4)
        terrace = (-a - west, -b - north, a * rng.uniform(0, 1) + east, b + south)
        yield _slab("paving", place, *terrace, tint=draw_tint(rng))
    for box in (
        (-side, back - 5, side, back),
        (-side, front + 12, 5 - side, back),
        (side - 5, front + 12, side, back),
    ):
        if rng.random() < 0.42:
            yield _slab("hedge", place, *box, tint=draw_tint(rng))
    garden, extra = place.at(rng.uniform(-0.6, 0.6) * a, b + 30, rng.normal(0, 0.1)), rng.random()
    if extra < 0.14:
        u, v = rng.uniform(16, 24), rng.uniform(8, 12)
        yield _slab("concrete", garden, -u - 6, -v - 6, u + 6, v + 6)
        yield _slab("water", garden, -u, -v, u, v)
    elif extra < 0.32:
        yield bare_patch(garden, rng.uniform(14, 24), rng)


def car(place: Axes, rng: np.random.Generator) -> Iterator[Surface]:
    """A car, its length along u."""
    a, b = rng.uniform(10, 12.5), rng.uniform(4.4, 5)
    yield Surface(
        rng.choice(CARS), place.box(-a, -b, a, b).buffer(1.2), tint=draw_tint(rng), height=6
    )
    yield _slab("glass", place, 0.25 * a, 1 - b, 0.5 * a, b - 1, height=6)
    yield _slab("glass", place, -0.85 * a, 1.2 - b, -0.65 * a, b - 1.2, height=6)


def bare_patch(place: Axes, radius: float, rng: np.random.Generator) -> Surface:
    """A patch of bare ground, about `radius` pixels wide: a tiled roof's colours, but no house."""
    angles = np.linspace(0, 2 * math.pi, 14, endpoint=False)
    reach = radius * rng.uniform(0.75, 1.2, 14)
    points = zip(1.3 * reach * np.cos(angles), reach * np.sin(angles), strict=True)
    return Surface("bare ground", place.polygon(points), tint=draw_tint(rng))


def car_park(place: Axes, rng: np.random.Generator) -> Iterator[Surface]:
    """A car park of 170 x 96 pixels with two rows of bays, about half of them taken by cars."""
    yield _slab("tarmac", place, -85, -48, 85, 48)
    yield _slab("asphalt", place, -10, -68, 10, -47)
    for u in range(-77, 78, 14):
        for v in (-32, 32):
            yield _slab("marking", place, u - 7.5, v - 14, u - 6.7, v + 14)
            if rng.random() < 0.55:
                yield from car(place.at(u, v, rng.choice((-1, 1)) * math.pi / 2), rng)


def tennis_court(place: Axes) -> Iterator[Surface]:
    """A tennis court with its lines and its net, 180 x 92 pixels."""
    yield _slab("clay", place, -90, -46, 90, 46)
    for u, v in ((59, 27), (59, 20), (32, 20)):
        yield Surface("marking", place.box(-u, -v, u, v).boundary.buffer(0.8, quad_segs=1))
    yield _slab("marking", place, -32, -0.8, 32, 0.8)
    yield _slab("glass", place, -0.8, -30, 0.8, 30, height=5)
