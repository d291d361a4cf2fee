import errno
import os
import resource
import signal
from threading import Event

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.errors import RasterioIOError
from rasterio.transform import from_origin

from geofcn.core.grid import Grid
from geofcn.core.pixels import BACKGROUND, BLANK, HOUSE
from geofcn.core.windows import Window, blocks, row_bands
from geofcn.errors import OutputError
from geofcn.io import cog_writer, overviews, raster_writer
from geofcn.io.cog_writer import mask_writer, probability_writer
from geofcn.io.overviews import halve_floats, halve_mask, halve_quantised
from geofcn.io.raster_writer import Band, RasterWriter, check_raster_target

CRS_UTM = CRS.from_epsg(25832)
TRANSFORM = from_origin(500_000, 5_000_000, 0.2, 0.2)
BYTE = Band("uint8", nodata=255, description="house")


def frame(height: int, width: int) -> Grid:
    return Grid(height, width, CRS_UTM, TRANSFORM)


def a_mask(height: int, width: int) -> np.ndarray:
    mask = np.random.default_rng(0).choice([0, 1, 255], (height, width), p=[0.7, 0.2, 0.1])
    return mask.astype(np.uint8)


def write_bands(writer, array: np.ndarray, rows: int = 512) -> None:
    with writer:
        for window in row_bands(*array.shape, rows):
            writer.write(window, array[window.slices])


# --- what is written is what is read ---


def test_a_mask_is_all_that_a_gis_needs(tmp_path):
    path, mask = tmp_path / "mask.tif", a_mask(1100, 700)
    write_bands(mask_writer(path, frame(1100, 700), tags={"GEOFCN_MODEL": "abc"}), mask)
    with rasterio.open(path) as file:
        assert (file.read(1) == mask).all()
        assert (file.count, file.dtypes, file.nodata) == (1, ("uint8",), BLANK)
        assert (file.crs, file.transform) == (CRS_UTM, TRANSFORM)
        assert file.profile["tiled"] and file.block_shapes == [(raster_writer.BLOCK,) * 2]
        assert file.compression.value.lower() == "deflate"
        assert file.descriptions == ("house",)
        assert file.tags()["GEOFCN_MODEL"] == "abc"
        assert file.overviews(1)[:2] == [2, 4]
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        colours = file.colormap(1)
    for value in (BACKGROUND, HOUSE, BLANK):
        assert colours[value][:3] == cog_writer.MASK_COLOURS[value]
    assert len({colours[value][:3] for value in (BACKGROUND, HOUSE, BLANK)}) == 3
    assert [p.name for p in tmp_path.iterdir()] == ["mask.tif"], "no side files"


def test_uint8_probabilities_state_their_scale(tmp_path):
    path = tmp_path / "p.tif"
    steps = np.arange(256, dtype=np.uint8).reshape(16, 16)
    write_bands(probability_writer(path, frame(16, 16), "uint8"), steps)
    with rasterio.open(path) as file:
        assert (file.read(1) == steps).all()
        assert file.nodata == 255 and file.scales == (1 / 254,) and file.offsets == (0,)


def test_float_probabilities_are_nan_where_blank(tmp_path):
    path = tmp_path / "p.tif"
    values = np.random.default_rng(0).random((600, 30)).astype(np.float32)
    values[3:9, 4:8] = np.nan
    write_bands(probability_writer(path, frame(600, 30), "float32"), values)
    with rasterio.open(path) as file:
        assert np.isnan(file.nodata) and file.scales == (1,)
        np.testing.assert_array_equal(file.read(1), values)
        assert ((file.dataset_mask() != 0) == ~np.isnan(values)).all()


