"""Convex pieces of a town's ground: cut along lanes, drawn in from their streets.

A piece is a ring of corners, clockwise in the picture, so that its inside lies to the right of each
side. Coordinates are pixels, x to the right and y down.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from shapely import Polygon

from geofcn.synthetic.buildings import Axes

LEAST_SIDE = 12  # pixels, of what is left of a piece


@dataclass(frozen=True)
class Corner:
    """A corner of a piece, and the street along the side that begins there.

    Attributes
    ----------
    x, y : float
        Where it lies.
    street : float
        Half the street's width, in pixels.
    """

    x: float
    y: float
    street: float


@dataclass(frozen=True)
class Side:
    """A side of a piece.

    Attributes
    ----------
    edge : Axes
        At its first corner, u along it and v into the piece.
    length : float
        In pixels.
    street : float
        Half the width of the street along it.
    """

    edge: Axes
    length: float
    street: float


Piece = Sequence[Corner]


def polygon_of(piece: Piece) -> Polygon:
    """The ground of a piece."""
    return Polygon([(corner.x, corner.y) for corner in piece])


def sides_of(piece: Piece) -> list[Side]:
    """The sides, each from a corner to the next one."""
    sides = []
    for a, b in pairwise([*piece, piece[0]]):
        dx, dy = b.x - a.x, b.y - a.y
        sides.append(Side(Axes(a.x, a.y, math.atan2(dy, dx)), math.hypot(dx, dy), a.street))
    return sides


def turns_of(piece: Piece) -> list[float]:
    """By how much the way along the sides turns to the right at every corner, in radians."""
    angles = [side.edge.angle for side in sides_of(piece)]
    before = [angles[-1], *angles[:-1]]
    return [(b - a) % (2 * math.pi) for a, b in zip(before, angles, strict=True)]


def cut(
    piece: Piece, first: int, shares: tuple[float, float], street: float
) -> tuple[list[Corner], list[Corner]]:
    """Both parts of a piece with four sides, cut from one side to the opposite one.

    Parameters
    ----------
    piece : sequence of Corner
        Four of them.
    first : int
        The side where the cut begins.
    shares : (float, float)
        How far along this side, and along the opposite one, it begins and ends.
    street : float
        Half the width of the street that follows the cut.

    Examples
    --------
    >>> square = [Corner(0, 0, 5), Corner(8, 0, 6), Corner(8, 8, 5), Corner(0, 8, 6)]
    >>> right, left = cut(square, 0, (0.5, 0.25), 3)
    >>> [(corner.x, corner.y, corner.street) for corner in right]
    [(4.0, 0.0, 5), (8, 0, 6), (8, 8, 5), (6.0, 8.0, 3)]
    >>> [(corner.x, corner.y, corner.street) for corner in left]
    [(6.0, 8.0, 5), (0, 8, 6), (0, 0, 5), (4.0, 0.0, 3)]
    """
    a, b, c, d = [*piece[first:], *piece[:first]]
    start = a.x + shares[0] * (b.x - a.x), a.y + shares[0] * (b.y - a.y)
    stop = c.x + shares[1] * (d.x - c.x), c.y + shares[1] * (d.y - c.y)
    right = [Corner(*start, a.street), b, c, Corner(*stop, street)]
    left = [Corner(*stop, c.street), d, a, Corner(*start, street)]
    return right, left


def draw_in(piece: Piece, depths: Sequence[float]) -> list[Corner]:
    """A piece without strips along its sides; see `has_all_sides` for whether any of it is left.

    Parameters
    ----------
    piece : sequence of Corner
        Convex.
    depths : sequence of float
        How wide the strip along each side is, in pixels.

    Examples
    --------
    >>> square = [Corner(0, 0, 5), Corner(30, 0, 5), Corner(30, 30, 5), Corner(0, 30, 5)]
    >>> [(round(corner.x), round(corner.y)) for corner in draw_in(square, [1, 2, 3, 4])]
    [(4, 1), (28, 1), (28, 27), (4, 27)]
    """
    lines = [side.edge.at(0, depth) for side, depth in zip(sides_of(piece), depths, strict=True)]
    corners = []
    for before, line, corner in zip([lines[-1], *lines[:-1]], lines, piece, strict=True):
        along = line.across(before.x, before.y) / math.sin(line.angle - before.angle)
        corners.append(Corner(*before.point(along, 0), corner.street))
    return corners


def has_all_sides(inner: Piece, piece: Piece) -> bool:
    """Whether what is left of a piece that was drawn in has all its sides, none of them tiny.

    Examples
    --------
    >>> square = [Corner(0, 0, 5), Corner(30, 0, 5), Corner(30, 30, 5), Corner(0, 30, 5)]
    >>> [has_all_sides(draw_in(square, [depth] * 4), square) for depth in (5, 14, 28)]
    [True, False, False]
    """
    return all(
        now.length >= LEAST_SIDE and math.cos(now.edge.angle - was.edge.angle) > 0
        for now, was in zip(sides_of(inner), sides_of(piece), strict=True)
    )
