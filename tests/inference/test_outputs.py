"""geofcn.inference.outputs: targets are checked, row bands written, names given at the end."""

from dataclasses import replace

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from rasterio.transform import array_bounds

from geofcn.core.calibration import ScoreCalibration
from geofcn.core.windows import row_bands
from geofcn.errors import OutputError, UsageError
from geofcn.inference.area import open_area
from geofcn.inference.job import Job, run_task
from geofcn.inference.outputs import Outputs
from geofcn.inference.schedule import Task
from geofcn.inference.shards import Shards, claimed
from geofcn.io.opening import open_scene
from geofcn.models.model_file import save_model
from geofcn.polygons.outline import Outline
from geofcn.polygons.polygonize import polygonize
from geofcn.polygons.score_tags import calibration_in

SIDE = 16


@pytest.fixture
def job(make_model, write_raster, tmp_path) -> Job:
    image = np.random.default_rng(0).integers(1, 256, (3, 2 * SIDE, 3 * SIDE), np.uint8)
    image[:, 4:12, 4:12] = 0
    model = make_model("fcnn2")
    save_model(model, tmp_path / "model.safetensors")
    scene = open_scene(write_raster("scene.tif", image, nodata=0))
    return Job(scene, model, 0.5, "float32", True, SIDE)


@pytest.fixture
def check(job, tmp_path):
    """check(...) -> Outputs in the test's folder; what is not said is wanted."""

    def check(
        mask="mask.tif", probability="p.tif", polygons="houses.gpkg", job=job, **options
    ) -> Outputs:
        paths = [
            None if name is None else tmp_path / name for name in (mask, probability, polygons)
        ]
        settled = {"overwrite": False, "allow_no_crs": False} | options
        return Outputs.check(job, *paths, model=tmp_path / "model.safetensors", **settled)

    return check


def bands_of(job: Job):
    """The arrays of every row band."""
    windows = row_bands(job.scene.height, job.scene.width, job.window)
    return [(window, run_task(job, Task(number, window))) for number, window in enumerate(windows)]


# --- what may be written ---


def test_paths_are_those_that_are_wanted_the_mask_first(check, tmp_path):
    assert check().paths == tuple(tmp_path / n for n in ("mask.tif", "p.tif", "houses.gpkg"))
    assert check(probability=None, polygons=None).paths == (tmp_path / "mask.tif",)
    assert check().work_folder == tmp_path / ".mask.tif.work"
    alone = check(mask=None, probability=None)
    assert alone.paths == (tmp_path / "houses.gpkg",)
    assert alone.work_folder == tmp_path / ".houses.gpkg.work"


def test_something_is_to_be_written(check):
    with pytest.raises(UsageError, match="name a MASK, --probability FILE or --polygons FILE"):
        check(mask=None, probability=None, polygons=None)


def test_the_area_is_never_an_output(check, job, write_vectors):
    left, bottom, right, top = array_bounds(*job.scene.window.shape, job.scene.transform)
    file = write_vectors("houses.gpkg", [shapely.box(left, bottom, right, top)])
    within = replace(job, area=open_area(job.scene, file, None, None))
    with pytest.raises(OutputError, match="the input itself"):
        check(job=within, overwrite=True)


@pytest.mark.parametrize("name", ["mask.tif", "p.tif", "houses.gpkg"])
def test_a_file_that_exists_is_kept_unless_overwrite_is_given(check, tmp_path, name):
    (tmp_path / name).write_text("old")
    with pytest.raises(OutputError, match=rf"{name}: .*--overwrite"):
        check()
    assert check(overwrite=True).paths
    assert (tmp_path / name).read_text() == "old", "checked only"


@pytest.mark.parametrize("role", ["mask", "probability"])
def test_the_scene_is_never_an_output(check, role):
    with pytest.raises(OutputError, match="the input itself"):
        check(**{role: "scene.tif"}, overwrite=True)


