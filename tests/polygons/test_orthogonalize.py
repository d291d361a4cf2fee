"""geofcn.polygons.orthogonalize: rasterised shapes whose right angles are known."""

from types import SimpleNamespace

import numpy as np
import pytest
import rasterio.features
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import affinity

from geofcn.core.ragged import intersection_over_union
from geofcn.polygons import orthogonalize as orthogonalize_module
from geofcn.polygons.orthogonalize import orthogonalize
from geofcn.polygons.regularize import regularize
from geofcn.polygons.simplify import simplify

TOLERANCE = 1.5
L_SHAPE = shapely.Polygon([(0, 0), (80, 0), (80, 30), (35, 30), (35, 70), (0, 70)])


def footprints(mask):
    """The raw outlines of a boolean mask, in pixel corners (column, row)."""
    mask = np.asarray(mask).astype(np.uint8)
    outlines = rasterio.features.shapes(mask, mask == 1)
    return np.array([shapely.geometry.shape(outline) for outline, _ in outlines], dtype=object)


def rasterised(shape, angle=0.0):
    """`shape`, rotated and put at an odd place, and the raw outline of its pixels."""
    turned = affinity.rotate(shape, angle)
    west, north, east, south = turned.bounds
    placed = affinity.translate(turned, 3.37 - west, 3.61 - north)
    size = int(south - north) + 8, int(east - west) + 8
    (raw,) = footprints(rasterio.features.rasterize([placed], size, dtype="uint8"))
    return placed, raw


def square_all(raw):
    return orthogonalize(raw, simplify(raw, TOLERANCE).polygons, TOLERANCE)


def squared(raw):
    """The outline of one polygon with right angles, which regularize uses."""
    polygons = np.array([raw], dtype=object)
    which, square = square_all(polygons)
    assert which.tolist() == [0]
    cleaned, status = regularize(polygons, "square", TOLERANCE)
    assert status[0] == "squared" and cleaned[0].equals_exact(square[0], 0)
    return square[0]


def corner_angles(ring):
    """Degrees by which a closed ring turns at each of its corners."""
    steps = np.diff(np.asarray(ring.coords), axis=0)
    heading = np.degrees(np.arctan2(*steps.T[::-1]))
    return (np.diff(heading, append=heading[0]) + 180) % 360 - 180


# --- right angles ---


@pytest.mark.parametrize("angle", [0, 10, 30, 45, 61.8, 88])
@pytest.mark.parametrize("shape", [L_SHAPE, shapely.box(0, 0, 50, 30)], ids=["L", "box"])
def test_a_rotated_shape_comes_back_with_its_right_angles(shape, angle):
    true, raw = rasterised(shape, angle)
    square = squared(raw)
    assert len(square.exterior.coords) == len(shape.exterior.coords)
    np.testing.assert_allclose(np.abs(corner_angles(square.exterior)), 90, atol=1e-6)
    # At 0 degrees all pixels along a wall are rounded alike.
    assert intersection_over_union(square, true) > (0.95 if angle == 0 else 0.975)


def test_the_l_rotated_by_30_degrees_has_6_corners():
    _, raw = rasterised(L_SHAPE, 30)
    assert len(raw.exterior.coords) > 100
    square = squared(raw)
    assert len(square.exterior.coords) - 1 == 6


def test_walls_halve_a_ragged_boundary():
    mask = np.zeros((40, 70), dtype=bool)
    mask[5:35, 5:65] = True
    mask[5, 5:65:2] = False  # teeth of one pixel: the wall lies half a pixel below the edge
    square = squared(footprints(mask)[0])
    np.testing.assert_allclose(square.bounds, (5, 5.5, 65, 35), atol=0.05)


def test_a_notch_too_short_for_a_wall_is_dropped_and_a_long_one_stays():
    mask = np.zeros((60, 80), dtype=bool)
    mask[10:50, 10:70] = True
    mask[10:12, 38:42] = False
    square = squared(footprints(mask)[0])
    assert len(square.exterior.coords) - 1 == 4
    mask[10:20, 30:50] = False
    square = squared(footprints(mask)[0])
    assert len(square.exterior.coords) - 1 == 8


def test_a_slanted_wall_stays_slanted():
    house = shapely.Polygon([(0, 0), (60, 0), (60, 20), (40, 40), (0, 40)])
    true, raw = rasterised(house, 20)
    square = squared(raw)
    turns = np.sort(np.round(np.abs(corner_angles(square.exterior))))
    np.testing.assert_allclose(turns, [45, 45, 90, 90, 90], atol=3)
    assert intersection_over_union(square, true) > 0.97


def test_holes_are_kept_and_squared():
    court = L_SHAPE.difference(shapely.box(8, 8, 27, 24))
    true, raw = rasterised(court, 30)
    square = squared(raw)
    (hole,) = square.interiors
    assert len(hole.coords) - 1 == 4
    np.testing.assert_allclose(np.abs(corner_angles(hole)), 90, atol=1e-6)
    assert intersection_over_union(square, true) > 0.96


def test_a_hole_without_walls_is_kept_simplified():
    mask = np.zeros((80, 90), dtype=bool)
    mask[5:75, 5:85] = True
    mask[30:50, 40:60] &= np.tri(20, dtype=bool)
    square = squared(footprints(mask)[0])
    assert len(square.exterior.coords) - 1 == 4
    assert len(square.interiors) == 1
    assert shapely.Polygon(square.interiors[0]).area == pytest.approx(190, rel=0.2)


