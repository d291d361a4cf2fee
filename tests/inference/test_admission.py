"""geofcn.inference.admission: workers that would give other pixels are told from the others."""

import os
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rasterio.transform import from_origin

from geofcn.core.windows import Window
from geofcn.errors import WorkersError
from geofcn.inference import admission
from geofcn.inference.admission import admit, conditions
from geofcn.inference.job import Job
from geofcn.io.datasets import close_handles
from geofcn.io.opening import open_scene

IMAGE = np.random.default_rng(0).integers(1, 255, (3, 50, 70), np.uint8)


@pytest.fixture
def job(make_model, write_raster) -> Job:
    scene = open_scene(write_raster("scene.tif", IMAGE, nodata=0))
    return Job(scene, make_model(), 0.5, "float32", True, 16)


def arrive(job: Job) -> Job:
    """The job as another process gets it."""
    close_handles()
    return pickle.loads(pickle.dumps(job))


def test_a_worker_that_finds_the_same_is_admitted(job):
    admitted, remark = admit(conditions(job), arrive(job))
    assert remark == ""
    assert "predictor" in vars(admitted), "it is ready"
    assert admitted.fingerprint() == job.fingerprint()


def test_the_time_of_change_does_not_decide(job):
    expected = conditions(job)
    os.utime(job.scene.path, ns=(1, 1))
    admitted, _ = admit(expected, arrive(job))
    assert admitted.scene.identity == open_scene(job.scene.path).identity != job.scene.identity
    np.testing.assert_array_equal(admitted.scene.read(job.scene.window)[0], IMAGE)


@pytest.mark.parametrize("other", ["pixel", "nodata", "bands", "type", "place", "columns"])
def test_another_scene_by_the_same_path_is_refused(job, write_raster, other):
    expected = conditions(job)
    image, profile = IMAGE.copy(), {"nodata": 0}
    if other == "pixel":
        image[2, 49, 69] ^= 1
    elif other == "nodata":
        profile = {"nodata": image[0, 0, 0]}
    elif other == "bands":
        image = image[:1]
    elif other == "type":
        image = image.astype(np.int16)
    elif other == "place":
        profile["transform"] = job.scene.transform.translation(1, 0) * job.scene.transform
    elif other == "columns":
        image = image[:, :, :-1]
    write_raster("scene.tif", image, **profile)
    with pytest.raises(WorkersError, match=r"^/.*scene\.tif: .*(folder|file)"):
        admit(expected, arrive(job))


def test_a_scene_that_is_missing_is_refused_by_a_way_out(job):
    expected = conditions(job)
    Path(job.scene.path).unlink()
    with pytest.raises(WorkersError, match=r"scene\.tif: there is no such file; .*mount"):
        admit(expected, arrive(job))


@pytest.mark.parametrize("name", ["sheets", "list.txt"])
def test_a_worker_without_one_of_the_sheets_is_refused(make_model, write_raster, tmp_path, name):
    (tmp_path / "sheets").mkdir()
    for number in range(3):
        place = from_origin(500_000 + 20 * number, 5_000_000, 1, 1)
        write_raster(f"sheets/{number}.tif", IMAGE[:, :20, :20], transform=place)
    (tmp_path / "list.txt").write_text("sheets/0.tif\nsheets/1.tif\nsheets/2.tif")
    job = Job(open_scene(tmp_path / name), make_model(), 0.5, "float32", True, 16)
    expected = conditions(job)
    admitted, _ = admit(expected, arrive(job))
    np.testing.assert_array_equal(admitted.scene.read(Window(0, 40, 20, 20))[0], IMAGE[:, :20, :20])
    (tmp_path / "sheets" / "1.tif").unlink()
    with pytest.raises(WorkersError, match=r"mount (the same|its) folder there, or copy the file"):
        admit(expected, arrive(job))


def test_another_torch_is_refused_and_another_build_of_it_is_not(job, monkeypatch):
    expected = conditions(job)
    monkeypatch.setattr(admission.torch, "__version__", f"{expected.torch}+cu999")
    assert admit(expected, arrive(job))[1] == ""
    monkeypatch.setattr(admission.torch, "__version__", "1.0.0+cpu")
    with pytest.raises(WorkersError, match=rf"^its torch is 1\.0\.0, and {expected.torch} is"):
        admit(expected, arrive(job))


def test_another_processor_is_admitted_with_a_word(job):
    expected = replace(conditions(job), processor="AVX512 (00000000)")
    _, remark = admit(expected, arrive(job))
    assert remark.startswith("it computes by ")
    assert "this machine by AVX512 (00000000)" in remark


def test_a_large_scene_is_sampled(job, monkeypatch):
    windows = []
    read = type(job.scene).read

    def count(scene, window):
        windows.append(window)
        return read(scene, window)

    monkeypatch.setattr(admission, "SIDE", 5)
    monkeypatch.setattr(admission, "WINDOWS", 12)
    monkeypatch.setattr(type(job.scene), "read", count)
    conditions(job)
    assert 8 <= len(windows) <= 16