def test_polygons_of_a_scene_without_a_crs_are_written_only_when_allowed(
    check, job, write_raster, tmp_path
):
    image = np.ones((3, SIDE, SIDE), np.uint8)
    nowhere = replace(job, scene=open_scene(write_raster("nowhere.tif", image, crs=None)))
    with pytest.raises(OutputError, match="--allow-no-crs"):
        check(job=nowhere)
    assert check(job=nowhere, allow_no_crs=True).polygons == tmp_path / "houses.gpkg"
    assert check(job=nowhere, polygons=None).polygons is None


def test_a_killed_job_may_replace_what_it_published_itself(check, job, tmp_path):
    outputs = check()
    shards = Shards(outputs.work_folder, job.fingerprint())
    shards.claim(outputs.paths)
    for path in outputs.paths[1:]:
        path.write_text("published before the kill")
    assert check() == outputs
    with pytest.raises(OutputError, match="--overwrite"):
        check(job=replace(job, threshold=0.25))
    outputs.mask.write_text("the mask is the last to be published: that job was done")
    with pytest.raises(OutputError, match="--overwrite"):
        check()


# --- what is written ---


def write(job: Job, outputs: Outputs) -> int | None:
    shards = Shards(outputs.work_folder, job.fingerprint())
    with outputs.open(job, {}) as writer:
        count = writer.write(bands_of(job), shards, Outline("raw", min_area=0))
        assert not any(path.exists() for path in outputs.paths if path.suffix == ".tif")
    assert claimed(outputs.work_folder, job.fingerprint()) == set(outputs.paths)
    return count


def read(path) -> np.ndarray:
    with rasterio.open(path) as raster:
        return raster.read(1)


@pytest.mark.parametrize(("dtype", "name"), [("uint8", "quantised"), ("float32", "probability")])
def test_rasters_hold_the_arrays_of_all_row_bands(job, check, dtype, name):
    job = replace(job, dtype=dtype)
    outputs = check(polygons=None, job=job)
    assert write(job, outputs) is None
    bands = bands_of(job)
    np.testing.assert_array_equal(
        read(outputs.mask), np.concatenate([band["mask"] for _, band in bands])
    )
    np.testing.assert_array_equal(
        read(outputs.probability), np.concatenate([band[name] for _, band in bands])
    )
    with rasterio.open(outputs.mask) as mask:
        assert job.tags().items() <= mask.tags().items()


def test_the_probabilities_say_how_scores_are_made_of_them(job, check):
    metadata = replace(job.model.metadata, score_calibration=ScoreCalibration(0.1, -1 / 3))
    job = replace(job, model=replace(job.model, metadata=metadata), dtype="uint8")
    outputs = check(job=job)
    write(job, outputs)
    with rasterio.open(outputs.probability) as probability:
        assert calibration_in(probability.tags()) == metadata.score_calibration
    again = outputs.polygons.with_name("again.gpkg")
    polygonize(outputs.mask, again, probability=outputs.probability, outline="raw", min_area=0)
    frames = [geopandas.read_file(path, layer="houses") for path in (outputs.polygons, again)]
    assert frames[0].equals(frames[1]) and len(frames[0]) > 0
    assert frames[0].score.max() < 0.6, "no mean probability"


def test_polygons_are_counted_and_cover_the_houses_of_the_mask(job, check):
    outputs = check()
    count = write(job, outputs)
    houses = geopandas.read_file(outputs.polygons, layer="houses")
    assert len(houses) == count > 0
    pixels = np.count_nonzero(read(outputs.mask) == 1)
    assert houses.area.sum() == pytest.approx(pixels * 0.2**2)


def test_an_error_leaves_no_output(job, check, tmp_path):
    outputs = check()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ZeroDivisionError), outputs.open(job, {}):
        raise ZeroDivisionError
    assert sorted(tmp_path.iterdir()) == before
