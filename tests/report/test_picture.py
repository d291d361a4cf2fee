"""geofcn.report.picture: pictures of bounded size, and where map coordinates lie on them."""

import base64

import numpy as np
import pyproj
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from pages import decoded

from geofcn.core.windows import Window
from geofcn.io.opening import open_scene
from geofcn.report.picture import (
    GREY,
    LONGEST,
    OPACITY,
    Canvas,
    Kind,
    layer_of,
    path_of,
    photograph,
    photograph_of,
    png_of,
    reduced_shape,
    simplified,
)  # fmt: skip


@given(st.integers(1, 10**7), st.integers(1, 10**7))
def test_no_picture_is_larger_than_it_may_be(height, width):
    rows, cols = reduced_shape(height, width)
    assert 1 <= rows <= min(height, LONGEST) and 1 <= cols <= min(width, LONGEST)
    assert max(rows, cols) == min(LONGEST, max(height, width))


def test_a_photograph_shows_the_scene_and_grey_where_it_is_blank(write_raster):
    image = np.full((3, 64, 64), 200, np.uint8)
    image[:, :32], image[0, 32:] = 0, 90
    scene = open_scene(write_raster("s.tif", image, nodata=0))
    shown = np.asarray(decoded(photograph(scene, (32, 32)))).astype(int)
    assert shown.shape == (32, 32, 3)
    assert abs(shown[2:14] - GREY).max() < 12
    assert abs(shown[18:, 2:-2] - [90, 200, 200]).max() < 12
    part = np.asarray(decoded(photograph(scene, (8, 8), Window(40, 40, 16, 16)))).astype(int)
    assert abs(part - [90, 200, 200]).max() < 12


def test_values_of_other_types_are_stretched_without_what_is_blank():
    image = np.array([[[-9999.0, 1, 2, 3]]], np.float32)
    shown = np.asarray(decoded(photograph_of(image, image[0] > 0)))[0, :, 0].astype(int)
    assert shown[1] < 40 and shown[3] > 200


def test_noise_is_compressed_until_it_is_small_enough():
    noise = np.random.default_rng(0).integers(0, 256, (3, 400, 400)).astype(np.uint8)
    everywhere = np.ones((400, 400), bool)
    sizes = [len(base64.b64decode(photograph_of(noise, everywhere, most).partition(",")[2]))
             for most in (10**6, 60_000)]  # fmt: skip
    assert sizes[1] <= 60_000 < sizes[0]


def test_a_layer_has_the_colours_of_its_kinds_and_is_clear_elsewhere():
    kinds = Kind("a", (10, 20, 30)), Kind("b", (40, 50, 60))
    layer = np.asarray(decoded(layer_of(np.array([[0, 1, 2]], np.uint8), kinds)).convert("RGBA"))
    assert layer[0].tolist() == [[0, 0, 0, 0], [10, 20, 30, OPACITY], [40, 50, 60, OPACITY]]
    assert layer_of(np.zeros((2, 2), np.uint8), kinds) == ""


def test_a_png_is_what_it_was_made_of():
    picture = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert (np.asarray(decoded(png_of(picture))) == picture).all()


def test_polygons_lie_where_the_scene_shows_them(write_raster):
    scene = open_scene(write_raster("s.tif", np.zeros((1, 1600 * 2, 1600), np.uint8)))
    canvas = Canvas.of_grid(scene.grid)
    assert (canvas.height, canvas.width) == (1600, 800)
    # 10 to 20 columns, 4 to 8 rows of 0.2 m: half as many pixels of the picture.
    house = np.array([shapely.box(500_002, 4_999_998.4, 500_004, 4_999_999.2)])
    (placed,) = canvas.place(house, pyproj.CRS("EPSG:25832"))
    assert placed.bounds == pytest.approx((5, 2, 10, 4))
    degrees = pyproj.Transformer.from_crs(25832, 4326, always_xy=True).transform
    elsewhere = shapely.transform(house, degrees, interleaved=False)
    (same,) = canvas.place(elsewhere, pyproj.CRS("EPSG:4326"))
    assert same.bounds == pytest.approx((5, 2, 10, 4), abs=1e-3)


@pytest.mark.parametrize(
    "bounds", [(0, 0, 30, 10), (5, 5, 5, 5), [np.inf, np.inf, -np.inf, -np.inf]]
)
def test_without_a_scene_the_picture_is_where_the_houses_are(bounds):
    canvas = Canvas.of_bounds(np.array(bounds, float))
    assert 1 <= max(canvas.height, canvas.width) <= LONGEST
    if bounds[0] == 0:
        (placed,) = canvas.place(np.array([shapely.box(*bounds)]))
        left, top, right, bottom = placed.bounds
        assert 0 < left < 50 and 0 < top < 50 and right < canvas.width and bottom < canvas.height
        assert right - left == pytest.approx(3 * (bottom - top))


def test_a_path_has_all_rings_and_loses_what_nobody_sees():
    ring = shapely.box(0, 0, 10, 10).difference(shapely.box(2, 2, 4, 4))
    assert path_of(ring).count("M") == 2
    wavy = shapely.Polygon([(0, 0), (5, 0.1), (10, 0), (10, 10), (0, 10)])
    (straight,) = simplified(np.array([wavy]))
    assert path_of(straight) == "M0 0l100 0 0 100 -100 0z"
