"""geofcn.inference.threshold: the threshold of a scene, from its row bands and then for them."""

import numpy as np
import pytest

from geofcn.core.calibration import Calibration, expected_share, scene_threshold
from geofcn.core.pixels import BLANK, HOUSE
from geofcn.core.windows import row_bands
from geofcn.inference.job import Job
from geofcn.inference.threshold import TRUST, SceneThreshold, classified, find_threshold
from geofcn.io.opening import open_scene

CALIBRATION = Calibration(1.5, -0.5, 0.2)


@pytest.fixture
def quantised() -> np.ndarray:
    """Probabilities of a scene of 40 x 50 pixels, some of them blank."""
    random = np.random.default_rng(0)
    steps = np.where(
        random.random((40, 50)) < 0.3, *random.integers(0, 255, (2, 40, 50)) // [[[1]], [[9]]]
    )
    steps[random.random((40, 50)) < 0.1] = BLANK
    return steps.astype(np.uint8)


def in_bands(quantised: np.ndarray, rows: int):
    """Row bands as inference has them."""
    return [
        (window, {"quantised": quantised[window.slices]})
        for window in row_bands(*quantised.shape, rows)
    ]


@pytest.mark.parametrize("rows", [1, 7, 16, 40])
def test_it_is_that_of_the_histogram_however_the_scene_is_cut(quantised, rows):
    bands = in_bands(quantised, rows)
    found = find_threshold(bands, CALIBRATION, 0.75)
    histogram = np.bincount(quantised[quantised != BLANK], minlength=BLANK)
    share = expected_share(histogram, CALIBRATION)
    trusted = CALIBRATION.towards(share, TRUST)
    best = scene_threshold(histogram, CALIBRATION, trusted)
    assert found == SceneThreshold(share, best, 0.75)
    assert abs(trusted - CALIBRATION.share) < abs(share - CALIBRATION.share)
    lower = find_threshold(bands, CALIBRATION, best - 0.1)
    assert lower.threshold == best - 0.1, "never above the model's"


def test_of_a_scene_that_is_blank_as_a_whole_no_houses_are_expected():
    bands = in_bands(np.full((4, 4), BLANK, np.uint8), 4)
    assert find_threshold(bands, CALIBRATION, 0.75) == SceneThreshold(0.0, 0.75, 0.75)


@pytest.fixture
def job(make_model, write_raster) -> Job:
    scene = open_scene(write_raster("scene.tif", np.ones((3, 40, 50), np.uint8)))
    return Job(scene, make_model(), 0.75, "uint8", False, 16, calibration=CALIBRATION)


def test_a_settled_job_has_the_threshold_and_names_the_share(job):
    settled = SceneThreshold(0.125, 0.25, 0.75).settle(job)
    assert (settled.threshold, settled.calibration) == (0.25, None)
    tags = {"GEOFCN_THRESHOLD": "0.25", "GEOFCN_EXPECTED_SHARE": "0.125"}
    assert tags.items() <= settled.tags().items()


def test_bands_get_a_mask_at_the_threshold(quantised):
    bands, told = in_bands(quantised, 16), []
    got = list(classified(iter(bands), 99.5 / 254, told.append))
    assert [window for window, _ in got] == [window for window, _ in bands]
    mask, steps = (
        np.concatenate([arrays[name] for _, arrays in got]) for name in ("mask", "quantised")
    )
    assert sum(told) == quantised.size
    np.testing.assert_array_equal(steps, quantised)
    np.testing.assert_array_equal(mask == BLANK, quantised == BLANK)
    np.testing.assert_array_equal(mask == HOUSE, (quantised >= 100) & (quantised != BLANK))
