"""geofcn.inference.infer: the whole-image answer, and the same bytes however it is computed."""

import itertools
import logging
import os
import shutil
import signal
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import dask
import geopandas
import numpy as np
import pytest
import rasterio
import rasterio.shutil
import torch
from distributed import LocalCluster
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioIOError
from torch import nn

import geofcn
from geofcn import executors
from geofcn.core.calibration import Calibration, expected_share
from geofcn.core.contacts import Contacts
from geofcn.core.pixels import Normalisation, quantise
from geofcn.core.resampling import Ratio
from geofcn.core.windows import count_blocks, round_up
from geofcn.errors import OutputError, SceneError, UsageError, WorkersError
from geofcn.inference import infer as infer_module
from geofcn.inference.job import Job
from geofcn.inference.outputs import Outputs
from geofcn.inference.shards import Shards
from geofcn.io import cog_writer
from geofcn.io.opening import open_scene
from geofcn.models import model, nets
from geofcn.models.model_file import load_model, save_model
from geofcn.models.predictor import Predictor, compute_window_side

COUNTER = itertools.count()
RGBA = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
COMPUTE = 16  # pixels of the scene: tiny ones have many compute windows, too
CALIBRATION = Calibration(1.5, -0.5, 0.2)
infer = partial(geofcn.infer, compute_window=COMPUTE)


@dataclass(frozen=True)
class Case:
    """A scene and a model, as they are drawn."""

    shape: tuple[int, int]
    net: str
    scale: int
    upsample: str
    blank: str  # how blank pixels are told: "nothing", "nodata" or "alpha"
    period: int  # of the mean image
    seed: int


cases = st.builds(
    Case,
    shape=st.tuples(st.integers(1, 120), st.integers(1, 120)),
    net=st.sampled_from(["fcnn", "fcnn2", "unet"]),
    scale=st.sampled_from([1, 2, 4, 8]),
    upsample=st.sampled_from(["nearest", "bilinear"]),
    blank=st.sampled_from(["nothing", "nodata", "alpha"]),
    period=st.sampled_from([1, 1, 7, 32]),
    seed=st.integers(0, 2**16),
)


MANY = (60, 60)


def coarse(shape: tuple[int, int], size: int, values: np.ndarray) -> np.ndarray:
    """The upper left part of `values`, each repeated over `size` x `size` pixels."""
    return np.kron(values, np.ones((size, size), values.dtype))[: shape[0], : shape[1]]


@pytest.fixture
def make_case(tmp_path, write_raster, make_model):
    """make_case(case, calibration=None) -> (scene path, model path) of their own."""

    def make(case: Case, calibration: Calibration | None = None) -> tuple[Path, Path]:
        random = np.random.default_rng(case.seed)
        patches = coarse(case.shape, 9, random.integers(0, 120, MANY)).astype(np.uint8)
        image = random.integers(1, 256, (3, *case.shape), np.uint8) + patches
        image = np.maximum(image, 1)
        holes = coarse(case.shape, 13, random.random(MANY) < 0.3)
        declared = {}
        if case.blank == "nodata":
            image[:, holes] = 0
            declared["nodata"] = 0
        elif case.blank == "alpha":
            image = np.concatenate([image, np.where(holes, 0, 255).astype(np.uint8)[None]])
            declared["colours"] = RGBA
        number = next(COUNTER)
        scene = write_raster(f"scene-{number}.tif", image, **declared)
        mean = random.uniform(60, 190, (3, case.period, case.period)).astype(np.float32)
        normalisation = Normalisation(mean, np.array([50, 60, 70], np.float32))
        made = make_model(
            case.net, 3, case.scale, upsample=case.upsample, normalisation=normalisation,
            seed=case.seed, calibration=calibration,
        )  # fmt: skip
        path = tmp_path / f"model-{number}.safetensors"
        save_model(made, path)
        return scene, path

    return make


