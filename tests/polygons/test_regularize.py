"""geofcn.polygons.regularize: which outline is used, and rules that hold for every one."""

import numpy as np
import pytest
import rasterio.features
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import affinity

from geofcn.core.ragged import intersection_over_union
from geofcn.polygons import regularize as regularize_module
from geofcn.polygons.regularize import regularize

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


def only(raw, method="square"):
    """The clean outline of one polygon, and its status."""
    cleaned, status = regularize(np.array([raw], dtype=object), method, TOLERANCE)
    return cleaned[0], status[0]


def circle(radius, east=0.0, south=0.0):
    size = int(2 * radius) + 8
    row, column = np.mgrid[:size, :size] + 0.5
    middle = radius + 4
    return (column - middle - east) ** 2 + (row - middle - south) ** 2 < radius**2


# --- what is not squared ---


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


# --- rules ---


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
    cleaned, status = only(raw)
    elsewhere, same = only(affinity.translate(raw, east, south))
    assert status == same
    moved = affinity.translate(cleaned, east, south)
    assert shapely.equals_exact(elsewhere, moved, tolerance=1e-6)


def test_every_method_leaves_the_polygons_that_it_was_given_alone():
    raw = blobs(3, 0.4, 3)
    before = shapely.to_wkb(raw)
    for method in regularize_module.METHODS:
        regularize(raw, method, TOLERANCE)
    np.testing.assert_array_equal(shapely.to_wkb(raw), before)


def test_each_polygon_of_an_array_has_a_status_of_its_own():
    mask = np.zeros((80, 200), dtype=bool)
    mask[10:40, 10:60] = True  # squared
    mask[10:70, 80:140] |= circle(26)  # simplified
    mask[5, 190] = True  # one pixel: raw
    raw = footprints(mask)
    cleaned, status = regularize(raw, "square", TOLERANCE)
    pixels = shapely.area(raw)
    assert dict(zip(np.argsort(np.argsort(pixels)).tolist(), status, strict=True)) == {
        0: "raw",
        1: "squared",
        2: "simplified",
    }
    assert shapely.equals(cleaned[status == "squared"], shapely.box(10, 10, 60, 40)).all()


def test_outlines_that_agree_are_told_with_and_without_an_overlay():
    raw = np.array([shapely.box(0, 0, 10, 10)] * 3)
    shifted = np.array([shapely.box(east, 0, 10 + east, 10) for east in (0, 1, 2)])
    expected = intersection_over_union(shifted, raw) >= regularize_module.MIN_AGREEMENT
    assert expected.tolist() == [True, True, False]
    for difference in (np.inf, np.array([0.0, 20.0, 40.0])):
        agreeing = regularize_module.agreeing(shifted, raw, difference)
        np.testing.assert_array_equal(agreeing, expected)
