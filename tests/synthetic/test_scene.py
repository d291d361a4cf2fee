"""geofcn.synthetic.scene: one picture whatever the windows, labels that are exactly its houses."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geofcn.core.windows import Window
from geofcn.errors import UsageError
from geofcn.synthetic import countryside, town
from geofcn.synthetic.scene import SyntheticScene

SMALL = SyntheticScene(600, 5)
# 2100 pixels are two cells of 1050 a side: the region lies around the corner where four cells meet.
REGIONS = {
    SMALL: Window(0, 0, 600, 600),
    SyntheticScene(2100, 8): Window(920, 900, 260, 300),
    SyntheticScene(400, 5, dense=True): Window(90, 80, 240, 260),
}


@pytest.fixture(scope="module")
def painted():
    return {
        scene: (*scene.paint(region), scene.labels(region)) for scene, region in REGIONS.items()
    }


@st.composite
def windows(draw, region: Window) -> Window:
    row = draw(st.integers(region.row, region.bottom - 1))
    col = draw(st.integers(region.col, region.right - 1))
    height = draw(st.integers(1, min(150, region.bottom - row)))
    width = draw(st.integers(1, min(150, region.right - col)))
    return Window(row, col, height, width)


@pytest.mark.parametrize("scene", REGIONS, ids=str)
@settings(deadline=None, max_examples=20)
@given(data=st.data())
def test_a_window_painted_alone_is_the_crop_of_a_larger_one(painted, scene, data):
    region = REGIONS[scene]
    window = data.draw(windows(region))
    inside = window.relative_to(region).slices
    image, valid, labels = painted[scene]
    alone, alone_valid = scene.paint(window)
    np.testing.assert_array_equal(alone, image[:, *inside])
    np.testing.assert_array_equal(alone_valid, valid[inside])
    np.testing.assert_array_equal(scene.labels(window), labels[inside])


def test_the_same_seed_gives_the_same_scene_and_another_seed_another(painted):
    image = painted[SMALL][0]
    countryside.cell.cache_clear()
    window = Window(100, 50, 200, 250)
    np.testing.assert_array_equal(SyntheticScene(600, 5).paint(window)[0], image[:, *window.slices])
    assert (SyntheticScene(600, 6).paint(window)[0] != image[:, *window.slices]).mean() > 0.5


def test_a_window_of_a_huge_scene_needs_only_the_cells_around_it():
    countryside.cell.cache_clear()
    scene = SyntheticScene(1_000_000, 1)
    image, valid = scene.paint(Window(612_345, 454_321, 64, 64))
    assert valid.all()
    assert image.std() > 5
    assert countryside.cell.cache_info().misses <= 4


def test_a_town_is_the_same_again_and_another_seed_gives_another_one(
    painted,
):
    scene = SyntheticScene(400, 5, dense=True)
    image, window = painted[scene][0], REGIONS[scene]
    town.cell.cache_clear()
    town._origin.cache_clear()
    np.testing.assert_array_equal(scene.paint(window)[0], image)
    other = SyntheticScene(400, 6, dense=True)
    assert (other.paint(window)[0] != image).mean() > 0.5


def test_types_shapes_and_georeference(painted):
    image, valid, labels = painted[SMALL]
    assert (image.dtype, image.shape) == (np.uint8, (3, 600, 600))
    assert (valid.dtype, valid.shape) == (np.bool_, (600, 600))
    assert (labels.dtype, labels.shape) == (np.uint8, (600, 600))
    assert SMALL.crs.to_epsg() == 32632
    assert (SMALL.transform.a, SMALL.transform.e) == (0.2, -0.2)


def test_blank_pixels_are_zero_in_all_bands_and_valid_ones_never(painted):
    image, valid, labels = painted[SMALL]
    np.testing.assert_array_equal(image.any(axis=0), valid)
    assert not labels[~valid].any()


def test_the_collar_is_slanted_on_all_four_sides(painted):
    valid = painted[SMALL][1]
    assert 0.03 < 1 - valid.mean() < 0.12
    for edge in (valid[0], valid[-1], valid[:, 0], valid[:, -1]):
        assert 0 < edge.mean() < 0.2


def test_labels_are_one_where_a_pixel_centre_lies_in_a_footprint(painted):
    y, x = np.mgrid[:600, :600] + 0.5
    houses = shapely.union_all(list(SMALL.footprints()))
    shapely.prepare(houses)
    np.testing.assert_array_equal(painted[SMALL][2], shapely.contains_xy(houses, x, y))


@pytest.mark.parametrize(("size", "seed"), [(128, 0), (128, 1), (200, 2), (256, 3), (401, 4)])
def test_a_small_scene_has_a_house_and_background(size, seed):
    scene = SyntheticScene(size, seed)
    whole = Window(0, 0, size, size)
    image, valid = scene.paint(whole)
    assert 0.05 < scene.labels(whole).mean() < (0.15 if size >= 256 else 0.5)
    assert image[:, valid].std(axis=1).min() > 15


def test_a_scene_too_small_for_a_house_is_refused():
    with pytest.raises(UsageError, match=r"size 127: .* at least 128"):
        SyntheticScene(127)