@pytest.fixture
def run(tmp_path):
    """run(scene, model, dtype="uint8", threads=2, stop_at=None, ...) -> bytes by output.

    stop_at  number of the compute window at which the first try fails; there is a second one then
    """

    def once(folder: Path, scene: Path, model: Path, dtype: str, options: dict) -> None:
        infer(
            scene, folder / "mask.tif", model=model, probability=folder / "probability.tif",
            probability_dtype=dtype, **options,
        )  # fmt: skip

    def run(scene, model, dtype="uint8", threads=2, stop_at=None, **options) -> dict[str, bytes]:
        folder = tmp_path / f"run-{next(COUNTER)}"
        folder.mkdir()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(executors, "cores", lambda: threads)
            if stop_at is not None:
                with pytest.MonkeyPatch.context() as fault, pytest.raises(Interrupted):
                    fault.setattr(Predictor, "window", failing_at(stop_at))
                    once(folder, scene, model, dtype, options)
                assert [path.name for path in folder.iterdir()] == [".mask.tif.work"]
            once(folder, scene, model, dtype, options)
        outputs = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
        assert list(outputs) == ["mask.qml", "mask.tif", "probability.qml", "probability.tif"]
        shutil.rmtree(folder)
        return outputs

    return run


class Interrupted(Exception):
    """What stops a job in these tests."""


def failing_at(number: int):
    """Predictor.window, but its call `number` (from 0) and those after it raise Interrupted."""
    calls, window = itertools.count(), Predictor.window

    def failing(*args):
        if next(calls) >= number:
            raise Interrupted
        return window(*args)

    return failing


def pixels(content: bytes) -> np.ndarray:
    with rasterio.MemoryFile(content) as file, file.open() as raster:
        return raster.read(1)


def compute_windows(scene: Path, path: Path) -> int:
    opened = open_scene(scene)
    side = round_up(COMPUTE, load_model(path).at_resolution_of(opened).geometry.stride)
    return count_blocks(opened.height, opened.width, side)


def whole_answer(scene: Path, path: Path) -> tuple[np.ndarray, np.ndarray, float]:
    """Probability and valid by one pass over the whole scene, and the tolerance of rounding."""
    loaded = load_model(path)
    opened = loaded.select_bands(open_scene(scene))
    image, valid = opened.read(opened.window)
    probability = loaded.predict(image, valid)
    inner = probability[(probability > 0) & (probability < 1)]
    logits = np.abs(np.log(inner / (1 - inner))).max() if inner.size else 1
    return probability, valid, 1e-5 * max(1, logits)


# --- the whole-image answer ---


def check_answer(outputs: dict[str, bytes], scene: Path, path: Path, dtype: str) -> None:
    """Compare outputs with one pass over the whole scene."""
    expected, valid, tolerance = whole_answer(scene, path)
    threshold = load_model(path).metadata.threshold
    probability, mask = pixels(outputs["probability.tif"]), pixels(outputs["mask.tif"])
    assert ((mask == 255) == ~valid).all()
    if dtype == "float32":
        assert (np.isnan(probability) == ~valid).all()
        assert np.abs(probability - expected)[valid].max(initial=0) <= tolerance
    else:
        assert ((probability == 255) == ~valid).all()
        error = np.abs(probability / 254 - expected)[valid].max(initial=0)
        assert error <= 0.5 / 254 + tolerance
    differing = valid & (mask != (expected >= np.float32(threshold)))
    near = np.abs(expected - threshold) < tolerance
    assert not (differing & ~near).any()
    # Pixels on the threshold are counted, and rare: else the line above would say little.
    assert np.count_nonzero(near & valid) <= 2 + np.count_nonzero(valid) / 100


@settings(max_examples=30)
@given(cases, st.sampled_from(["uint8", "float32"]), st.integers(1, 200))
def test_any_scene_gets_the_answer_of_one_pass_over_it(make_case, run, case, dtype, tile):
    scene, path = make_case(case)
    check_answer(run(scene, path, dtype, tile=tile), scene, path, dtype)


