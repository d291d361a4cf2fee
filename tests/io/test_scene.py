import pickle
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from hypothesis import given
from hypothesis import strategies as st
from rasterio._err import CPLE_OpenFailedError
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.transform import from_origin

from geofcn.core.encoding import Encoding
from geofcn.core.windows import Window, blocks
from geofcn.errors import SceneError
from geofcn.io import scene as scene_module
from geofcn.io.datasets import close_handles
from geofcn.io.opening import open_raster, open_scene
from geofcn.io.scene import aligned, undeclared_collar

RGBA = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]


def ramp(bands: int, height: int, width: int, dtype="uint16") -> np.ndarray:
    return (np.arange(bands * height * width).reshape(bands, height, width) % 60_000).astype(dtype)


# --- the grid ---


def test_a_scene_knows_its_grid_without_reading(write_raster):
    path = write_raster(
        "a.tif", ramp(3, 40, 50), tiled=True, blockxsize=32, blockysize=16, compress="deflate"
    )
    scene = open_scene(path)
    assert (scene.height, scene.width, scene.bands, scene.dtype) == (40, 50, (1, 2, 3), "uint16")
    assert (scene.block_shape, scene.compression, scene.driver) == ((16, 32), "DEFLATE", "GTiff")
    assert scene.colours == ("red", "green", "blue")
    assert scene.crs == CRS.from_epsg(25832)
    assert scene.transform == from_origin(500_000, 5_000_000, 0.2, 0.2)
    assert scene.window == Window(0, 0, 40, 50)
    assert scene.name == "a.tif"
    assert not scene.declares_blank


@given(st.data())
def test_any_window_is_that_part_of_the_file(write_raster, tmp_path, data):
    image = ramp(2, 23, 31)
    path = tmp_path / "ramp.tif"
    scene = open_scene(path if path.exists() else write_raster("ramp.tif", image))
    row, col = data.draw(st.integers(0, 22)), data.draw(st.integers(0, 30))
    height, width = data.draw(st.integers(1, 23 - row)), data.draw(st.integers(1, 31 - col))
    window = Window(row, col, height, width)
    pixels, valid = scene.read(window)
    assert pixels.dtype == image.dtype
    assert (pixels == image[:, *window.slices]).all()
    assert valid.shape == window.shape and valid.all()


def test_a_raster_without_georeference_opens_without_a_word(write_raster):
    path = write_raster("plain.tif", ramp(1, 4, 4), crs=None, transform=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scene = open_scene(path)
        scene.read(scene.window)
        scene.read_reduced((2, 2))
    assert scene.crs is None


# --- blank pixels ---


def holes(height=12, width=10) -> np.ndarray:
    valid = np.ones((height, width), bool)
    valid[2:5, 3:9] = valid[-1, 0] = False
    return valid


def check_blank(scene, valid):
    assert scene.declares_blank
    for window in (scene.window, Window(1, 2, 5, 4)):
        assert (scene.read(window)[1] == valid[window.slices]).all()


def test_nodata(write_raster):
    valid = holes()
    image = np.where(valid, np.uint8(7), np.uint8(0))
    check_blank(open_scene(write_raster("a.tif", image, nodata=0)), valid)


def test_a_pixel_is_nodata_only_when_every_band_is(write_raster):
    image = np.full((2, 4, 4), 5, np.uint8)
    image[0, 0, 0] = image[:, 1, 1] = 0
    _, valid = open_scene(write_raster("a.tif", image, nodata=0)).read(Window(0, 0, 4, 4))
    assert valid[0, 0] and not valid[1, 1] and valid.sum() == 15


def test_alpha(write_raster):
    valid = holes()
    image = np.full((4, *valid.shape), 9, np.uint8)
    image[3] = valid * 255
    image[3, 0, 0] = 1  # nearly transparent is not transparent
    scene = open_scene(write_raster("a.tif", image, colours=RGBA))
    assert scene.bands == (1, 2, 3) and scene.colours == ("red", "green", "blue")
    check_blank(scene, valid)
    assert scene.read(scene.window)[0].shape == (3, *valid.shape)


def test_alpha_may_stand_anywhere(write_raster):
    image = np.stack([np.full((12, 10), value, np.uint8) for value in (255, 1, 2, 3)])
    image[0, ~holes()] = 0
    scene = open_scene(write_raster("argb.tif", image, colours=[RGBA[3], *RGBA[:3]]))
    assert scene.bands == (2, 3, 4)
    assert scene.read(scene.window)[0][:, 0, 0].tolist() == [1, 2, 3]
    check_blank(scene, holes())


@pytest.mark.parametrize("bands", [1, 2, 3, 4, 6])
def test_alpha_is_a_mask_after_any_number_of_bands(write_raster, bands):
    # GDAL's own mask knows it only as the second or the fourth.
    image = np.full((bands + 1, 12, 10), 9, np.uint8)
    image[-1] = holes() * 255
    colours = [ColorInterp.undefined] * bands + [ColorInterp.alpha]
    scene = open_scene(write_raster("a.tif", image, colours=colours, photometric="minisblack"))
    assert scene.bands == tuple(range(1, bands + 1))
    check_blank(scene, holes())


@pytest.mark.parametrize("internal", [True, False])
def test_mask_bands_inside_and_beside_the_file(write_raster, internal, monkeypatch):
    valid = holes()
    path = write_raster("a.tif", np.full((3, *valid.shape), 9, np.uint8))
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=internal), rasterio.open(path, "r+") as file:
        file.write_mask(valid)
    assert path.with_suffix(".tif.msk").exists() is not internal
    # An environment that would hide a .msk file is overruled.
    monkeypatch.setenv("GDAL_DISABLE_READDIR_ON_OPEN", "EMPTY_DIR")
    with rasterio.Env():
        check_blank(open_scene(path), valid)


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("nodata", [None, np.nan, -9999.0])
def test_values_that_are_not_finite_are_blank_in_any_band(write_raster, poison, nodata):
    valid = holes()
    image = np.ones((2, *valid.shape), np.float32)
    image[1, ~valid] = poison
    scene = open_scene(write_raster("a.tif", image, nodata=nodata))
    assert (scene.read(scene.window)[1] == valid).all()


