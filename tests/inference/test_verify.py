"""geofcn.inference.verify: a right mask passes, and a wrong pixel is counted."""

import numpy as np
import pytest

from geofcn.core.pixels import BACKGROUND, BLANK, HOUSE, classify
from geofcn.core.windows import Window
from geofcn.inference.verify import Verification, verify_mask
from geofcn.io.opening import open_scene
from geofcn.models.predictor import Predictor
from geofcn.progress import silent

THRESHOLD = 0.5
SIZE = 300


@pytest.fixture
def scene(write_raster):
    image = np.random.default_rng(0).integers(1, 256, (3, SIZE, SIZE), np.uint8)
    image[:, 100:140, 50:150] = 0
    return open_scene(write_raster("scene.tif", image, nodata=0))


@pytest.fixture
def predictor(make_model) -> Predictor:
    return Predictor(make_model("fcnn2"))


@pytest.fixture
def right(scene, predictor) -> np.ndarray:
    """The mask as it should be."""
    prediction = predictor.window(scene, Window(0, 0, SIZE, SIZE))
    mask = classify(prediction.probability, prediction.valid, THRESHOLD)
    assert set(np.unique(mask)) == {BACKGROUND, HOUSE, BLANK}
    return mask


def test_a_right_mask_has_no_differing_pixel(scene, predictor, right, write_raster):
    mask = write_raster("mask.tif", right)
    verification = verify_mask(mask, scene, predictor, THRESHOLD, 100, silent)
    assert verification.pixels == SIZE * SIZE
    assert verification.differing <= 3, "at the threshold rounding decides"
    assert verification.largest < 1e-4


@pytest.mark.parametrize("wrong", [7, SIZE * SIZE])
def test_as_many_pixels_differ_as_are_wrong(scene, predictor, right, write_raster, wrong):
    spoilt = right.copy()
    spoilt.flat[:wrong] = np.where(spoilt.flat[:wrong] == HOUSE, BACKGROUND, HOUSE)
    mask = write_raster("mask.tif", spoilt)
    verification = verify_mask(mask, scene, predictor, THRESHOLD, 100, silent)
    assert abs(verification.differing - wrong) <= 3
    assert verification.largest < 1e-4, "the probabilities are as they were"


def test_few_windows_of_a_large_scene_are_a_sample(scene, predictor, right, write_raster):
    mask = write_raster("mask.tif", right)
    verification = verify_mask(mask, scene, predictor, THRESHOLD, 1, silent)
    assert 0 < verification.pixels < SIZE * SIZE


def test_a_verification_prints_its_figures():
    assert str(Verification(1000, 2, 0.00012)) == (
        "verified 1000 pixels: 2 differ, largest difference in probability 1.2e-04"
    )