class Wide(nn.Module):
    """A net of tomorrow: a stride of 4, dilation, an upsampling of its own."""

    def __init__(self, bands: int, upsample: str):
        super().__init__()
        self.down = nn.Conv2d(bands, 6, 3, padding=1, stride=2)
        self.wide = nn.Conv2d(6, 6, 3, padding=3, dilation=3)
        self.up = nn.Upsample(scale_factor=4, mode=upsample)
        self.last = nn.Conv2d(6, 2, 1)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.max_pool2d(torch.relu(self.wide(torch.relu(self.down(x)))), 2)

    def tail(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.up(x))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.tail(self.features(x))


class Undivided(nn.Module):
    """The same, not told apart into features and a linear tail."""

    def __init__(self, bands: int, upsample: str):
        super().__init__()
        self.wide = Wide(bands, upsample)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.wide(x)


@pytest.mark.parametrize("net", [Wide, Undivided])
@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("upsample", ["nearest", "bilinear"])
def test_a_net_needs_only_its_place_in_the_registry(
    make_case, run, monkeypatch, net, scale, upsample
):
    monkeypatch.setitem(nets.REGISTRY, "new", net)
    model.net_geometry.cache_clear()
    scene, path = make_case(Case((91, 77), "new", scale, upsample, "nodata", 7, 5))
    try:
        outputs = run(scene, path, "float32", tile=1)
        assert outputs == run(scene, path, "float32", tile=64, threads=1, stop_at=3)
        check_answer(outputs, scene, path, "float32")
    finally:
        model.net_geometry.cache_clear()


# --- the same bytes ---


@settings(max_examples=15)
@given(
    cases,
    st.sampled_from(["uint8", "float32"]),
    st.tuples(st.integers(1, 200), st.integers(1, 200)),
    st.sampled_from([1, 2, 4]),
    st.data(),
)
def test_bytes_do_not_depend_on_tiles_threads_or_interruptions(
    make_case, run, case, dtype, tiles, threads, data
):
    scene, path = make_case(case)
    stop_at = data.draw(st.integers(0, compute_windows(scene, path) - 1))
    expected = run(scene, path, dtype, threads=1, tile=tiles[0])
    assert run(scene, path, dtype, threads=threads, tile=tiles[1], stop_at=stop_at) == expected


@settings(max_examples=10)
@given(
    case=cases,
    trained=st.floats(0.05, 0.8),
    dtype=st.sampled_from(["uint8", "float32"]),
    tile=st.integers(1, 200),
    data=st.data(),
)
def test_bytes_of_a_scene_of_another_resolution_do_not_depend_on_the_cut_either(
    make_case, run, case, trained, dtype, tile, data
):
    """The scene has 0.2 m per pixel."""
    scene, path = make_case(replace(case, period=1))
    loaded = load_model(path)
    save_model(replace(loaded, metadata=replace(loaded.metadata, resolution=trained)), path)
    expected = run(scene, path, dtype, threads=1)
    stop_at = data.draw(st.integers(0, compute_windows(scene, path) - 1))
    assert run(scene, path, dtype, tile=tile, stop_at=stop_at) == expected


def test_a_job_of_another_resolution_starts_anew(make_case):
    """What was computed with another ratio of pixels is of no use."""
    scene, path = make_case(replace(PLAIN, period=1))
    loaded = load_model(path)
    job = Job(loaded.select_bands(open_scene(scene)), loaded, 0.5, None, False, 16)
    resampled = replace(job, model=replace(loaded, resampled=Ratio(3, 2)))
    assert resampled.fingerprint() != job.fingerprint()
    assert job.fingerprint()["net"] == ["fcnn2", 1, "nearest"]
    assert job.tags()["GEOFCN_SCALE"] == "1"
    assert resampled.tags() == {**job.tags(), "GEOFCN_SCALE": "3/2"}


