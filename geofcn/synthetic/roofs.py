"""Roofs of synthetic row houses: gabled, pitched one way, hipped or flat, alike within a row.

Coordinates are pixels, x to the right (columns) and y down (rows); heights are in pixels as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from shapely import Polygon

from geofcn.synthetic.buildings import DECKS, Axes, Colour, Surface, chimneys, draw_tint

TILES = ("red tiles", "brown tiles", "dark tiles", "slate", "grey tiles")
SHEETS = ("blue metal", "red metal", "rusty metal")
KINDS = ("gable", "cross gable", "shed", "flat")
KIND_SHARES = (0.42, 0.12, 0.16, 0.3)
LEAST_EAVE = 12

Point = tuple[float, float]
Quad = tuple[Point, Point, Point, Point]  # front left, front right, back right, back left


@dataclass(frozen=True)
class Look:
    """How a house looks from above.

    Attributes
    ----------
    kind : {"gable", "cross gable", "shed", "flat", "hip"}
        Of its roof; the ridge of a gable is along the street.
    material : str
        Of its roof.
    tint : (float, float, float)
        Multiplies the material's red, green and blue.
    eave : float
        Height of its walls.
    """

    kind: str
    material: str
    tint: Colour
    eave: float


def draw_look(rng: np.random.Generator) -> Look:
    """A random look, which the houses of a row vary."""
    kind = rng.choice(KINDS, p=KIND_SHARES)
    return Look(kind, _draw_material(kind, rng), draw_tint(rng), rng.uniform(24, 38))


def vary(look: Look, rng: np.random.Generator, lower: float = 0) -> Look:
    """The look of another house of the row: much like it, or quite another one.

    Parameters
    ----------
    look : Look
        Of the row.
    rng : Generator
        What is drawn from.
    lower : float
        By how much less high it is, about.
    """
    storeys = rng.choice((-2, -1, 0, 1), p=(0.1, 0.3, 0.4, 0.2))
    eave = look.eave - lower + 10 * storeys + rng.normal(0, 1.5)
    shade = 1 + rng.normal(0, 0.05) + rng.normal(0, 0.012, 3)
    kind, material, tint = look.kind, look.material, tuple(shade * look.tint)
    if rng.random() < 0.5:
        kind = rng.choice(KINDS, p=KIND_SHARES)
        material, tint = _draw_material(kind, rng), draw_tint(rng)
    return Look(kind, material, tint, max(eave, LEAST_EAVE))


def _draw_material(kind: str, rng: np.random.Generator) -> str:
    if kind == "flat":
        return str(rng.choice(DECKS, p=(0.4, 0.3, 0.18, 0.12)))
    if rng.random() < (0.4 if kind == "shed" else 0.12):
        return str(rng.choice(SHEETS))
    return str(rng.choice(TILES, p=(0.34, 0.24, 0.14, 0.12, 0.16)))


def roof(
    footprint: Polygon, quad: Quad, wing: Quad | None, look: Look, rng: np.random.Generator
) -> Iterator[Surface]:
    """The roof of a house, with what stands on it.

    Parameters
    ----------
    footprint : Polygon
        What it covers.
    quad : (point, point, point, point)
        The body of the house.
    wing : (point, point, point, point), optional
        The rest of it, a little lower.
    look : Look
        Of both.
    rng : Generator
        What is drawn from.
    """
    if look.kind == "flat":
        yield from _flat(footprint, quad, look, rng)
        return
    if wing:
        yield from _faces(wing, "shed", look, look.eave - 3, 0.2)
    rise = rng.uniform(0.15, 0.3) if look.kind == "shed" else rng.uniform(0.4, 0.7)
    turned = quad[1:] + quad[:1] if look.kind == "cross gable" else quad
    if look.kind == "shed" and rng.random() < 0.5:
        turned = quad[2:] + quad[:2]
    yield from _faces(turned, look.kind, look, look.eave, rise)
    place, width, depth = _body(quad)
    top = look.eave + 0.35 * rise * depth
    for chimney in chimneys(place, 0.42 * width, 0.3 * depth, top, rng):
        if rng.random() < 0.6:
            yield chimney
    if rng.random() < 0.06:
        yield _panel(place, width, depth, look.eave + 0.3 * rise * depth, rng)


def _faces(quad: Quad, kind: str, look: Look, eave: float, rise: float) -> Iterator[Surface]:
    """The faces of a roof over a quadrilateral, each rising from its first side."""
    a, b, c, d = quad
    if kind == "shed":
        faces = [quad]
    elif kind == "hip":
        peak = _middle(*quad)
        faces = [(p, q, peak, peak) for p, q in ((a, b), (b, c), (c, d), (d, a))]
    else:
        right, left = _middle(b, c), _middle(d, a)
        faces = [(a, b, right, left), (c, d, left, right)]
    # All of them meet at the height of the first one's ridge.
    ridge = rise * _away(*faces[0])
    for face in faces:
        (x, y), (x1, y1) = face[:2]
        edge = Axes(x, y, math.atan2(y1 - y, x1 - x))
        slope = ridge / max(_away(*face), 1)
        yield Surface(look.material, Polygon(face), edge, look.tint, eave, slope)


def _away(a: Point, b: Point, c: Point, d: Point) -> float:
    """How far the middle of c and d lies from the line through a and b."""
    return Axes(*a, math.atan2(b[1] - a[1], b[0] - a[0])).across(*_middle(c, d))


def _middle(*points: Point) -> Point:
    x, y = zip(*points, strict=True)
    return sum(x) / len(points), sum(y) / len(points)


def _body(quad: Quad) -> tuple[Axes, float, float]:
    """The middle of a quadrilateral, u along its front; its width and its depth."""
    a, b, c, d = quad
    angle = math.atan2(b[1] - a[1], b[0] - a[0])
    return Axes(*_middle(*quad), angle), math.dist(a, b), _away(a, b, c, d)


def _flat(
    footprint: Polygon, quad: Quad, look: Look, rng: np.random.Generator
) -> Iterator[Surface]:
    """A flat roof with a parapet; the top of a staircase, water tanks and chimneys on it."""
    place, width, depth = _body(quad)
    top = look.eave + 4
    yield Surface("parapet", footprint, place, look.tint, top + 3)
    deck = footprint.buffer(-rng.uniform(1.6, 2.6), join_style="mitre")
    if deck.geom_type == "Polygon":
        yield Surface(look.material, deck, place, look.tint, top)
    if rng.random() < 0.4:
        u, v = rng.uniform(0.12, 0.22, 2) * (width, depth)
        house = place.at(rng.choice((-1, 1)) * 0.24 * width, rng.choice((-1, 1)) * 0.24 * depth)
        yield Surface("party wall", house.box(-u, -v, u, v), place, draw_tint(rng), top + 12)
    for _ in range(rng.integers(0, 3)):
        spot = place.at(*rng.uniform(-0.35, 0.35, 2) * (width, depth))
        yield Surface("tank", spot.box(-2.5, -2.5, 2.5, 2.5), place, draw_tint(rng), top + 8)
    yield from chimneys(place, 0.35 * width, 0.35 * depth, top, rng)
    if rng.random() < 0.1:
        yield _panel(place, width, depth, top + 2, rng)


def _panel(
    place: Axes, width: float, depth: float, height: float, rng: np.random.Generator
) -> Surface:
    """Solar panels on the half of a roof away from the street."""
    u = rng.uniform(0.15, 0.32) * width
    return Surface("solar panel", place.box(-u, 0.1 * depth, u, 0.3 * depth), place, height=height)