@pytest.mark.parametrize(("dtype", "value"), [("uint8", 255), ("float32", -9999.9), ("int16", -1)])
def test_a_nodata_value_of_ones_own(write_raster, dtype, value):
    valid = holes()
    image = np.ones((2, *valid.shape), dtype)
    image[:, ~valid] = value
    image[0, 0, 0] = value  # one band only
    path = write_raster("a.tif", image)
    check_blank(open_scene(path, nodata=value), valid)
    scene = open_scene(path)
    assert not scene.declares_blank and scene.read(scene.window)[1].all()


def test_a_nodata_value_the_type_cannot_hold_is_nowhere(write_raster):
    scene = open_scene(write_raster("a.tif", ramp(1, 4, 4, "uint8")), nodata=300)
    assert scene.read(scene.window)[1].all()


def test_a_window_that_is_blank_all_over_is_zeros_whatever_the_file_holds(write_raster):
    image = np.full((2, 4, 8), 7, np.uint16)
    image[:, :, :4] = 9
    scene = open_scene(write_raster("a.tif", image, nodata=9))
    pixels, valid = scene.read(Window(1, 0, 3, 4))
    assert pixels.shape == (2, 3, 4) and pixels.dtype == "uint16"
    assert not pixels.any() and not valid.any()
    pixels, valid = scene.read(Window(0, 3, 1, 2))
    assert pixels[0].tolist() == [[9, 7]] and valid.tolist() == [[False, True]]


def test_both_nodata_values_are_blank(write_raster):
    image = np.array([[1, 0, 255, 7]], np.uint8)
    scene = open_scene(write_raster("a.tif", image, nodata=0), nodata=255)
    assert scene.read(scene.window)[1].tolist() == [[True, False, False, True]]


def test_a_raster_that_declares_nothing_has_no_blank_pixel(write_raster):
    scene = open_scene(write_raster("black.tif", np.zeros((3, 8, 8), np.uint8)))
    assert scene.read(scene.window)[1].all()


def test_an_undeclared_collar_is_seen(write_raster):
    image = np.full((3, 20, 20), 90, np.uint8)
    assert undeclared_collar(open_scene(write_raster("none.tif", image))) is None
    image[:, :, :3] = 0
    assert undeclared_collar(open_scene(write_raster("black.tif", image))) == 0
    assert undeclared_collar(open_scene(write_raster("told.tif", image, nodata=0))) is None
    image[:, :, :3] = 255
    assert undeclared_collar(open_scene(write_raster("white.tif", image))) == 255


