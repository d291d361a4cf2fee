import errno
import os
import resource
import signal
from threading import Event

import numpy as np
import pytest
import rasterio
from rasterio._env import get_gdal_config
from rasterio.crs import CRS
from rasterio.errors import RasterioIOError
from rasterio.transform import Affine, from_origin

from geofcn import errors
from geofcn.core.grid import Grid
from geofcn.core.windows import Window, blocks, row_bands
from geofcn.errors import OutputError
from geofcn.io import cog_writer, files, raster_writer
from geofcn.io.cog_writer import mask_writer
from geofcn.io.gdal import CACHE_BYTES
from geofcn.io.locks import locked
from geofcn.io.raster_writer import Band, RasterWriter, check_raster_target

CRS_UTM = CRS.from_epsg(25832)
TRANSFORM = from_origin(500_000, 5_000_000, 0.2, 0.2)
BYTE = Band("uint8", nodata=255, description="house")


def utm_grid(height: int, width: int) -> Grid:
    return Grid(height, width, CRS_UTM, TRANSFORM)


def random_mask(height: int, width: int) -> np.ndarray:
    mask = np.random.default_rng(0).choice([0, 1, 255], (height, width), p=[0.7, 0.2, 0.1])
    return mask.astype(np.uint8)


def write_bands(writer, array: np.ndarray, rows: int = 512) -> None:
    with writer:
        for window in row_bands(*array.shape, rows):
            writer.write(window, array[window.slices])


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- what is written is what is read ---


def test_windows_of_a_plain_raster_may_lie_anywhere(tmp_path):
    path = tmp_path / "a.tif"
    image = np.random.default_rng(0).integers(0, 9, (3, 70, 90)).astype(np.uint16)
    with RasterWriter(path, utm_grid(70, 90), Band("uint16", count=3)) as writer:
        for window in sorted(blocks(Window(0, 0, 70, 90), 32), key=lambda w: (w.col, -w.row)):
            writer.write(window, image[:, *window.slices])
    with rasterio.open(path) as file:
        assert (file.read() == image).all()
        assert file.nodata is None
        assert (file.crs, file.transform) == (CRS_UTM, TRANSFORM)
        assert file.block_shapes == [(raster_writer.BLOCK,) * 2] * 3
        assert file.compression.value.lower() == "deflate"
    assert names(tmp_path) == ["a.tif"], "no side files"


def test_a_raster_says_what_its_band_says(tmp_path):
    path = tmp_path / "a.tif"
    band = Band("uint8", 9, "roofs", {0: (1, 2, 3), 7: (40, 50, 60)}, scale=0.5)
    with RasterWriter(path, utm_grid(2, 3), band, {"AUTHOR": "me"}) as writer:
        writer.write(Window(0, 0, 2, 3), np.full((2, 3), 7, np.uint8))
    with rasterio.open(path) as file:
        assert (file.dtypes, file.nodata, file.scales) == (("uint8",), 9, (0.5,))
        assert file.descriptions == ("roofs",) and file.tags()["AUTHOR"] == "me"
        assert file.colormap(1)[0][:3] == (1, 2, 3) and file.colormap(1)[7][:3] == (40, 50, 60)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64"])
def test_pixels_of_any_type_come_back_also_from_arrays_in_another_order(tmp_path, dtype):
    image = np.asfortranarray(np.random.default_rng(0).integers(0, 99, (5, 7)).astype(dtype))
    with RasterWriter(tmp_path / "a.tif", utm_grid(10, 7), Band(dtype)) as writer:
        writer.write(Window(0, 0, 5, 7), image)
        writer.write(Window(5, 0, 5, 7), image[::-1])
    with rasterio.open(tmp_path / "a.tif") as file:
        assert (file.read(1) == np.vstack([image, image[::-1]])).all()


@pytest.mark.parametrize("make", [mask_writer, lambda path, grid: RasterWriter(path, grid, BYTE)])
@pytest.mark.parametrize(
    "crs",
    [
        CRS.from_epsg(2056),
        CRS.from_epsg(25832).to_wkt(version="WKT1_ESRI"),
        CRS.from_epsg(4326).to_wkt(version="WKT1_ESRI"),  # "==" to no other, for its axes
        "+proj=laea +lat_0=46 +lon_0=11 +ellps=bessel +towgs84=577,90,463 +units=m",
        "EPSG:25832+5783",
        None,
    ],
)
@pytest.mark.parametrize("transform", [TRANSFORM, Affine(0.1, 0.2, 7, 0.3, -0.1, 46)])
def test_a_place_on_the_ground_survives(tmp_path, make, crs, transform):
    crs = crs and CRS.from_user_input(crs)
    write_bands(make(tmp_path / "a.tif", Grid(4, 4, crs, transform)), random_mask(4, 4))
    assert set(names(tmp_path)) - {"a.qml"} == {"a.tif"}
    with rasterio.open(tmp_path / "a.tif") as file:
        assert file.transform.almost_equals(transform)
        assert (file.crs is None) is (crs is None)