@settings(max_examples=15)
@given(
    height=st.integers(1, 1300),
    width=st.integers(1, 600),
    rows=st.sampled_from([512, 1024]),
)
def test_any_size_of_mask_comes_back(tmp_path, height, width, rows):
    path, mask = tmp_path / f"{height}-{width}.tif", a_mask(height, width)
    write_bands(mask_writer(path, frame(height, width)), mask, rows)
    with rasterio.open(path) as file:
        assert (file.read(1) == mask).all()
        expected = mask
        for level in range(len(file.overviews(1))):
            expected = halve_mask(overviews._even(expected))
            with rasterio.open(path, overview_level=level) as reduced:
                assert (reduced.read(1) == expected).all()
    path.unlink()


def test_windows_of_a_plain_raster_may_lie_anywhere(tmp_path):
    path = tmp_path / "a.tif"
    image = np.random.default_rng(0).integers(0, 9, (3, 70, 90)).astype(np.uint16)
    with RasterWriter(path, frame(70, 90), Band("uint16", count=3)) as writer:
        for window in sorted(blocks(Window(0, 0, 70, 90), 32), key=lambda w: (w.col, -w.row)):
            writer.write(window, image[:, *window.slices])
    with rasterio.open(path) as file:
        assert (file.read() == image).all()
        assert file.nodata is None


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_mask_without_crs(tmp_path):
    path, mask = tmp_path / "mask.tif", a_mask(600, 20)
    write_bands(mask_writer(path, Grid(600, 20, None, rasterio.Affine.identity())), mask)
    with rasterio.open(path) as file:
        assert file.crs is None and (file.read(1) == mask).all()


@pytest.mark.parametrize("name", ["blank in name.tif", "häuser.tif", "-dash.tif", "q'uote.TIFF"])
def test_odd_names(tmp_path, name):
    write_bands(mask_writer(tmp_path / name, frame(600, 600)), a_mask(600, 600))
    assert [p.name for p in tmp_path.iterdir()] == [name]


# --- overviews ---


def test_thin_houses_stay_in_an_overview_and_blank_wins_by_three():
    cells = {
        (1, 1, 0, 0): HOUSE,
        (1, 0, 0, 0): BACKGROUND,
        (1, 1, 255, 255): HOUSE,
        (1, 255, 255, 255): BLANK,
        (0, 255, 255, 0): BACKGROUND,
        (255, 255, 255, 0): BLANK,
        (1, 1, 1, 1): HOUSE,
    }
    for cell, expected in cells.items():
        assert halve_mask(np.array(cell, np.uint8).reshape(2, 2)).item() == expected, cell


def test_reduced_probabilities_are_means_of_what_is_known():
    assert halve_quantised(np.array([[254, 254], [254, 254]], np.uint8)).item() == 254
    assert halve_quantised(np.array([[10, 255], [20, 255]], np.uint8)).item() == 15
    assert halve_quantised(np.full((2, 2), 255, np.uint8)).item() == 255
    assert halve_floats(np.array([[0.5, np.nan], [1, np.nan]], np.float32)).item() == 0.75
    assert np.isnan(halve_floats(np.full((2, 2), np.nan, np.float32)).item())


# --- what must not be written ---


def test_the_target_is_checked(tmp_path):
    there = tmp_path / "there.tif"
    there.write_bytes(b"x")
    folder = tmp_path / "folder.tif"
    folder.mkdir()
    for path, overwrite, message in [
        (tmp_path / "mask.png", False, r"end in one of \.tif"),
        (there, False, "--overwrite"),
        (folder, True, "this is a folder"),
        (tmp_path / "none" / "mask.tif", False, "folder does not exist"),
    ]:
        with pytest.raises(OutputError, match=message) as caught:
            check_raster_target(path, overwrite)
        assert str(path) in str(caught.value)
    assert check_raster_target(there, True) == there
    assert check_raster_target(str(tmp_path / "new.TIF"), False) == tmp_path / "new.TIF"


