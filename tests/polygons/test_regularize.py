"""Rasterised shapes whose outlines are known, and rules that hold for every outline."""

from types import SimpleNamespace

import numpy as np
import pytest
import rasterio.features
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import affinity

from geofcn.core.ragged import intersection_over_union
from geofcn.polygons import orthogonalize
from geofcn.polygons import regularize as regularize_module
from geofcn.polygons.regularize import regularize

TOLERANCE = 1.5
L_SHAPE = shapely.Polygon([(0, 0), (80, 0), (80, 30), (35, 30), (35, 70), (0, 70)])


def footprints(mask):
    """The raw outlines of a boolean mask, in pixel corners (column, row)."""
    mask = np.asarray(mask).astype(np.uint8)
    found = rasterio.features.shapes(mask, mask == 1)
    return np.array([shapely.geometry.shape(outline) for outline, _ in found], dtype=object)


def rasterised(shape, angle=0.0):
    """`shape`, rotated and put at an odd place, and the raw outline of its pixels."""
    turned = affinity.rotate(shape, angle)
    west, north, east, south = turned.bounds
    placed = affinity.translate(turned, 3.37 - west, 3.61 - north)
    size = int(south - north) + 8, int(east - west) + 8
    (raw,) = footprints(rasterio.features.rasterize([placed], size, dtype="uint8"))
    return placed, raw


def only(raw, method="square"):
    """The clean outline of one polygon, and its status."""
    cleaned, status = regularize(np.array([raw], dtype=object), method, TOLERANCE)
    return cleaned[0], status[0]


def corner_angles(ring):
    """Degrees by which a closed ring turns at each of its corners."""
    steps = np.diff(np.asarray(ring.coords), axis=0)
    heading = np.degrees(np.arctan2(*steps.T[::-1]))
    return (np.diff(heading, append=heading[0]) + 180) % 360 - 180


def circle(radius, east=0.0, south=0.0):
    size = int(2 * radius) + 8
    row, column = np.mgrid[:size, :size] + 0.5
    middle = radius + 4
    return (column - middle - east) ** 2 + (row - middle - south) ** 2 < radius**2


# --- right angles --------------------------------------------------------------------------------


@pytest.mark.parametrize("angle", [0, 10, 30, 45, 61.8, 88])
@pytest.mark.parametrize("shape", [L_SHAPE, shapely.box(0, 0, 50, 30)], ids=["L", "box"])
def test_a_rotated_shape_comes_back_with_its_right_angles(shape, angle):
    true, raw = rasterised(shape, angle)
    square, status = only(raw)
    assert status == "squared"
    assert len(square.exterior.coords) == len(shape.exterior.coords)
    np.testing.assert_allclose(np.abs(corner_angles(square.exterior)), 90, atol=1e-6)
    assert intersection_over_union(square, true) > (
        0.95 if angle == 0 else 0.975
    )  # at 0 pixels round alike


def test_the_l_rotated_by_30_degrees_has_6_corners():
    _, raw = rasterised(L_SHAPE, 30)
    assert len(raw.exterior.coords) > 100
    square, _ = only(raw)
    assert len(square.exterior.coords) - 1 == 6


def test_walls_halve_a_ragged_boundary():
    mask = np.zeros((40, 70), dtype=bool)
    mask[5:35, 5:65] = True
    mask[5, 5:65:2] = False  # teeth of one pixel: the wall lies half a pixel below the edge
    square, status = only(footprints(mask)[0])
    assert status == "squared"
    np.testing.assert_allclose(square.bounds, (5, 5.5, 65, 35), atol=0.05)


def test_a_notch_too_short_for_a_wall_is_dropped_and_a_long_one_kept():
    mask = np.zeros((60, 80), dtype=bool)
    mask[10:50, 10:70] = True
    mask[10:12, 38:42] = False
    square, _ = only(footprints(mask)[0])
    assert len(square.exterior.coords) - 1 == 4
    mask[10:20, 30:50] = False
    square, _ = only(footprints(mask)[0])
    assert len(square.exterior.coords) - 1 == 8