@pytest.mark.parametrize("make", [mask_writer, lambda path, grid: RasterWriter(path, grid, BYTE)])
def test_a_crs_that_no_geotiff_holds_is_refused_before_any_work(tmp_path, make):
    rotated = "+proj=ob_tran +o_proj=longlat +o_lon_p=0 +o_lat_p=39.25 +lon_0=18"
    grid = Grid(4, 4, CRS.from_user_input(rotated), TRANSFORM)
    with pytest.raises(OutputError, match=r"a\.tif: a GeoTIFF cannot hold its CRS.*gdalwarp"):
        make(tmp_path / "a.tif", grid)
    assert names(tmp_path) == []


SAID = {
    "CRS": {"crs": CRS.from_epsg(3857)},
    "transform": {"transform": from_origin(500_001, 5_000_000, 0.2, 0.2)},
    "nodata value": {"nodata": 7},
    "description": {"descriptions": ("barn",)},
    "scale": {"scales": (0.5,)},
}


@pytest.mark.parametrize("what", [*SAID, "tags"])
def test_a_file_that_says_something_else_of_itself_is_never_published(tmp_path, monkeypatch, what):
    finish = RasterWriter._finish

    def change(self):
        finished = finish(self)
        with rasterio.open(finished, "r+") as file:
            if what == "tags":
                file.update_tags(AUTHOR="you")
            for name, value in SAID.get(what, {}).items():
                setattr(file, name, value)
        return finished

    monkeypatch.setattr(RasterWriter, "_finish", change)
    with pytest.raises(OutputError, match=rf"m\.tif: writing failed \(its {what} read back wrong"):
        write_bands(
            RasterWriter(tmp_path / "m.tif", utm_grid(20, 20), BYTE, {"AUTHOR": "me"}),
            random_mask(20, 20),
        )
    assert names(tmp_path) == []


def test_tags_are_those_of_the_beginning(tmp_path):
    tags = {"AUTHOR": "me"}
    with RasterWriter(tmp_path / "m.tif", utm_grid(4, 4), BYTE, tags) as writer:
        tags["AUTHOR"] = "you"
        writer.write(Window(0, 0, 4, 4), random_mask(4, 4))
    with rasterio.open(tmp_path / "m.tif") as file:
        assert file.tags()["AUTHOR"] == "me"


# --- what must not be written ---


def test_the_target_is_checked(tmp_path):
    existing = tmp_path / "existing.tif"
    existing.write_bytes(b"x")
    folder = tmp_path / "folder.tif"
    folder.mkdir()
    for path, overwrite, message in [
        (tmp_path / "mask.png", False, r"end in one of \.tif"),
        (existing, False, "--overwrite"),
        (folder, True, "this is a folder"),
        (tmp_path / "none" / "mask.tif", False, "folder does not exist"),
    ]:
        with pytest.raises(OutputError, match=message) as caught:
            check_raster_target(path, overwrite)
        assert str(path) in str(caught.value)
    assert check_raster_target(existing, True) == existing
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


@pytest.mark.parametrize("make", [mask_writer, lambda path, grid: RasterWriter(path, grid, BYTE)])
def test_an_error_inside_the_block_leaves_nothing_and_is_the_error_seen(tmp_path, make):
    with pytest.raises(ZeroDivisionError), make(tmp_path / "m.tif", utm_grid(600, 600)) as writer:
        writer.write(Window(0, 0, 512, 600), random_mask(512, 600))
        raise ZeroDivisionError
    assert names(tmp_path) == []


ERRORS = [kind for kind in vars(errors).values() if isinstance(kind, type)]


@pytest.mark.parametrize("kind", [*ERRORS, OSError, RasterioIOError, ValueError, RuntimeError])
def test_an_error_inside_the_block_is_not_taken_for_one_of_the_file(tmp_path, kind):
    error = kind("upstream")
    with (
        pytest.raises(kind) as caught,
        mask_writer(tmp_path / "m.tif", utm_grid(9, 9)),
        RasterWriter(tmp_path / "n.tif", utm_grid(9, 9), BYTE) as writer,
    ):
        writer.write(Window(0, 0, 9, 9), random_mask(9, 9))
        writer.complete()
        raise error
    assert caught.value is error
    assert names(tmp_path) == []


