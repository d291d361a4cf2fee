"""geofcn.inference.estimate: what is counted, and what grows with the scene."""

from pathlib import Path

import numpy as np
import pytest

from geofcn.errors import ModelError
from geofcn.inference.area import open_area
from geofcn.inference.estimate import OUTPUT_BYTES, estimate_inference
from geofcn.io.gdal import CACHE_BYTES
from geofcn.io.opening import open_scene
from geofcn.models.predictor import compute_window_side
from geofcn.runtime import peak_memory


@pytest.fixture
def scene(write_raster):
    """600 x 1100 pixels, of which the lower 60 are not blank."""
    image = np.zeros((3, 600, 1100), np.uint8)
    image[:, -60:] = np.random.default_rng(0).integers(1, 256, (3, 60, 1100))
    return open_scene(write_raster("scene.tif", image, nodata=0))


def test_an_estimate_names_the_model_and_counts_its_windows(scene, make_model):
    metadata = {"threshold": 0.3, "scenes": ("a.tif", "b.tif"), "resolution": 0.2}
    model = make_model("fcnn2", **metadata)
    estimate = estimate_inference(scene, model)
    assert (estimate.net, estimate.scale, estimate.threshold) == ("fcnn2", 1, 0.3)
    assert (estimate.trained_on, estimate.trained_at_m) == (["a.tif", "b.tif"], 0.2)
    assert (estimate.stride, estimate.halo) == (model.geometry.stride, model.geometry.halo)
    side = compute_window_side(model, "cpu")
    assert side == 512
    assert estimate.compute_window == side
    assert estimate.compute_windows == 2 * 3
    # The upper row of them is blank as a whole.
    assert estimate.compute_windows_blank == 3


def test_the_scale_and_the_windows_are_those_for_the_scenes_resolution(scene, make_model):
    estimate = estimate_inference(scene, make_model("fcnn2", scale=2, resolution=0.15))
    assert (estimate.scale, estimate.stride, estimate.halo) == (1.5, 3, 12)
    assert estimate.compute_window == 768
    assert estimate_inference(scene, make_model("fcnn2", scale=2, resolution=0.2)).scale == 2


def test_bytes_are_those_of_the_file_and_of_a_mask_that_packs_well(scene, make_model):
    estimate = estimate_inference(scene, make_model("fcnn"))
    assert estimate.read_gb == pytest.approx(Path(scene.path).stat().st_size / 1e9)
    # Blank pixels take next to nothing, and no pixel more than its byte.
    assert 0 < estimate.mask_gb < 4 / 3 * 600 * 1100 / 1e9


def test_the_bound_of_memory_holds_what_the_process_holds_already(scene, make_model):
    before = peak_memory()
    estimate = estimate_inference(scene, make_model("fcnn"))
    assert estimate.memory_bound_mb >= (before + CACHE_BYTES + OUTPUT_BYTES) / 2**20
    assert estimate.seconds_expected > 0


def test_of_an_area_its_windows_alone_are_counted(scene, make_model):
    """With a reach of 500 pixels: of 2 x 3 compute windows the first two of each row."""
    whole = estimate_inference(scene, make_model("fcnn"))
    left, top = scene.transform * (10, 10)
    area = open_area(scene, None, (left, top - 40, left + 60, top), None)
    part = estimate_inference(scene, make_model("fcnn"), area)
    assert (whole.compute_windows, part.compute_windows) == (6, 4)
    assert part.read_gb == pytest.approx(whole.read_gb * 4 / 6)
    assert 0 < part.mask_gb < 4 / 3 * 200 * 300 / 1e9


def test_a_model_for_other_bands_is_refused(write_raster, make_model):
    single = open_scene(write_raster("single.tif", np.ones((1, 20, 30), np.uint8)))
    with pytest.raises(ModelError):
        estimate_inference(single, make_model("fcnn"))