def test_the_input_is_never_the_output_not_even_through_a_link(tmp_path):
    scene = tmp_path / "scene.tif"
    scene.write_bytes(b"pixels")
    links = [tmp_path / "soft.tif", tmp_path / "hard.tif", tmp_path / "sub" / ".." / "scene.tif"]
    (tmp_path / "sub").mkdir()
    links[0].symlink_to(scene)
    os.link(scene, links[1])
    for target in (scene, *links):
        with pytest.raises(OutputError, match="the input itself"):
            check_raster_target(target, True, "no-such-file.tif", scene)
    assert check_raster_target(tmp_path / "mask.tif", True, scene, "zip://a.zip!b.tif")


# --- failures leave nothing ---


def names(folder) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize("make", [mask_writer, lambda path, f: RasterWriter(path, f, BYTE)])
def test_an_error_inside_the_block_leaves_nothing_and_is_the_error_seen(tmp_path, make):
    with pytest.raises(ZeroDivisionError), make(tmp_path / "m.tif", frame(600, 600)) as writer:
        writer.write(Window(0, 0, 512, 600), a_mask(512, 600))
        raise ZeroDivisionError
    assert names(tmp_path) == []


def test_nothing_has_the_final_name_before_the_end(tmp_path):
    path = tmp_path / "m.tif"
    with mask_writer(path, frame(600, 600)) as writer:
        writer.write(Window(0, 0, 512, 600), a_mask(512, 600))
        assert not path.exists()
        writer.write(Window(512, 0, 88, 600), a_mask(88, 600))
        assert not path.exists()
    assert path.exists()


def test_an_older_output_stands_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "m.tif"
    write_bands(mask_writer(path, frame(20, 20)), a_mask(20, 20))
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt), mask_writer(path, frame(30, 30)) as writer:
        writer.write(Window(0, 0, 30, 30), a_mask(30, 30))
        raise KeyboardInterrupt
    assert path.read_bytes() == before and names(tmp_path) == ["m.tif"]


def test_what_lay_beside_an_older_output_goes_with_it(tmp_path):
    path = tmp_path / "mask.tif"
    profile = {"driver": "GTiff", "height": 1024, "width": 1024, "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(np.full((1, 1024, 1024), 7, np.uint8))
    with rasterio.Env(TIFF_USE_OVR=True), rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4], Resampling.nearest)
    beside = [path.with_name(f"mask.tif{ending}") for ending in (".ovr", ".aux.xml")]
    beside[1].write_text("<PAMDataset></PAMDataset>")
    assert all(file.exists() for file in beside)
    with mask_writer(path, frame(1024, 1024)) as writer:
        writer.write(Window(0, 0, 1024, 1024), np.ones((1024, 1024), np.uint8))
    assert not any(file.exists() for file in beside)
    with rasterio.open(path) as dataset:
        assert dataset.files == [str(path)]
        assert (dataset.read(1, out_shape=(512, 512)) == 1).all()


def test_what_a_killed_run_left_is_no_hindrance(tmp_path):
    path = tmp_path / "m.tif"
    writer = mask_writer(path, frame(20, 20))
    writer.write(Window(0, 0, 20, 20), a_mask(20, 20))
    del writer  # killed: the block is never left
    assert names(tmp_path) != []
    write_bands(mask_writer(path, frame(600, 600)), a_mask(600, 600))
    assert names(tmp_path) == ["m.tif"]


@pytest.mark.parametrize("make", [mask_writer, lambda path, f: RasterWriter(path, f, BYTE)])
def test_a_file_that_reads_back_otherwise_is_never_published(tmp_path, monkeypatch, make):
    finish = cog_writer.CogWriter._finish if make is mask_writer else RasterWriter._finish

    def flip_a_pixel(self):
        finished = finish(self)
        options = {"IGNORE_COG_LAYOUT_BREAK": "YES"}
        with rasterio.open(finished, "r+", **options) as file:
            file.write(1 - file.read(window=((0, 1), (0, 1))) % 2, window=((0, 1), (0, 1)))
        return finished

    monkeypatch.setattr(cog_writer.CogWriter, "_finish", flip_a_pixel)
    monkeypatch.setattr(RasterWriter, "_finish", flip_a_pixel)
    with pytest.raises(OutputError, match="rows 0-19, columns 0-19 read back wrong"):
        write_bands(make(tmp_path / "m.tif", frame(20, 20)), np.zeros((20, 20), np.uint8))
    assert names(tmp_path) == []