def test_an_output_error_of_one_writer_passes_through_another_as_it_is(tmp_path):
    with (
        pytest.raises(OutputError) as caught,
        RasterWriter(tmp_path / "n.tif", utm_grid(9, 9), BYTE),
        RasterWriter(tmp_path / "m.tif", utm_grid(9, 9), BYTE) as writer,
    ):
        writer.write(Window(0, 0, 9, 9), random_mask(9, 9))
        writer._checksums[Window(0, 0, 9, 9)] += 1
    assert str(caught.value).startswith(f"{tmp_path / 'm.tif'}: writing failed (rows 0-8, ")
    assert str(caught.value).count("writing failed") == 1
    assert names(tmp_path) == []


def test_nothing_has_the_final_name_before_the_end(tmp_path):
    path = tmp_path / "m.tif"
    with mask_writer(path, utm_grid(600, 600)) as writer:
        writer.write(Window(0, 0, 512, 600), random_mask(512, 600))
        assert not path.exists()
        writer.write(Window(512, 0, 88, 600), random_mask(88, 600))
        assert not path.exists()
    assert path.exists()


def test_an_older_output_stands_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "m.tif"
    write_bands(mask_writer(path, utm_grid(20, 20)), random_mask(20, 20))
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt), mask_writer(path, utm_grid(30, 30)) as writer:
        writer.write(Window(0, 0, 30, 30), random_mask(30, 30))
        raise KeyboardInterrupt
    assert path.read_bytes() == before and names(tmp_path) == ["m.qml", "m.tif"]


def test_what_a_killed_run_left_is_no_hindrance_and_goes_with_the_next_lock(tmp_path):
    path = tmp_path / "m.tif"
    writer = mask_writer(path, utm_grid(20, 20))
    writer.write(Window(0, 0, 20, 20), random_mask(20, 20))
    del writer  # killed: the block is never left
    assert names(tmp_path) != []
    with locked(path):
        write_bands(mask_writer(path, utm_grid(600, 600)), random_mask(600, 600))
    assert names(tmp_path) == ["m.qml", "m.tif"]


# --- its style ---

STYLED = Band("uint8", style="<qgis/>")


def write_styled(path) -> None:
    write_bands(RasterWriter(path, utm_grid(9, 9), STYLED), random_mask(9, 9))


def test_a_style_comes_along_and_one_of_the_users_is_left_alone(tmp_path):
    write_styled(tmp_path / "a.tif")
    assert (tmp_path / "a.qml").read_text() == "<qgis/>"
    (tmp_path / "a.qml").write_text("mine")
    write_styled(tmp_path / "a.tif")
    assert (tmp_path / "a.qml").read_text() == "mine"
    assert names(tmp_path) == ["a.qml", "a.tif"]


def test_a_link_under_the_styles_name_is_the_users_even_where_it_leads_nowhere(tmp_path):
    (tmp_path / "a.qml").symlink_to(tmp_path / "nowhere")
    write_styled(tmp_path / "a.tif")
    assert names(tmp_path) == ["a.qml", "a.tif"] and (tmp_path / "a.qml").is_symlink()


@pytest.mark.parametrize("position", [0, 1])
def test_killed_on_the_way_to_their_names_a_raster_and_its_style_come_together(
    tmp_path, killed_while_publishing, position
):
    path = tmp_path / "a.tif"
    killed_while_publishing(position, lambda: write_styled(path))
    assert not path.exists()
    with locked(path):
        assert names(tmp_path) == [f".{path.name}.lock"], "what was moved is taken back"
        write_styled(path)
    assert names(tmp_path) == ["a.qml", "a.tif"]