# --- as a dask array, and reduced ---


@pytest.mark.parametrize("size", [7, 16, 64])
def test_the_dask_array_equals_the_file(write_raster, size):
    image = ramp(3, 33, 20)
    image[:, 4:9, 5:12] = 0
    scene = open_scene(write_raster("a.tif", image, nodata=0))
    array = scene.to_dask(size)
    assert array.shape == image.shape and array.dtype == image.dtype
    assert max(array.chunksize[1:]) <= size
    assert (array.compute(scheduler="threads") == image).all()
    part = array[:, 10:14, 3:9]
    assert (part.compute(scheduler="synchronous") == image[:, 10:14, 3:9]).all()


def test_the_dask_array_has_zeros_where_the_scene_is_blank(write_raster):
    image = np.array([[[1, np.nan, np.inf, 4]]], np.float32)
    array = open_scene(write_raster("a.tif", image)).to_dask(2)
    assert array.compute(scheduler="synchronous").tolist() == [[[1, 0, 0, 4]]]


def test_the_dask_array_reads_only_what_is_wanted(write_raster, monkeypatch):
    scene = open_scene(write_raster("a.tif", ramp(1, 40, 40)))
    windows = []
    read = scene_module.Scene.read
    monkeypatch.setattr(
        scene_module.Scene,
        "read",
        lambda self, window: windows.append(window) or read(self, window),
    )
    scene.to_dask(10)[:, 10:20, 25:35].compute(scheduler="synchronous")
    assert sorted(windows) == [Window(10, 20, 10, 10), Window(10, 30, 10, 10)]


def test_the_reduced_scene_has_the_means_of_its_pixels(write_raster):
    random = np.random.default_rng(0)
    image = random.integers(0, 1000, (2, 24, 30)).astype(np.uint16)
    scene = open_scene(write_raster("a.tif", image))
    means = image.reshape(2, 4, 6, 5, 6).mean(axis=(2, 4))
    reduced, valid = scene.read_reduced((4, 5))
    assert abs(reduced - means).max() <= 1 and valid.all()
    part, _ = scene.read_reduced((2, 3), Window(6, 12, 12, 18))
    assert abs(part - means[:, 1:3, 2:]).max() <= 1
    assert (scene.read_reduced((24, 30))[0] == image).all()


@pytest.mark.parametrize("declared", [True, False])
def test_the_reduced_scene_is_blank_where_all_of_it_is(write_raster, declared):
    image = np.full((1, 8, 8), 7, np.float32)
    image[:, :4, :4] = -9999 if declared else np.nan
    path = write_raster("a.tif", image, nodata=-9999 if declared else None)
    reduced, valid = open_scene(path).read_reduced((2, 2))
    assert valid.tolist() == [[False, True], [True, True]] and (reduced[0][valid] == 7).all()
    assert not open_scene(path, nodata=7).read_reduced((2, 2))[1].any()


# --- in other processes ---


def sum_of(scene) -> int:
    return int(scene.read(scene.window)[0].sum())


def test_a_scene_can_be_pickled_and_read_by_another_process(write_raster):
    image = ramp(2, 20, 20)
    scene = open_scene(write_raster("a.tif", image), nodata=3)
    assert pickle.loads(pickle.dumps(scene)) == scene
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        pixels, valid = pool.submit(scene.read, scene.window).result()
    assert (pixels == image).all() and valid.all()


# --- bands, palettes and scales ---


def paletted(write_raster, colours: dict, values) -> Path:
    path = write_raster("p.tif", np.array(values, np.uint8), photometric="palette")
    with rasterio.open(path, "r+") as file:
        file.write_colormap(1, colours)
    return path


def test_a_palette_stands_for_its_colours(write_raster):
    path = paletted(write_raster, {3: (10, 20, 30, 255), 7: (200, 210, 220, 255)}, [[3, 7, 3]])
    scene = open_scene(path)
    assert (scene.bands, scene.dtype) == ((1, 2, 3), "uint8")
    assert scene.colours == ("red", "green", "blue")
    pixels, valid = scene.read(scene.window)
    assert pixels[:, 0].tolist() == [[10, 200, 10], [20, 210, 20], [30, 220, 30]] and valid.all()
    assert (scene.read_reduced((1, 3))[0] == pixels).all()
    assert open_scene(path, bands=(3,)).read(scene.window)[0].tolist() == [[[30, 220, 30]]]
    assert open_scene(path, nodata=20).read(scene.window)[1].all(), "in every band, not in one"
    assert open_raster(path).read(scene.window)[0].tolist() == [[[3, 7, 3]]], "classes stay"