@pytest.mark.parametrize("make", [mask_writer, lambda path, f: RasterWriter(path, f, BYTE)])
def test_a_file_completed_early_gets_its_name_when_the_block_is_left(tmp_path, make):
    mask = a_mask(600, 600)
    with make(tmp_path / "m.tif", frame(600, 600)) as writer:
        writer.write(Window(0, 0, 600, 600), mask)
        writer.complete()
        writer._completing.result()
        assert names(tmp_path) == [".m.tif.partial"]
        writer._complete = None  # it is not completed twice
    assert names(tmp_path) == ["m.tif"]
    with rasterio.open(tmp_path / "m.tif") as file:
        assert (file.read(1) == mask).all()


def test_an_error_beside_completion_stops_it_and_publishes_nothing(tmp_path, monkeypatch):
    begun, left, read = Event(), Event(), []
    checksum = raster_writer.zlib.crc32

    def wait(array):
        read.append(array)
        begun.set()
        assert left.wait(60)
        return checksum(array)

    with pytest.raises(KeyboardInterrupt), mask_writer(tmp_path / "m.tif", frame(512, 9)) as writer:
        for band in row_bands(512, 9, 64):
            writer.write(band, a_mask(*band.shape))
        monkeypatch.setattr(raster_writer.zlib, "crc32", wait)
        monkeypatch.setattr(writer._left, "set", lambda told=writer._left.set: (told(), left.set()))
        writer.complete()
        assert begun.wait(60)
        raise KeyboardInterrupt
    assert len(read) == 1, "of eight windows"
    assert names(tmp_path) == []


def test_a_file_that_was_cut_short_is_never_published(tmp_path, monkeypatch):
    finish = RasterWriter._finish

    def cut(self):
        finished = finish(self)
        with open(finished, "r+b") as file:
            file.truncate(finished.stat().st_size // 2)
        return finished

    monkeypatch.setattr(RasterWriter, "_finish", cut)
    noise = np.random.default_rng(0).integers(0, 255, (600, 600)).astype(np.uint8)
    with pytest.raises(OutputError, match=r"m\.tif: writing failed"):
        write_bands(RasterWriter(tmp_path / "m.tif", frame(600, 600), BYTE), noise)
    assert names(tmp_path) == []


FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("step", ["fsync", "replace", "write"])
def test_a_full_disk_is_an_output_error_that_names_the_room_left(tmp_path, monkeypatch, step):
    def fail(*args, **options):
        if step == "write":
            raise RasterioIOError("write failed") from FULL
        raise FULL

    if step == "fsync":
        monkeypatch.setattr(raster_writer.os, "fsync", fail)
    elif step == "replace":
        monkeypatch.setattr(raster_writer.Path, "replace", fail)
    writer = mask_writer(tmp_path / "m.tif", frame(20, 20))
    if step == "write":
        monkeypatch.setattr(rasterio.io.DatasetWriter, "write", fail)
    with pytest.raises(OutputError, match=r"No space left.*GB are free"):
        write_bands(writer, a_mask(20, 20))
    assert names(tmp_path) == []


def test_gdal_itself_meets_a_full_disk(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (600, 600)).astype(np.uint8)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    writer = RasterWriter(tmp_path / "m.tif", frame(600, 600), BYTE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OutputError, match="writing failed"), writer:
            writer.write(Window(0, 0, 600, 600), noise)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_found_before_any_work(tmp_path, monkeypatch):
    def denied(*args, **options):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(raster_writer.Path, "mkdir", denied)
    with pytest.raises(OutputError, match=r"cannot be written.*choose another folder"):
        mask_writer(tmp_path / "m.tif", frame(20, 20))
    assert names(tmp_path) == []
