"""geofcn.inference.verify: a right mask passes, and a wrong pixel is counted."""

from dataclasses import replace

import numpy as np
import pytest
import shapely

from geofcn.core.pixels import BACKGROUND, BLANK, HOUSE, classify
from geofcn.core.windows import Window
from geofcn.inference.area import Area
from geofcn.inference.job import Job
from geofcn.inference.verify import Verification, verify_mask
from geofcn.io.bounds import Rectangle
from geofcn.io.opening import open_scene
from geofcn.progress import silent

THRESHOLD = 0.5
SIZE = 300


@pytest.fixture
def scene(write_raster):
    image = np.random.default_rng(0).integers(1, 256, (3, SIZE, SIZE), np.uint8)
    image[:, 100:140, 50:150] = 0
    return open_scene(write_raster("scene.tif", image, nodata=0))


@pytest.fixture
def job(scene, make_model) -> Job:
    return Job(scene, make_model("fcnn2"), THRESHOLD, None, False, 512)


@pytest.fixture
def right(scene, job) -> np.ndarray:
    """The mask as it should be."""
    prediction = job.predictor.window(scene, Window(0, 0, SIZE, SIZE))
    mask = classify(prediction.probability, prediction.valid, THRESHOLD)
    assert set(np.unique(mask)) == {BACKGROUND, HOUSE, BLANK}
    return mask


def test_a_right_mask_has_no_differing_pixel(job, right, write_raster):
    mask = write_raster("mask.tif", right)
    verification = verify_mask(mask, job, 100, silent)
    assert verification.pixels == SIZE * SIZE
    assert verification.differing <= 3, "at the threshold rounding decides"
    assert verification.largest < 1e-4


def test_a_window_that_is_blank_as_a_whole_does_not_differ(job, write_raster):
    blank = open_scene(write_raster("blank.tif", np.zeros((3, SIZE, SIZE), np.uint8), nodata=0))
    mask = write_raster("mask.tif", np.full((SIZE, SIZE), BLANK, np.uint8), nodata=BLANK)
    verification = verify_mask(mask, replace(job, scene=blank), 4, silent)
    assert (verification.pixels, verification.differing) == (SIZE * SIZE, 0)


@pytest.mark.parametrize("wrong", [7, SIZE * SIZE])
def test_as_many_pixels_differ_as_are_wrong(job, right, write_raster, wrong):
    spoilt = right.copy()
    spoilt.flat[:wrong] = np.where(spoilt.flat[:wrong] == HOUSE, BACKGROUND, HOUSE)
    mask = write_raster("mask.tif", spoilt)
    verification = verify_mask(mask, job, 100, silent)
    assert abs(verification.differing - wrong) <= 3
    assert verification.largest < 1e-4, "the probabilities are as they were"


def test_few_windows_of_a_large_scene_are_a_sample(job, right, write_raster):
    mask = write_raster("mask.tif", right)
    verification = verify_mask(mask, job, 1, silent)
    assert 0 < verification.pixels < SIZE * SIZE


@pytest.mark.parametrize("wrong", [0, 7])
def test_in_an_area_its_pixels_alone_are_compared(job, right, write_raster, wrong):
    polygons = np.array([shapely.Polygon([(10, 20), (270, 20), (10, 280)])])
    area = Area.of(Rectangle("a triangle", job.scene.grid, polygons), job.scene)
    part, pixels = area.cut(job.scene.window, {"mask": right})
    inside = pixels["mask"] != BLANK
    flipped = np.flatnonzero(inside)[:wrong]
    pixels["mask"].flat[flipped] = BACKGROUND + HOUSE - pixels["mask"].flat[flipped]
    pixels["mask"][~area.inside(part)] = HOUSE  # nobody looks at it
    mask = write_raster("mask.tif", pixels["mask"])
    verification = verify_mask(mask, replace(job, area=area), 100, silent)
    assert verification.pixels == np.count_nonzero(area.inside(part))
    assert abs(verification.differing - wrong) <= 3
    assert verification.largest < 1e-4


def test_a_verification_prints_its_figures():
    assert str(Verification(1000, 2, 0.00012)) == (
        "verified 1000 pixels: 2 differ, largest difference in probability 1.2e-04"
    )
