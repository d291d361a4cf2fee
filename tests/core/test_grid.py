"""The grid of a raster: its pixels as a window, its corners on the ground."""

import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.transform import array_bounds

from geofcn.core.grid import Grid
from geofcn.core.windows import Window

TRANSFORM = Affine(0.5, 0, 600_000, 0, -0.25, 5_100_000)


@pytest.mark.parametrize(
    ("moved", "is_same"),
    [
        (Affine.identity(), True),
        (Affine.translation(1e-9, -1e-9), True),
        (Affine.translation(0.01, 0), False),
        (Affine.scale(1 + 1e-9), True),
        (Affine.scale(1.01), False),
        (Affine.rotation(180), False),
    ],
)
def test_grids_are_the_same_to_a_thousandth_of_a_pixel(moved, is_same):
    grid = Grid(20, 30, None, TRANSFORM)
    assert grid.is_at(Grid(20, 30, None, TRANSFORM * moved)) is is_same
    assert not grid.is_at(Grid(21, 30, None, TRANSFORM * moved))


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_its_window_is_all_of_its_pixels(height, width):
    window = Grid(height, width, None, TRANSFORM).window
    assert window == Window(0, 0, height, width)
    assert window.pixels == height * width


def test_its_transform_takes_pixel_corners_to_the_bounds_of_rasterio():
    grid = Grid(30, 40, CRS.from_epsg(32632), TRANSFORM)
    west, south, east, north = array_bounds(grid.height, grid.width, grid.transform)
    assert grid.transform * (0, 0) == (west, north) == (600_000, 5_100_000)
    assert grid.transform * (grid.width, grid.height) == (east, south) == (600_020, 5_099_992.5)


def test_grids_are_equal_where_rows_columns_crs_and_transform_are():
    grid = Grid(3, 4, CRS.from_epsg(32632), TRANSFORM)
    assert grid == Grid(3, 4, CRS.from_epsg(32632), Affine(*TRANSFORM))
    for unlike in (
        Grid(4, 3, grid.crs, TRANSFORM),
        Grid(3, 4, None, TRANSFORM),
        Grid(3, 4, CRS.from_epsg(32633), TRANSFORM),
        Grid(3, 4, grid.crs, TRANSFORM * Affine.translation(1, 0)),
    ):
        assert grid != unlike


def test_a_grid_cannot_be_changed():
    with pytest.raises(AttributeError):
        Grid(3, 4, None, TRANSFORM).height = 5


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (TRANSFORM * Affine.translation(1e-9, -1e-9), True),
        (TRANSFORM * Affine.translation(0.9e-3, 0), True),
        (TRANSFORM * Affine.translation(1.1e-3, 0), False),
        # A thousandth of a pixel at the corner, not in each pixel.
        (TRANSFORM * Affine.scale(1 + 0.9e-3 / 400), True),
        (TRANSFORM * Affine.scale(1 + 1.1e-3 / 400), False),
    ],
)
def test_a_grid_is_the_same_when_no_corner_is_off_by_a_thousandth_of_a_pixel(other, same):
    grid = Grid(300, 400, CRS.from_epsg(32632), TRANSFORM)
    assert grid.is_at(Grid(300, 400, None, other)) == same
    assert not grid.is_at(Grid(400, 300, None, TRANSFORM))
