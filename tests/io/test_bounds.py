"""geofcn.io.bounds: a rectangle of any CRS on a scene's grid."""

import numpy as np
import pyproj
import pytest
from rasterio.transform import from_origin

from geofcn.core.windows import Window
from geofcn.errors import LabelsError, UsageError
from geofcn.io.bounds import Rectangle
from geofcn.io.opening import open_scene
from geofcn.io.scene import Scene


@pytest.fixture
def make_scene(write_raster):
    """make_scene(crs, left, top, pixel) -> Scene of 20 x 30 pixels."""

    def make(crs, left, top, pixel) -> Scene:
        image, transform = np.ones((3, 20, 30), np.uint8), from_origin(left, top, pixel, pixel)
        return open_scene(write_raster("scene.tif", image, crs=crs, transform=transform))

    return make


def covered(rectangle: Rectangle) -> Window:
    """The window of its pixels, of which it has each one."""
    pixels = rectangle.read(Window(0, 0, 20, 30))
    rows, cols = (np.flatnonzero(pixels.any(axis=axis)) for axis in (1, 0))
    window = Window(int(rows[0]), int(cols[0]), len(rows), len(cols))
    assert pixels.sum() == window.pixels
    return window


def test_bounds_are_in_the_scenes_crs_and_their_box_in_pixels(make_scene):
    scene = make_scene("EPSG:25832", 500_000, 5_000_000, 2)
    rectangle = Rectangle.of((500_004, 4_999_970, 500_020, 4_999_990), None, scene)
    assert rectangle.box == (2, 5, 10, 15)
    assert covered(rectangle) == Window(row=5, col=2, height=10, width=8)


def test_bounds_without_any_crs_count_in_units_of_the_transform(make_scene):
    scene = make_scene(None, 0, 0, 1)
    assert covered(Rectangle.of((3, -7, 9, -2), None, scene)) == Window(2, 3, 5, 6)


def test_parallels_are_arcs_on_the_scene(make_scene):
    """10 degrees of longitude: their middle lies some hundred metres off the straight line."""
    scene = make_scene("EPSG:25832", 150_000, 5_500_000, 30_000)
    rectangle = Rectangle.of((4, 48, 14, 49), "EPSG:4326", scene)
    north = scene.transform.f - 30_000 * np.array(rectangle.polygons[0].exterior.coords)[:, 1]
    assert np.ptp(north) > 111_000 + 5_000


@pytest.mark.parametrize("bounds", [(179.9, -17, -179.9, -16.9), (179.9, -17, 180.1, -16.9)])
@pytest.mark.parametrize("left", [179.88, -180.12])
def test_west_may_be_more_than_east_where_longitudes_wrap(make_scene, bounds, left):
    scene = make_scene("EPSG:4326", left, -16.8, 0.01)
    assert covered(Rectangle.of(bounds, None, scene)) == Window(10, 2, 10, 20)


@pytest.mark.parametrize(
    ("bounds", "crs", "sentence"),
    [
        ((5, 1, 5, 2), None, "bounds 5 1 5 2: W must be less than E, and S less than N"),
        ((1, 3, 5, 2), None, "W must be less than E"),
        ((1, 2, 3), None, "give four numbers"),
        ((1, 2, 3, float("nan")), None, "give four numbers"),
        ((1, 2, 3, 4), "EPSG:12", "bounds_crs EPSG:12: no CRS is known by this; give EPSG:CODE"),
    ],
)
def test_what_are_no_bounds_is_said(make_scene, bounds, crs, sentence):
    scene = make_scene("EPSG:25832", 500_000, 5_000_000, 2)
    with pytest.raises(UsageError, match=sentence):
        Rectangle.of(bounds, crs, scene)


@pytest.mark.parametrize(
    ("west", "east"), [(9.0003, 9.0007), (5, 15), (-10, 30), (351, 373), (-180, 180), (0, 360)]
)
def test_a_side_lies_where_it_is_however_wide_the_bounds_are(make_scene, west, east):
    """Parts of a parallel of 40 degrees are straight lines of which some stray by 20 metres."""
    scene = make_scene("EPSG:25832", 500_000, 5_000_000, 2)
    centre = scene.transform * (15, 10)
    own = pyproj.Transformer.from_crs(25832, 4326, always_xy=True)
    north = own.transform(*centre)[1]
    pixels = Rectangle.of((west, 30, east, north), "EPSG:4326", scene).read(Window(0, 0, 20, 30))
    assert pixels[:, 15].tolist() == 10 * [0] + 10 * [1]
    if east - west > 1:
        assert pixels.sum() == 10 * 30


@pytest.mark.parametrize("bounds", [(-180, -90, 180, 90), (0, -80, 360, 80), (-170, -80, 185, 80)])
def test_bounds_around_the_globe_hold_a_scene_where_longitudes_wrap(make_scene, bounds):
    scene = make_scene("EPSG:4326", 179.88, -16.8, 0.01)
    assert covered(Rectangle.of(bounds, None, scene)) == Window(0, 0, 20, 30)


def test_bounds_beside_the_scene_hold_nothing(make_scene):
    scene = make_scene("EPSG:25832", 500_000, 5_000_000, 2)
    with pytest.raises(LabelsError, match=r"no pixel of scene.tif lies there"):
        Rectangle.of((9.1, 30, 9.2, 60), "EPSG:4326", scene)


def test_metres_that_are_said_to_be_degrees_are_refused(make_scene):
    scene = make_scene("EPSG:25832", 500_000, 5_000_000, 2)
    with pytest.raises(UsageError, match="is in degrees, and these are none; say by --bounds-crs"):
        Rectangle.of((500_004, 4_999_970, 500_020, 4_999_990), "EPSG:4326", scene)


def test_a_crs_of_bounds_needs_one_of_the_scene(make_scene):
    with pytest.raises(UsageError, match="has no CRS; give bounds in units of its transform"):
        Rectangle.of((0, 0, 1, 1), "EPSG:4326", make_scene(None, 0, 0, 1))