PLAIN = Case((97, 83), "fcnn2", 1, "nearest", "nodata", 7, 3)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_the_threshold_of_a_scene_is_the_same_however_it_is_computed(make_case, run, dtype):
    scene, path = make_case(PLAIN, CALIBRATION)
    expected = run(scene, path, dtype, threads=1, tile=1, threshold="scene")
    probability, mask = pixels(expected["probability.tif"]), pixels(expected["mask.tif"])
    steps = probability
    if dtype == "float32":
        steps = quantise(np.nan_to_num(probability), ~np.isnan(probability))
    share = expected_share(np.bincount(steps[steps != 255], minlength=255), CALIBRATION)
    with rasterio.MemoryFile(expected["mask.tif"]) as file, file.open() as raster:
        tags = raster.tags()
    assert float(tags["GEOFCN_EXPECTED_SHARE"]) == pytest.approx(share, rel=1e-5)
    level = round(254 * float(tags["GEOFCN_THRESHOLD"]) + 0.5)
    assert np.array_equal(mask, np.where(steps == 255, 255, steps >= level))
    assert 0 < np.count_nonzero(mask == 1) < np.count_nonzero(mask != 255)
    for way in ({"tile": 64, "threads": 4, "stop_at": 20}, {"stop_at": 41}):
        assert run(scene, path, dtype, threshold="scene", **way) == expected


def test_a_found_threshold_is_told_and_verified(make_case, tmp_path):
    scene, path = make_case(Case((330, 300), "fcnn", 2, "bilinear", "nodata", 1, 9), CALIBRATION)
    options = {
        "model": path, "threshold": "scene", "polygons": tmp_path / "h.geojson", "min_area": 0,
    }  # fmt: skip
    result = infer(scene, tmp_path / "mask.tif", verify=100, **options)
    found = result.scene_threshold
    with rasterio.open(result.mask) as raster:
        assert raster.tags()["GEOFCN_THRESHOLD"] == f"{found.threshold:.6g}"
        houses = np.count_nonzero(raster.read(1) == 1)
    assert found.models == load_model(path).metadata.threshold != found.threshold
    assert result.verification.pixels == 330 * 300 and result.verification.differing <= 3
    frame = geopandas.read_file(result.polygons)
    assert frame.n_px.sum() == houses > 0
    assert frame.score.min() >= found.threshold - 0.5 / 254


def test_shards_damaged_between_the_two_passes_are_made_anew(make_case, tmp_path, run, monkeypatch):
    scene, path = make_case(PLAIN, CALIBRATION)
    open_outputs = Outputs.open

    def damaging(outputs, job, co):
        shard = sorted(outputs.work_folder.glob("*.shard"))[3]
        shard.write_bytes(shard.read_bytes()[:-1])
        return open_outputs(outputs, job, co)

    with pytest.MonkeyPatch.context() as fault:
        fault.setattr(Outputs, "open", damaging)
        with pytest.raises(OutputError, match=r"000003\.shard.*damaged.*same command"):
            infer(scene, tmp_path / "mask.tif", model=path, threshold="scene")
    assert not (tmp_path / "mask.tif").exists()
    infer(scene, tmp_path / "mask.tif", model=path, threshold="scene")
    expected = run(scene, path, threshold="scene")["mask.tif"]
    assert (tmp_path / "mask.tif").read_bytes() == expected


@pytest.mark.parametrize("word", ["scenes", "0.5", 1.5])
def test_what_is_no_threshold_is_refused(make_case, tmp_path, word):
    scene, path = make_case(PLAIN)
    with pytest.raises(
        UsageError, match=f"threshold {word}: give a probability from 0 to 1, scene or"
    ):
        infer(scene, tmp_path / "mask.tif", model=path, threshold=word)


