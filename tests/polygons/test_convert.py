"""geofcn.polygons.convert: traced polygons as shapely's, on the map, without small holes."""

import numpy as np
import pytest
import rasterio.features
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.transform import Affine

from geofcn.core.geodesy import Ground
from geofcn.polygons.convert import fill_holes, to_map, to_shapely
from geofcn.tracing.sweep import Sweep

PLANE = Ground(None)


def trace(mask: np.ndarray) -> np.ndarray:
    sweep = Sweep(mask.shape[1])
    return np.concatenate([to_shapely(sweep.push(mask)), to_shapely(sweep.finish())])


# --- to shapely ---


@settings(max_examples=40)
@given(st.binary(min_size=48, max_size=48))
def test_traced_polygons_cover_the_mask_and_nothing_else(pixels):
    mask = np.frombuffer(pixels, np.uint8).reshape(6, 8) % 2 == 1
    polygons = trace(mask)
    assert shapely.is_valid(polygons).all()
    assert shapely.area(polygons).sum() == mask.sum()
    if mask.any():
        burned = rasterio.features.rasterize(polygons, mask.shape, dtype="uint8")
        np.testing.assert_array_equal(burned == 1, mask)


def test_a_ring_and_the_dot_in_its_hole_by_hand():
    mask = np.ones((5, 5), bool)
    mask[1:4, 1:4] = False
    mask[2, 2] = True
    dot, ring = sorted(trace(mask), key=shapely.area)
    assert dot.equals(shapely.box(2, 2, 3, 3))
    assert ring.equals(shapely.box(0, 0, 5, 5).difference(shapely.box(1, 1, 4, 4)))


def test_no_polygons_are_an_empty_array():
    assert len(trace(np.zeros((3, 4), bool))) == 0


# --- to the map ---

numbers = st.floats(-1000, 1000)


@settings(max_examples=60)
@given(coefficients=st.tuples(*[numbers] * 6), column=numbers, row=numbers)
def test_points_go_where_affine_takes_them(coefficients, column, row):
    transform = Affine(*coefficients)
    corners = [(column, row), (column + 1, row), (column, row + 2)]
    (placed,) = to_map(np.array([shapely.Polygon(corners)]), transform)
    expected = [transform * corner for corner in [*corners, corners[0]]]
    np.testing.assert_allclose(shapely.get_coordinates(placed), expected, rtol=1e-9, atol=1e-6)


def test_holes_go_with_their_polygon():
    court = shapely.box(0, 0, 4, 4).difference(shapely.box(1, 1, 2, 3))
    (placed,) = to_map(np.array([court]), Affine(0.5, 0, 100, 0, -0.5, 200))
    hole = shapely.box(100.5, 198.5, 101, 199.5)
    assert placed.equals(shapely.box(100, 198, 102, 200).difference(hole))


# --- holes ---


def courts(*holes: tuple[float, float, float, float]) -> np.ndarray:
    """One wide polygon with these holes, each (west, south, east, north)."""
    rings = [shapely.box(*hole).exterior.coords for hole in holes]
    return np.array([shapely.Polygon(shapely.box(0, 0, 100, 10).exterior.coords, rings)])


def test_holes_below_the_area_are_filled_and_those_of_it_stay():
    polygons = courts((1, 1, 2, 2), (10, 1, 12, 2), (20, 1, 23, 2))  # 1, 2 and 3 square metres
    for area, remaining in ((0, 3), (1, 3), (1.5, 2), (2, 2), (3, 1), (3.1, 0)):
        (filled,) = fill_holes(polygons, PLANE, area)
        assert filled.is_valid
        assert len(filled.interiors) == remaining, area
    assert fill_holes(polygons, PLANE, 4)[0].equals(shapely.box(0, 0, 100, 10))


@settings(max_examples=40)
@given(
    sides=st.lists(st.lists(st.integers(1, 9), max_size=5), min_size=1, max_size=4),
    area=st.floats(0, 90),
)
def test_only_small_holes_go_whatever_the_polygons_are_among(sides, area):
    polygons = np.concatenate(
        [
            courts(*((10 * i + 1, 0.5, 10 * i + 1 + side, 9.5) for i, side in enumerate(holes)))
            for holes in sides
        ]
    )
    filled = fill_holes(polygons, PLANE, area)
    for polygon, holes in zip(filled, sides, strict=True):
        areas = sorted(shapely.Polygon(ring).area for ring in polygon.interiors)
        assert areas == pytest.approx(sorted(9.0 * side for side in holes if 9.0 * side >= area))


def test_polygons_without_holes_are_the_same_objects_and_the_input_stays():
    box, holed = shapely.box(0, 0, 1, 1), courts((1, 1, 2, 2))[0]
    polygons = np.array([box, holed])
    filled = fill_holes(polygons, PLANE, 5)
    assert filled[0] is box
    assert len(polygons[1].interiors) == 1 and len(filled[1].interiors) == 0
    assert len(fill_holes(polygons[:0], PLANE, 5)) == 0


def test_areas_of_holes_are_on_the_ground():
    """In degrees at 60 north: a hole of 0.001 x 0.001 of them is 55.8 m x 111.4 m, 6,215 m2."""
    hole = shapely.box(10.001, 60.001, 10.002, 60.002)
    polygons = np.array([shapely.box(10, 60, 10.01, 60.01).difference(hole)])
    ground = Ground(CRS.from_epsg(4326))
    assert len(fill_holes(polygons, ground, 6_100)[0].interiors) == 1
    assert len(fill_holes(polygons, ground, 6_300)[0].interiors) == 0
