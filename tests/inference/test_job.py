"""geofcn.inference.job: what decides the pixels, and what a task computes."""

import json
from dataclasses import replace

import numpy as np
import pytest

from geofcn.core.calibration import Calibration
from geofcn.core.pixels import BLANK, HOUSE, classify, quantise
from geofcn.core.windows import Window
from geofcn.inference import job as job_module
from geofcn.inference.job import Job, joined, run_task, warm_up
from geofcn.inference.schedule import Task
from geofcn.inference.shards import pack, unpack
from geofcn.io.opening import open_scene
from geofcn.models.model_file import model_digest

BAND = Task(1, Window(16, 0, 16, 70))


@pytest.fixture
def job(make_model, write_raster) -> Job:
    image = np.random.default_rng(0).integers(0, 255, (3, 50, 70), np.uint8)
    image[:, 20:30, 20:30] = 0
    scene = open_scene(write_raster("scene.tif", image, nodata=0))
    return Job(scene, make_model(), 0.5, "float32", True, 16)


def test_a_task_is_the_same_computed_here_elsewhere_and_in_parts(job):
    whole = run_task(job, Task(1, Window(16, 0, 16, 70)))
    remote = unpack(pack(run_task(job, Task(1, Window(16, 0, 16, 70)))))
    parts = [Task(1, Window(16, 0, 16, 32)), Task(1, Window(16, 32, 16, 38))]
    pieced = joined(Window(16, 0, 16, 70), [(part.window, run_task(job, part)) for part in parts])
    assert whole.keys() == remote.keys() == pieced.keys() == {"mask", "quantised", "probability"}
    for name, array in whole.items():
        assert array.shape == (16, 70)
        assert array.tobytes() == remote[name].tobytes() == pieced[name].tobytes()


@pytest.mark.parametrize(
    "change",
    [
        {"threshold": 0.25},
        {"dtype": "uint8"},
        {"scored": False},
        {"window": 32},
        {"device": "cuda"},
        {"calibration": Calibration(1.0, 0.0, 0.5)},
    ],
)
def test_whatever_decides_a_byte_is_in_the_fingerprint(job, make_model, change):
    assert job.fingerprint() == replace(job).fingerprint()
    assert replace(job, **change).fingerprint() != job.fingerprint()
    assert replace(job, model=make_model(seed=1)).fingerprint() != job.fingerprint()
    assert replace(job, scene=replace(job.scene, nodata=7)).fingerprint() != job.fingerprint()
    assert json.loads(json.dumps(job.fingerprint())) == job.fingerprint(), "plain JSON"


def test_so_is_the_type_of_the_processor(job, monkeypatch):
    before = job.fingerprint()
    monkeypatch.setattr(job_module, "processor", lambda device: f"another {device}")
    assert job.fingerprint() == before | {"processor": "another cpu"} != before


@pytest.mark.parametrize(
    ("dtype", "scored", "names"),
    [
        (None, False, {"mask"}),
        (None, True, {"mask", "quantised"}),
        ("uint8", False, {"mask", "quantised"}),
        ("float32", False, {"mask", "probability"}),
        ("float32", True, {"mask", "quantised", "probability"}),
    ],
)
def test_a_task_gives_what_the_job_wants_and_no_more(job, dtype, scored, names):
    arrays = run_task(replace(job, dtype=dtype, scored=scored), BAND)
    assert arrays.keys() == names
    assert {array.shape for array in arrays.values()} == {(16, 70)}


@pytest.mark.parametrize(
    ("dtype", "names"),
    [
        (None, {"quantised"}),
        ("uint8", {"quantised"}),
        ("float32", {"quantised", "probability"}),
    ],
)
def test_a_threshold_that_is_not_known_yet_leaves_probabilities_without_a_mask(job, dtype, names):
    waiting = replace(job, dtype=dtype, calibration=Calibration(1.0, 0.0, 0.5))
    arrays = run_task(waiting, BAND)
    assert arrays.keys() == names
    raster = run_task(replace(job, dtype="uint8"), BAND)["quantised"]
    np.testing.assert_array_equal(arrays["quantised"], raster)


def test_the_threshold_that_is_not_known_yet_is_no_number_in_the_fingerprint(job):
    waiting = replace(job, calibration=Calibration(1.0, 0.0, 0.5))
    assert waiting.fingerprint()["threshold"] == "scene"
    assert waiting.fingerprint() == replace(waiting, threshold=0.25).fingerprint()


def test_the_arrays_of_a_task_are_one_prediction_in_several_forms(job):
    job = replace(job, window=70)
    prediction = job.predictor.window(job.scene, Window(0, 0, 50, 70))
    whole = Task(0, Window(0, 0, 50, 70))
    arrays = run_task(job, whole)
    mask = classify(prediction.probability, prediction.valid, job.threshold)
    np.testing.assert_array_equal(arrays["mask"], mask)
    assert {0, HOUSE, BLANK} == set(np.unique(mask))
    np.testing.assert_array_equal(np.isnan(arrays["probability"]), ~prediction.valid)
    np.testing.assert_array_equal(
        arrays["probability"][prediction.valid], prediction.probability[prediction.valid]
    )
    steps = quantise(prediction.probability, prediction.valid)
    np.testing.assert_array_equal(arrays["quantised"], np.where(mask == HOUSE, steps, 0))
    raster = run_task(replace(job, dtype="uint8"), whole)["quantised"]
    np.testing.assert_array_equal(raster, steps)


def test_a_process_makes_its_predictor_once(job):
    assert warm_up(job) == (job, "")
    assert "predictor" in vars(job)


def test_tags_name_the_model_and_what_changes_a_pixel(job):
    tags = {
        "GEOFCN_MODEL_SHA256": model_digest(job.model),
        "GEOFCN_THRESHOLD": "0.5",
        "GEOFCN_SCALE": "1",
    }
    assert job.tags() == tags
    declared = replace(job, scene=replace(job.scene, nodata=7))
    assert declared.tags() == tags | {"GEOFCN_NODATA": "7"}


def test_windows_are_joined_by_name_where_they_lie():
    extent = Window(6, 2, 2, 4)
    left = Window(6, 2, 2, 3), {"a": np.zeros((2, 3)), "b": np.ones((2, 3))}
    right = Window(6, 5, 2, 1), {"a": np.ones((2, 1)), "b": np.zeros((2, 1))}
    whole = joined(extent, [left, right])
    np.testing.assert_array_equal(whole["a"], [[0, 0, 0, 1]] * 2)
    np.testing.assert_array_equal(whole["b"], [[1, 1, 1, 0]] * 2)
    below = Window(8, 2, 1, 4), {"a": np.full((1, 4), 2.0)}
    whole = joined(Window(6, 2, 3, 4), [(extent, {"a": whole["a"]}), below])
    np.testing.assert_array_equal(whole["a"], [[0, 0, 0, 1]] * 2 + [[2] * 4])
    assert joined(left[0], [left]) is left[1]


def test_where_nobody_knows_whether_a_scene_has_changed_each_job_is_another(
    make_model, write_raster
):
    scene = open_scene(write_raster("scene.tif", np.ones((3, 8, 8), np.uint8)))
    job = Job(scene, make_model(), 0.5, None, False, 8)
    assert job.fingerprint() == job.fingerprint()
    job = replace(job, scene=replace(scene, identity=""))
    assert job.fingerprint() != job.fingerprint()