def test_what_a_png_palette_makes_transparent_is_blank(tmp_path):
    path = tmp_path / "p.png"
    profile = {"driver": "PNG", "height": 1, "width": 3, "count": 1, "dtype": "uint8"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(path, "w", **profile) as file:
            file.write_colormap(1, {0: (1, 2, 3, 0), 1: (4, 5, 6, 255), 2: (7, 8, 9, 99)})
            file.write(np.array([[[0, 1, 2]]], np.uint8))
    scene = open_scene(path)
    assert scene.declares_blank
    assert scene.read(scene.window)[1].tolist() == [[False, True, True]]


def scaled(write_raster, name, image, scales, offsets) -> Path:
    path = write_raster(name, image)
    with rasterio.open(path, "r+") as file:
        file.scales, file.offsets = scales, offsets
    return path


def test_values_are_seen_in_the_encoding_of_another_scene(write_raster):
    image = np.array([[[0, 100]], [[50, 200]]], np.uint16)
    scene = open_scene(scaled(write_raster, "deep.tif", image, (0.5, 0.5), (0, 10)), nodata=65_535)
    assert scene.encoding == Encoding("uint16", (0.5, 0.5), (0, 10))
    shown = scene.seen_as(Encoding("uint8", (1, 1), (0, 0)), "another")
    pixels, valid = shown.read(shown.window)
    assert shown.dtype == pixels.dtype == "float32" and valid.all()
    assert pixels[:, 0].tolist() == [[0, 50], [35, 110]]
    assert scene.seen_as(scene.encoding, "itself") == scene
    assert undeclared_collar(replace(shown, nodata=None)) is None


def test_nodata_is_a_value_of_the_file_whatever_it_stands_for(write_raster):
    image = np.array([[[9, 18]]], np.uint8)
    scene = open_scene(scaled(write_raster, "a.tif", image, (2,), (0,)), nodata=9)
    shown = scene.seen_as(Encoding("uint8", (1,), (0,)), "another")
    assert shown.read(shown.window)[1].tolist() == [[False, True]]


def test_another_type_without_a_scale_is_refused_with_the_command_that_converts_it(write_raster):
    deep = open_scene(write_raster("deep.tif", ramp(1, 4, 4)))
    command = "gdal_translate -ot Byte -scale 0 65535 0 255"
    with pytest.raises(SceneError, match=rf"deep\.tif: its pixels are uint16.*`{command}`"):
        deep.seen_as(Encoding("uint8", (1,), (0,)), "another")


def test_a_scale_of_zero_is_refused(write_raster):
    with pytest.raises(SceneError, match="gdal_edit"):
        open_scene(scaled(write_raster, "a.tif", ramp(1, 4, 4), (0,), (0,)))


# --- onto another grid ---


def test_an_aligned_scene_is_blank_where_it_does_not_reach(write_raster):
    target = open_scene(write_raster("t.tif", np.zeros((10, 10), np.uint8)))
    small = write_raster(
        "s.tif",
        np.full((4, 4), 3, np.uint8),
        transform=from_origin(500_000.4, 4_999_999.4, 0.2, 0.2),
    )
    source = aligned(open_scene(small), target)
    pixels, valid = source.read(target.window)
    expected = np.zeros((10, 10), bool)
    expected[3:7, 2:6] = True
    assert (valid == expected).all()
    assert (pixels[0] == 3 * expected).all()


@pytest.mark.parametrize("how", ["nodata", "alpha", "mask"])
def test_an_aligned_scene_keeps_its_own_blank_pixels(write_raster, how):
    valid = holes()
    image = np.full((2, *valid.shape), 5, np.uint8)
    moved = {"transform": from_origin(500_000.2, 5_000_000, 0.2, 0.2)}
    if how == "nodata":
        image[:, ~valid] = 0
        path = write_raster("s.tif", image, nodata=0, **moved)
    elif how == "alpha":
        image[1] = valid * 255
        path = write_raster("s.tif", image, colours=[ColorInterp.gray, ColorInterp.alpha], **moved)
    else:
        path = write_raster("s.tif", image, **moved)
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as file:
            file.write_mask(valid)
    target = open_scene(write_raster("t.tif", np.zeros(valid.shape, np.uint8)))
    _, known = aligned(open_scene(path), target).read(target.window)
    assert (known[:, 1:] == valid[:, :-1]).all() and not known[:, 0].any()


# --- damage ---


def test_a_missing_part_of_a_vrt_is_what_is_to_be_made_again(tmp_path, write_raster):
    write_raster("a.tif", np.ones((4, 4), np.uint8))
    path = tmp_path / "a.vrt"
    with rasterio.open(tmp_path / "a.tif") as file:
        rasterio.shutil.copy(file, path, driver="VRT")
    (tmp_path / "a.tif").unlink()
    scene = open_scene(path)
    with pytest.raises(SceneError, match=r"a\.vrt: cannot .*a\.tif.*; the file named there is mis"):
        scene.read(scene.window)


def test_a_mask_of_another_size_is_what_is_to_be_removed(write_raster):
    small, path = (write_raster(f"{n}.tif", ramp(1, n, n)) for n in (4, 8))
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(small, "r+") as file:
        file.write_mask(np.eye(4, dtype=bool))
    Path(f"{small}.msk").rename(f"{path}.msk")
    scene = open_scene(path)
    with pytest.raises(SceneError, match=r"8\.tif\.msk is damaged or the mask of another raster"):
        scene.read(scene.window)


def test_an_error_that_rasterio_does_not_wrap_is_a_scene_error(write_raster, monkeypatch):
    path = write_raster("a.tif", ramp(1, 4, 4))

    def fail(*args, **options):
        raise CPLE_OpenFailedError(3, 4, "no\n  such thing")

    monkeypatch.setattr(rasterio, "DatasetReader", fail)
    with pytest.raises(SceneError, match=r"a\.tif: this cannot be opened .* \(no such thing\)"):
        open_scene(path)


def test_a_file_that_is_gone_is_a_scene_error_while_reading(write_raster):
    path = write_raster("a.tif", ramp(1, 8, 8))
    scene = open_scene(path)
    close_handles()
    path.unlink()
    for read in (lambda: scene.read(Window(0, 2, 3, 4)), lambda: scene.read_reduced((2, 2))):
        with pytest.raises(SceneError, match=r"a\.tif: cannot read rows 0-.*; the file") as caught:
            read()
        assert str(caught.value).count("cannot read") == 1
        assert isinstance(caught.value, OSError)


@pytest.mark.parametrize("setting", [None, "YES"])
def test_a_file_cut_short_names_itself_and_the_window(write_raster, monkeypatch, setting):
    if setting:  # GDAL would return zeros without a word
        monkeypatch.setenv("GTIFF_IGNORE_READ_ERRORS", setting)
    image = np.random.default_rng(0).integers(0, 255, (1, 64, 64)).astype(np.uint8)
    path = write_raster(
        "cut.tif", image, tiled=True, blockxsize=16, blockysize=16, compress="deflate"
    )
    with rasterio.open(path) as file:
        where = int(file.tags(ns="TIFF", bidx=1).get("BLOCK_OFFSET_3_3", 0))
    where = where or path.stat().st_size - 40
    path.write_bytes(path.read_bytes()[:where])
    scene = open_scene(path)
    assert (scene.read(Window(0, 0, 16, 16))[0] == image[:, :16, :16]).all()
    with pytest.raises(SceneError, match=r"cut\.tif: cannot read rows 48-63, columns 48-63"):
        scene.read(Window(48, 48, 16, 16))


def test_a_damaged_tile_is_an_error_with_gdals_reason(write_raster):
    image = np.random.default_rng(0).integers(0, 255, (1, 64, 64)).astype(np.uint8)
    path = write_raster(
        "bad.tif", image, tiled=True, blockxsize=16, blockysize=16, compress="deflate"
    )
    raw = bytearray(path.read_bytes())
    raw[-200:-100] = b"\0" * 100
    path.write_bytes(raw)
    scene = open_scene(path)
    with pytest.raises(
        SceneError, match=r"bad\.tif: cannot read .*; the file is damaged"
    ) as caught:
        for window in blocks(scene.window, 16):
            scene.read(window)
    assert "See previous exception" not in str(caught.value), "the reason, not a pointer to it"