def test_a_style_that_finds_no_room_leaves_nothing(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(raster_writer.Path, "write_text", full)
    with pytest.raises(OutputError, match=r"a\.tif: writing failed \(.*No space left"):
        write_styled(tmp_path / "a.tif")
    assert names(tmp_path) == []


# --- errors ---


def test_no_error_whatever_its_class_leaves_anything_behind(tmp_path, monkeypatch):
    """GDAL's own errors are none of rasterio's: a disk without inodes left the hidden folder."""

    class ForeignError(Exception):
        pass

    def fail(*args, **options):
        raise ForeignError

    monkeypatch.setattr(rasterio, "open", fail)
    with pytest.raises(ForeignError):
        mask_writer(tmp_path / "m.tif", utm_grid(20, 20))
    assert names(tmp_path) == []


def test_a_link_where_old_versions_wrote_is_not_followed(tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "0.tif").write_bytes(b"mine")
    (tmp_path / ".m.tif.partial").symlink_to(tmp_path / "precious")
    write_bands(mask_writer(tmp_path / "m.tif", utm_grid(20, 20)), random_mask(20, 20))
    assert (tmp_path / "precious" / "0.tif").read_bytes() == b"mine"


@pytest.mark.parametrize("ending", [".aux.xml", ".msk", ".ovr", ".msk.ovr"])
def test_what_belongs_to_no_raster_yet_is_not_removed_unasked(tmp_path, ending):
    beside = tmp_path / f"m.tif{ending}"
    beside.write_bytes(b"mine")
    with pytest.raises(OutputError, match=f"m.tif{ending}: it exists already .*--overwrite"):
        check_raster_target(tmp_path / "m.tif", False)
    assert check_raster_target(tmp_path / "m.tif", True) == tmp_path / "m.tif"


@pytest.mark.parametrize("make", [mask_writer, lambda path, grid: RasterWriter(path, grid, BYTE)])
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
        write_bands(make(tmp_path / "m.tif", utm_grid(20, 20)), np.zeros((20, 20), np.uint8))
    assert names(tmp_path) == []


@pytest.mark.parametrize("make", [mask_writer, lambda path, grid: RasterWriter(path, grid, BYTE)])
def test_a_file_completed_early_gets_its_name_when_the_block_is_left(tmp_path, make):
    mask = random_mask(600, 600)
    with make(tmp_path / "m.tif", utm_grid(600, 600)) as writer:
        writer.write(Window(0, 0, 600, 600), mask)
        writer.complete()
        writer._completing.result()
        assert names(tmp_path) == [writer.folder.name]
        writer._complete = None  # it is not completed twice
    assert set(names(tmp_path)) - {"m.qml"} == {"m.tif"}
    with rasterio.open(tmp_path / "m.tif") as file:
        assert (file.read(1) == mask).all()


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
        write_bands(RasterWriter(tmp_path / "m.tif", utm_grid(600, 600), BYTE), noise)
    assert names(tmp_path) == []


def test_an_error_beside_completion_stops_it_and_publishes_nothing(tmp_path, monkeypatch):
    begun, left, read = Event(), Event(), []
    checksum = raster_writer.zlib.crc32

    def wait(array):
        read.append(array)
        begun.set()
        assert left.wait(60)
        return checksum(array)

    with (
        pytest.raises(KeyboardInterrupt),
        mask_writer(tmp_path / "m.tif", utm_grid(512, 9)) as writer,
    ):
        for band in row_bands(512, 9, 64):
            writer.write(band, random_mask(*band.shape))
        monkeypatch.setattr(raster_writer.zlib, "crc32", wait)
        monkeypatch.setattr(writer._left, "set", lambda told=writer._left.set: (told(), left.set()))
        writer.complete()
        assert begun.wait(60)
        raise KeyboardInterrupt
    assert len(read) == 1, "of eight windows"
    assert names(tmp_path) == []


FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("step", ["fsync", "replace", "write"])
def test_a_full_disk_is_an_output_error_that_states_the_free_space(tmp_path, monkeypatch, step):
    def fail(*args, **options):
        if step == "write":
            raise RasterioIOError("write failed") from FULL
        raise FULL

    if step == "fsync":
        monkeypatch.setattr(files.os, "fsync", fail)
    elif step == "replace":
        monkeypatch.setattr(raster_writer.Path, "replace", fail)
    writer = mask_writer(tmp_path / "m.tif", utm_grid(20, 20))
    if step == "write":
        monkeypatch.setattr(rasterio.io.DatasetWriter, "write", fail)
    with pytest.raises(OutputError, match=r"No space left.*GB are free") as caught:
        write_bands(writer, random_mask(20, 20))
    assert str(caught.value).count("writing failed") == 1
    assert names(tmp_path) == []


def test_gdal_itself_meets_a_full_disk(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (600, 600)).astype(np.uint8)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    writer = RasterWriter(tmp_path / "m.tif", utm_grid(600, 600), BYTE)
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
        mask_writer(tmp_path / "m.tif", utm_grid(20, 20))
    assert names(tmp_path) == []


def test_gdals_cache_stays_small_while_a_file_is_completed(tmp_path):
    # Once a twentieth of the machine's memory: a write was the last to leave GDAL's settings.
    with mask_writer(tmp_path / "a.tif", utm_grid(2, 3)) as writer:
        writer.write(Window(0, 0, 2, 3), np.zeros((2, 3), np.uint8))
        assert get_gdal_config("GDAL_CACHEMAX") == CACHE_BYTES