def test_the_threshold_is_by_default_the_scenes_where_the_model_is_calibrated(make_case, run):
    scene, calibrated = make_case(PLAIN, CALIBRATION)
    assert run(scene, calibrated) == run(scene, calibrated, threshold="scene")
    assert run(scene, calibrated) != run(scene, calibrated, threshold="model")
    scene, plain = make_case(PLAIN)
    assert run(scene, plain) == run(scene, plain, threshold="model")


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("own", [1, 3])
def test_bytes_do_not_depend_on_the_threads_of_torch(make_case, run, threads, own):
    scene, path = make_case(PLAIN)
    expected = run(scene, path, threads=1)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(own)
        assert run(scene, path, threads=threads) == expected
        assert torch.get_num_threads() == own, "the caller's setting is as it was"
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("layout", [{"tiled": True, "blockxsize": 16, "blockysize": 32}, {}])
def test_bytes_do_not_depend_on_the_blocks_of_the_scene(make_case, run, tmp_path, layout):
    scene, path = make_case(PLAIN)
    with rasterio.open(scene) as source:
        image, profile = source.read(), source.profile
    stored_otherwise = tmp_path / "stored-otherwise.tif"
    with rasterio.open(stored_otherwise, "w", **profile | {"compress": "deflate"} | layout) as sink:
        sink.write(image)
    assert run(stored_otherwise, path) == run(scene, path)


def test_finished_row_bands_are_not_computed_again(make_case, run, monkeypatch):
    scene, path = make_case(Case((97, 83), "fcnn2", 1, "nearest", "nothing", 1, 3))
    counted, window, saved, save = [], Predictor.window, [], Shards.save
    monkeypatch.setattr(Predictor, "window", lambda *a: (counted.append(a[2]), window(*a))[1])
    monkeypatch.setattr(Shards, "save", lambda *a: (saved.append(a[1]), save(*a))[1])
    run(scene, path, threads=1, tile=1)
    assert sorted(saved) == list(range(7))
    assert len(counted) == len(set(counted)) == compute_windows(scene, path) == 7 * 6
    assert sum(done.pixels for done in counted) == 97 * 83


def test_windows_that_are_blank_as_a_whole_are_not_run(make_case, run, write_raster, monkeypatch):
    _, path = make_case(PLAIN)
    image = np.zeros((3, 64, 64), np.uint8)
    image[:, 40:44, 8:12] = 99
    scene = write_raster("nearly-blank.tif", image, nodata=0)
    passes, probability = [], Predictor._probabilities
    monkeypatch.setattr(
        Predictor, "_probabilities", lambda *a: (passes.append(a), probability(*a))[1]
    )
    mask = pixels(run(scene, path)["mask.tif"])
    assert len(passes) == 1
    assert np.count_nonzero(mask != 255) == 16


# --- what stands under the final names ---


def start(make_case, tmp_path, **options) -> tuple[Path, Path]:
    """A job that was stopped in the middle: (scene, model), its mask would be tmp_path/mask.tif."""
    scene, path = make_case(PLAIN)
    with pytest.MonkeyPatch.context() as fault, pytest.raises(Interrupted):
        fault.setattr(infer_module, "tasks_ahead", lambda *_: 1)
        fault.setattr(Predictor, "window", failing_at(30))
        infer(scene, tmp_path / "mask.tif", model=path, **options)
    return scene, path