def test_a_slanted_wall_stays_slanted():
    house = shapely.Polygon([(0, 0), (60, 0), (60, 20), (40, 40), (0, 40)])
    true, raw = rasterised(house, 20)
    square, status = only(raw)
    assert status == "squared"
    turns = np.sort(np.round(np.abs(corner_angles(square.exterior))))
    np.testing.assert_allclose(turns, [45, 45, 90, 90, 90], atol=3)
    assert intersection_over_union(square, true) > 0.97


def test_holes_are_kept_and_squared():
    court = L_SHAPE.difference(shapely.box(8, 8, 27, 24))
    true, raw = rasterised(court, 30)
    square, status = only(raw)
    assert status == "squared"
    (hole,) = square.interiors
    assert len(hole.coords) - 1 == 4
    np.testing.assert_allclose(np.abs(corner_angles(hole)), 90, atol=1e-6)
    assert intersection_over_union(square, true) > 0.96


def test_a_hole_without_walls_is_kept_simplified():
    mask = np.zeros((80, 90), dtype=bool)
    mask[5:75, 5:85] = True
    mask[30:50, 40:60] &= np.tri(20, dtype=bool)
    square, status = only(footprints(mask)[0])
    assert status == "squared"
    assert len(square.exterior.coords) - 1 == 4
    assert len(square.interiors) == 1
    assert shapely.Polygon(square.interiors[0]).area == pytest.approx(190, rel=0.2)


# --- what is not squared -------------------------------------------------------------------------


@pytest.mark.parametrize("radius", [8, 12, 20, 33, 60])
@pytest.mark.parametrize("place", [(0, 0), (0.5, 0.5), (0.3, 0.1)])
def test_round_buildings_stay_round(radius, place):
    (raw,) = footprints(circle(radius, *place))
    square, status = only(raw)
    assert status == "simplified"
    assert square.equals(only(raw, "simplify")[0])
    assert len(square.exterior.coords) - 1 > 5


def test_an_outline_without_a_direction_is_simplified():
    corners = [(40 * np.cos(a), 40 * np.sin(a)) for a in np.radians([0, 120, 240])]
    _, raw = rasterised(shapely.Polygon(corners), 5)
    assert only(raw)[1] == "simplified"


def test_what_would_lose_a_fifth_stays_raw():
    (pixel,) = footprints(np.pad([[True]], 2))
    assert only(pixel, "simplify") == (pixel, "raw")
    assert only(pixel)[0].equals(pixel)


def test_a_clean_outline_that_is_invalid_is_not_used(monkeypatch):
    bow_tie = shapely.Polygon([(0, 0), (9, 9), (9, 0), (0, 9)])
    raw = shapely.box(0, 0, 9, 9)
    monkeypatch.setattr(
        regularize_module,
        "orthogonalize",
        lambda *_: (np.array([0]), np.array([bow_tie], dtype=object)),
    )
    assert only(raw) == (raw, "simplified")


def test_speckle_is_simplified_but_not_squared(monkeypatch):
    monkeypatch.setattr(regularize_module, "MAX_HOLES", 3)
    mask = np.ones((20, 60), dtype=bool)
    mask[10, 10:50:10] = False
    assert only(footprints(mask)[0])[1] == "simplified"
    mask[10, 10] = True
    assert only(footprints(mask)[0])[1] == "squared"


# --- rules ---------------------------------------------------------------------------------------


def test_raw_is_as_is():
    raw = np.array([rasterised(L_SHAPE, a)[1] for a in (0, 20)], dtype=object)
    cleaned, status = regularize(raw, "raw", TOLERANCE)
    assert shapely.equals_exact(cleaned, raw).all()
    assert list(status) == ["raw", "raw"]