def test_a_box_along_the_pixels_is_itself():
    (raw,) = footprints(np.pad(np.ones((12, 20), bool), 3))
    assert squared(raw).equals(shapely.box(3, 3, 23, 15))


@given(width=st.integers(12, 40), height=st.integers(12, 40), angle=st.floats(0, 90))
@settings(max_examples=40)
def test_a_rectangle_has_the_walls_and_the_direction_it_was_drawn_with(width, height, angle):
    _, raw = rasterised(shapely.box(0, 0, width, height), angle)
    square = squared(raw)
    assert len(square.exterior.coords) - 1 == 4
    # Of every wall, the angle to the drawn direction, folded to a quarter turn.
    steps = np.diff(shapely.get_coordinates(square), axis=0)
    heading = np.degrees(np.arctan2(steps[:, 1], steps[:, 0])) - angle
    assert (np.abs((heading + 45) % 90 - 45) < 5).all()
    sides = np.sort(np.hypot(*steps.T))[::2]
    np.testing.assert_allclose(sides, sorted((width, height)), atol=1.5)
    assert square.area == pytest.approx(raw.area, rel=0.02)


def test_outlines_that_are_squared_are_told_by_their_numbers():
    disc = np.hypot(*(np.mgrid[:41, :41] - 20)) < 15
    mask = np.zeros((60, 160), bool)
    mask[5:46, 5:46] = disc
    mask[5:35, 60:90] = True
    mask[10:30, 110:150] = True
    raw = footprints(mask)
    which, square = square_all(raw)
    boxes = np.flatnonzero(shapely.area(raw) == shapely.area(shapely.envelope(raw)))
    assert which.tolist() == boxes.tolist() and len(boxes) == 2
    assert shapely.equals(square, raw[which]).all()


@pytest.mark.parametrize(
    "polygon",
    [
        shapely.Polygon([(0, 0), (30, 0), (0, 30)]),
        shapely.Polygon([(10, 0), (30, 0), (40, 17), (30, 34), (10, 34), (0, 17)]),
    ],
    ids=["triangle", "hexagon"],
)
def test_what_has_no_four_walls_at_right_angles_is_left_out(polygon):
    which, square = square_all(np.array([polygon]))
    assert len(which) == len(square) == 0


def test_no_polygons_have_no_right_angles():
    which, square = square_all(np.array([], dtype=object))
    assert len(which) == len(square) == 0


@pytest.mark.parametrize("moved", ["raw", "simple"])
def test_coordinates_that_are_no_integers_are_refused(moved):
    raw = footprints(np.pad(np.ones((12, 20), bool), 3))
    outlines = {"raw": raw, "simple": simplify(raw, TOLERANCE).polygons}
    outlines[moved] = shapely.transform(outlines[moved], lambda points: points + 0.5)
    with pytest.raises(ValueError, match="integer pixel"):
        orthogonalize(outlines["raw"], outlines["simple"], TOLERANCE)


def test_a_turn_by_a_quarter_turns_the_outline():
    _, raw = rasterised(L_SHAPE, 25)
    turned = shapely.transform(raw, lambda points: points[:, ::-1] * [1, -1])
    expected = shapely.transform(squared(raw), lambda points: points[:, ::-1] * [1, -1])
    assert intersection_over_union(squared(turned), expected) > 1 - 1e-9


# --- integrals over the boundary ---


@given(mask=st.binary(min_size=49, max_size=49))
@settings(deadline=None, max_examples=100)
def test_integrals_around_a_ring_are_its_area_and_its_moments(mask):
    """From whichever vertex they start, and whatever rings come before."""
    raw = footprints(np.frombuffer(mask, dtype=np.uint8).reshape(7, 7) % 2 == 1)
    if not len(raw):
        return
    boundary = orthogonalize_module._Boundary.of(raw)
    rings = shapely.get_rings(raw)
    for shift in (0, 1):
        vertex = boundary.offsets[:-1] + shift
        whole = SimpleNamespace(start=vertex, end=vertex, ring=np.arange(len(rings)))
        xdx, xdy, ydx, ydy = boundary.integrals(whole).T
        np.testing.assert_array_equal(np.abs(xdy), shapely.area(shapely.polygons(rings)))
        np.testing.assert_array_equal(ydx, -xdy)
        assert not xdx.any() and not ydy.any()
        expected = [spread(ring) for ring in rings]
        np.testing.assert_allclose(boundary.spread(whole), expected, atol=1e-9)


def spread(ring):
    """Variances of x, of x with y, and of y along a ring, from 50 points a pixel."""
    x, y = shapely.get_coordinates(
        shapely.line_interpolate_point(ring, np.arange(0.01, ring.length, 0.02))
    ).T
    cov = np.cov(x, y, bias=True)
    # Each point stands for 1/50 pixel of boundary, which varies by itself.
    inner = 0.02**2 / 12
    steps = np.abs(np.diff(np.asarray(ring.coords), axis=0)).sum(axis=0) / ring.length
    return cov[0, 0] + inner * steps[0], cov[0, 1], cov[1, 1] + inner * steps[1]