def test_a_damaged_shard_never_reaches_the_output(make_case, tmp_path, run):
    scene, path = start(make_case, tmp_path)
    shard = next((tmp_path / ".mask.tif.work").glob("*.shard"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 4
    shard.write_bytes(content)
    with pytest.raises(OutputError, match=r"\.shard.*damaged.*same command"):
        infer(scene, tmp_path / "mask.tif", model=path)
    assert not (tmp_path / "mask.tif").exists()
    infer(scene, tmp_path / "mask.tif", model=path)
    assert (tmp_path / "mask.tif").read_bytes() == run(scene, path)["mask.tif"]


def test_an_error_while_writing_keeps_the_work(make_case, tmp_path, monkeypatch):
    scene, path = make_case(PLAIN)
    options = {"model": path, "probability": tmp_path / "p.tif", "polygons": tmp_path / "h.gpkg"}
    options["min_area"] = 0

    def full(*_, **__):
        raise RasterioIOError("no space left")

    with pytest.MonkeyPatch.context() as fault:
        fault.setattr(rasterio.shutil, "copy", full)
        with pytest.raises(OutputError, match="no space left"):
            infer(scene, tmp_path / "mask.tif", **options)
    assert not (tmp_path / "mask.tif").exists()
    monkeypatch.setattr(Predictor, "window", failing_at(0))
    # The polygons stood already; this very job may replace what is its own.
    infer(scene, tmp_path / "mask.tif", **options)
    assert len(geopandas.read_file(tmp_path / "h.gpkg", layer="houses")) > 0
    assert not (tmp_path / ".mask.tif.work").exists()


def test_a_disk_that_fills_up_is_told_before_all_is_computed(make_case, tmp_path, run):
    scene, path = make_case(PLAIN)
    write = cog_writer.CogWriter.write

    def filling_up(writer, window, array):
        if window.row >= 3 * COMPUTE:
            raise OutputError("no space left")
        write(writer, window, array)

    with pytest.MonkeyPatch.context() as fault:
        fault.setattr(infer_module, "tasks_ahead", lambda *_: 1)
        fault.setattr(cog_writer.CogWriter, "write", filling_up)
        with pytest.raises(OutputError, match="no space left"):
            infer(scene, tmp_path / "mask.tif", model=path)
    # What was done is kept, of the outputs nothing is.
    assert [file.name for file in tmp_path.glob("*mask*")] == [".mask.tif.work"]
    assert len(list((tmp_path / ".mask.tif.work").glob("*.shard"))) == 4
    infer(scene, tmp_path / "mask.tif", model=path)
    assert (tmp_path / "mask.tif").read_bytes() == run(scene, path)["mask.tif"]


def test_polygons_do_not_depend_on_how_they_were_computed(make_case, tmp_path):
    scene, path = make_case(PLAIN)
    frames = []
    ways = {"tile": 1}, {"tile": 48}, {"tile": 1000}, {"probability": tmp_path / "p.tif"}
    for number, way in enumerate(ways):
        polygons = tmp_path / f"{number}.gpkg"
        options = {"model": path, "polygons": polygons, "min_area": 0, **way}
        infer(scene, tmp_path / f"{number}.tif", **options)
        frames.append(geopandas.read_file(polygons, layer="houses"))
    assert len(frames[0]) > 5
    assert all(frames[0].equals(frame) for frame in frames[1:])
    assert frames[0].score.between(0.001, 1).all()


def test_verification_finds_nothing_to_say_of_a_right_mask(make_case, tmp_path):
    scene, path = make_case(Case((530, 300), "fcnn", 2, "bilinear", "nodata", 1, 9))
    result = infer(scene, tmp_path / "mask.tif", model=path, verify=100)
    assert result.verification.pixels == 530 * 300
    assert result.verification.differing <= 3 and result.verification.largest < 1e-4


def test_verification_sees_a_wrong_mask(make_case, tmp_path, monkeypatch):
    scene, path = make_case(Case((300, 300), "fcnn", 1, "nearest", "nothing", 1, 9))
    save = Shards.save

    def spoil(shards: Shards, number: int, arrays: dict) -> None:
        arrays["mask"] = np.where(arrays["mask"] < 2, 1 - arrays["mask"], 255).astype(np.uint8)
        save(shards, number, arrays)

    monkeypatch.setattr(Shards, "save", spoil)
    assert (
        infer(scene, tmp_path / "mask.tif", model=path, verify=9).verification.differing
        > 0.99 * 300 * 300
    )


# --- devices ---


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_gpu_computes_large_windows_of_a_job_of_its_own(make_case, monkeypatch, device):
    scene, path = make_case(Case((90, 70), "fcnn2", 1, "nearest", "nothing", 1, 3))
    options = dict.fromkeys(("threshold", "dtype", "bands", "nodata")) | {"scored": False}
    on_cpu = infer_module._make_job(scene, path, **options, device="cpu")
    monkeypatch.setattr(infer_module, "pick_device", torch.device)
    on_gpu = infer_module._make_job(scene, path, **options, device=device)
    assert (on_cpu.device, on_cpu.window) == ("cpu", compute_window_side(on_cpu.model))
    assert (on_gpu.device, on_gpu.window) == (device, 4 * on_cpu.window)
    assert on_gpu.fingerprint() != on_cpu.fingerprint(), "nothing of one is taken for the other's"


# --- many processes ---


@pytest.fixture(scope="module")
def cluster():
    # A task is given up when two workers died of it; no worker holds another one meanwhile, which
    # would be blamed too.
    settled = {
        "distributed.scheduler.allowed-failures": 1,
        "distributed.scheduler.worker-saturation": 1.0,
        # Half a minute by default, for a message to a worker that has just been killed.
        "distributed.comm.timeouts.connect": "3s",
    }
    options = {"threads_per_worker": 1, "dashboard_address": ":0", "silence_logs": logging.CRITICAL}
    with dask.config.set(settled), LocalCluster(n_workers=2, **options) as cluster:
        yield cluster


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_cluster_gives_the_bytes_of_threads(make_case, run, cluster, dtype):
    scene, path = make_case(PLAIN, CALIBRATION)
    expected = run(scene, path, dtype)
    assert run(scene, path, dtype, scheduler=cluster.scheduler_address, tile=32) == expected
    assert run(scene, path, dtype, scheduler=cluster.scheduler_address, stop_at=None) == expected
    expected = run(scene, path, dtype, threshold="model")
    options = {"threshold": "model", "scheduler": cluster.scheduler_address, "tile": 32}
    assert run(scene, path, dtype, **options) == expected


def test_workers_of_this_machine_give_the_bytes_of_threads(make_case, run):
    scene, path = make_case(PLAIN)
    assert run(scene, path, workers=2, tile=16) == run(scene, path)


def test_houses_that_touch_are_the_same_by_workers_and_after_a_fault(
    make_case, make_model, tmp_path, cluster, monkeypatch
):
    scene, _ = make_case(PLAIN)
    path = tmp_path / "contacts.safetensors"
    save_model(make_model("fcnn", seed=3, contacts=Contacts(2, 0.52)), path)

    def houses(name: str, **options) -> tuple[list[bytes], bytes]:
        mask, polygons = tmp_path / f"{name}.tif", tmp_path / f"{name}.gpkg"
        infer(scene, mask, model=path, polygons=polygons, threshold=0.5, min_area=0, **options)
        found = geopandas.read_file(polygons, layer="houses").geometry
        return found.to_wkb().tolist(), mask.read_bytes()

    expected = houses("threads")
    assert len(expected[0]) > 10 and 0.01 < (pixels(expected[1]) == 2).mean() < 0.9
    assert houses("workers", scheduler=cluster.scheduler_address, tile=16) == expected
    with monkeypatch.context() as fault, pytest.raises(Interrupted):
        fault.setattr(Predictor, "window", failing_at(3))
        houses("again", tile=16)
    assert houses("again", tile=16) == expected


def test_a_worker_killed_in_the_middle_changes_no_byte(make_case, run, cluster, monkeypatch):
    scene, path = make_case(PLAIN)
    expected = run(scene, path)
    save = Shards.save
    # The processes live as long as the module's tests; a dead one is replaced.
    victims = [next(iter(cluster.workers.values())).pid]

    def save_and_kill(shards: Shards, number: int, arrays: dict) -> None:
        save(shards, number, arrays)
        if number == 1:
            os.kill(victims.pop(), signal.SIGKILL)

    monkeypatch.setattr(Shards, "save", save_and_kill)
    monkeypatch.setattr(infer_module, "tasks_ahead", lambda *_: 8)
    assert run(scene, path, scheduler=cluster.scheduler_address, tile=16) == expected
    assert not victims


def test_a_window_that_kills_its_workers_is_named_and_the_work_kept(
    make_case, run, cluster, tmp_path, monkeypatch
):
    scene, path = make_case(PLAIN)

    def deadly(job, task):
        from geofcn.inference.job import run_task

        if task.window.row == 48 and task.window.col == 32:
            os.kill(os.getpid(), signal.SIGKILL)
        return run_task(job, task)

    monkeypatch.setattr(infer_module, "tasks_ahead", lambda *_: 4)
    # As if the scene were not striped: several tasks in a row band.
    monkeypatch.setattr(infer_module, "task_width", lambda scene, block, width, *_: width)
    options = {"model": path, "tile": 16, "scheduler": cluster.scheduler_address}
    with pytest.MonkeyPatch.context() as fault:
        fault.setattr(infer_module, "run_task", deadly)
        with pytest.raises(WorkersError, match=r"rows 48-63, columns 32-47.*kept.*same command"):
            infer(scene, tmp_path / "mask.tif", **options)
    assert len(list((tmp_path / ".mask.tif.work").glob("*.shard"))) == 3
    assert not (tmp_path / "mask.tif").exists()
    infer(scene, tmp_path / "mask.tif", **options)
    assert (tmp_path / "mask.tif").read_bytes() == run(scene, path)["mask.tif"]


@pytest.mark.parametrize("side", [0, -16, 2.5, "512"])
def test_a_compute_window_of_no_pixels_is_refused(make_model, write_raster, tmp_path, side):
    save_model(make_model("fcnn2"), tmp_path / "m.safetensors")
    scene = write_raster("s.tif", np.zeros((3, 600, 520), np.uint8))
    given = {"model": tmp_path / "m.safetensors", "compute_window": side}
    with pytest.raises(UsageError, match=f"compute_window {side}: give a whole number"):
        geofcn.infer(scene, tmp_path / "mask.tif", **given)
    assert not (tmp_path / "mask.tif").exists()


def test_a_negative_number_of_windows_to_verify_is_refused(make_case, tmp_path):
    scene, path = make_case(PLAIN)
    with pytest.raises(UsageError, match="verify -1: give a whole number from 0 up"):
        infer(scene, tmp_path / "mask.tif", model=path, verify=-1)
    assert not (tmp_path / "mask.tif").exists()


# --- a scene that changes meanwhile ---


@pytest.mark.parametrize("threshold", ["model", "scene"])
@pytest.mark.parametrize("changing", ["scene.tif", "scene.tif.msk"])
def test_a_scene_that_changes_while_it_is_read_is_an_error(
    write_raster, make_model, tmp_path, once_under_way, threshold, changing
):
    """The new file was opened on purpose: the mask was half of one scene, half of another."""
    image = np.random.default_rng(0).integers(0, 255, (3, 3 * COMPUTE, COMPUTE), np.uint8)
    scene = write_raster("scene.tif", image)
    save_model(make_model("fcnn2", calibration=CALIBRATION), tmp_path / "model.safetensors")
    outputs = tmp_path / "out"
    outputs.mkdir()
    progress = once_under_way(lambda: _append(tmp_path / changing))
    with pytest.raises(SceneError, match=r"scene\.tif: .*has changed while it was read"):
        infer(
            scene, outputs / "m.tif", model=tmp_path / "model.safetensors", threshold=threshold,
            polygons=outputs / "h.gpkg", progress=progress,
        )  # fmt: skip
    assert [path.name for path in outputs.iterdir()] == [".m.tif.work"]


def _append(path) -> None:
    with path.open("ab") as file:
        file.write(b"II*\0")  # what a TIFF begins with


def test_two_outputs_of_one_name_are_refused(write_raster, make_model, tmp_path):
    scene = write_raster("scene.tif", np.ones((3, COMPUTE, COMPUTE), np.uint8))
    save_model(make_model("fcnn2"), tmp_path / "model.safetensors")
    (tmp_path / "x").mkdir()
    with pytest.raises(OutputError, match=r"a\.tif: two outputs have this name"):
        infer(
            scene, tmp_path / "a.tif", model=tmp_path / "model.safetensors",
            probability=tmp_path / "x" / ".." / "a.tif",
        )  # fmt: skip