def test_simplify_is_douglas_peucker():
    _, raw = rasterised(L_SHAPE, 25)
    simple, status = only(raw, "simplify")
    assert status == "simplified"
    assert simple.equals_exact(shapely.simplify(raw, TOLERANCE), 0)
    assert shapely.hausdorff_distance(simple, raw) <= TOLERANCE


@pytest.mark.parametrize("method", regularize_module.METHODS)
def test_no_polygons_are_no_outlines(method):
    cleaned, status = regularize(np.array([], dtype=object), method, TOLERANCE)
    assert len(cleaned) == len(status) == 0


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="raw, simplify, square"):
        regularize(np.array([], dtype=object), "round", TOLERANCE)


def test_only_pixel_corners_can_be_squared():
    raw = affinity.translate(rasterised(L_SHAPE, 30)[1], 0.5, 0)
    with pytest.raises(ValueError, match="integer pixel"):
        only(raw)


def blobs(seed, density, grain):
    """Outlines of random blocks of 1 to 6 pixels, holes and needles among them."""
    coarse = np.random.default_rng(seed).random((24, 24)) < density
    return footprints(np.kron(coarse, np.ones((grain, grain), dtype=bool)))


@given(
    seed=st.integers(0, 10**6),
    density=st.floats(0.1, 0.8),
    grain=st.integers(1, 6),
    tolerance=st.sampled_from([0.5, 1.5, 4.0]),
    method=st.sampled_from(["simplify", "square"]),
)
@settings(deadline=None, max_examples=80)
def test_every_outline_is_valid_near_its_raw_one_and_has_its_holes(
    seed, density, grain, tolerance, method
):
    raw = blobs(seed, density, grain)
    cleaned, status = regularize(raw, method, tolerance)
    assert shapely.is_valid(cleaned).all()
    assert (shapely.get_type_id(cleaned) == shapely.GeometryType.POLYGON).all()
    assert (intersection_over_union(cleaned, raw) >= 0.80 - 1e-12).all()
    holes = shapely.get_num_interior_rings(raw)
    np.testing.assert_array_equal(shapely.get_num_interior_rings(cleaned), holes)
    assert set(status) <= {"squared", "simplified", "raw"}
    unchanged = status == "raw"
    assert shapely.equals_exact(cleaned[unchanged], raw[unchanged]).all()


@given(seed=st.integers(0, 10**6), grain=st.integers(2, 6))
@settings(deadline=None, max_examples=20)
def test_an_outline_does_not_depend_on_its_company(seed, grain):
    raw = blobs(seed, 0.4, grain)
    together, status = regularize(raw, "square", TOLERANCE)
    for cut in (1, 7):
        parts = [regularize(raw[i : i + cut], "square", TOLERANCE) for i in range(0, len(raw), cut)]
        apart = np.concatenate([part for part, _ in parts])
        np.testing.assert_array_equal(shapely.to_wkb(apart), shapely.to_wkb(together))
        assert [s for _, part in parts for s in part] == list(status)


@given(east=st.integers(0, 10**6), south=st.integers(0, 10**6), angle=st.floats(0, 90))
@settings(deadline=None, max_examples=30)
def test_an_outline_does_not_depend_on_where_it_lies(east, south, angle):
    _, raw = rasterised(L_SHAPE, angle)
    here, status = only(raw)
    there, same = only(affinity.translate(raw, east, south))
    assert status == same
    moved = affinity.translate(here, east, south)
    assert shapely.equals_exact(there, moved, tolerance=1e-6)


@given(mask=st.binary(min_size=49, max_size=49))
@settings(deadline=None, max_examples=100)
def test_integrals_around_a_ring_are_its_area_and_its_moments(mask):
    """From whichever vertex they start, and whatever rings come before."""
    raw = footprints(np.frombuffer(mask, dtype=np.uint8).reshape(7, 7) % 2 == 1)
    if not len(raw):
        return
    boundary = orthogonalize._Boundary.of(raw)
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
