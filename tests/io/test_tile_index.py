"""geofcn.io.tile_index: sheets are read as the one raster that they were cut from."""

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.enums import ColorInterp
from rasterio.shutil import copy
from rasterio.transform import Affine, from_origin
from rasterio.windows import Window as FileWindow

from geofcn.core.windows import Window
from geofcn.core.windows import cut as cut_windows
from geofcn.errors import SceneError
from geofcn.io import tile_index
from geofcn.io.datasets import close_handles
from geofcn.io.opening import open_raster, open_scene
from geofcn.io.tile_index import SheetSurvey, survey_sheets

HEIGHT, WIDTH, SIDE = 11, 14, 5
RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
RGBA = (*RGB, ColorInterp.alpha)
# What sheets are called does not tell where they lie.
NAMES = ("b10", "b9", "a", "c", "b", "d2", "d10", "e", "f")


def image_of(bands, dtype="uint8", seed=0):
    random = np.random.default_rng(seed)
    return random.integers(0, 4, (bands, HEIGHT, WIDTH)).astype(dtype)


def cut(path, folder, left_out=()):
    """Cut a raster into sheets of SIDE x SIDE pixels, but for those left out by number."""
    folder.mkdir()
    windows = [(row, col) for row in range(0, HEIGHT, SIDE) for col in range(0, WIDTH, SIDE)]
    with rasterio.open(path) as file:
        for number, (row, col) in enumerate(windows):
            if number not in left_out:
                rows, cols = min(SIDE, HEIGHT - row), min(SIDE, WIDTH - col)
                _copy(file, FileWindow(col, row, cols, rows), folder / f"{NAMES[number]}.tif")
    return folder


def _copy(file, window, path):
    flags = set(file.mask_flag_enums[0])
    masked = "per_dataset" in {flag.name for flag in flags} and "alpha" not in {
        f.name for f in flags
    }
    profile = file.profile | {
        "height": window.height,
        "width": window.width,
        "transform": file.window_transform(window),
    }
    with rasterio.open(path, "w", **profile) as sheet:
        sheet.colorinterp = file.colorinterp
        sheet.scales, sheet.offsets = file.scales, file.offsets
        if file.colorinterp[0] == ColorInterp.palette:
            sheet.write_colormap(1, file.colormap(1))
        sheet.write(file.read(window=window))
        if masked:
            sheet.write_mask(file.dataset_mask(window=window))


def assert_alike(sheets, whole, left_out=()):
    """All that is said and read of sheets is that of the whole, but what is left out is blank."""
    told = ("grid", "bands", "file_bands", "palette", "declared", "false_masks", "dtype")
    for name in told:
        assert repr(getattr(sheets, name)) == repr(getattr(whole, name)), name
    image, valid = whole.read(whole.window)
    for number in left_out:
        row, col = divmod(number, -(-WIDTH // SIDE))
        valid[row * SIDE : (row + 1) * SIDE, col * SIDE : (col + 1) * SIDE] = False
    windows = [Window(3, 2, 6, 9), Window(4, 4, 1, 1), *cut_windows(whole.window, SIDE, SIDE)]
    for window in (whole.window, *windows, *cut_windows(whole.window, HEIGHT, 2 * SIDE)):
        part = np.s_[
            window.row : window.row + window.height, window.col : window.col + window.width
        ]
        found, known = sheets.read(window)
        assert (known == valid[part]).all()
        assert (found[:, known] == image[:, *part][:, known]).all()


def mask_of(image):
    return np.where(image[0] == 3, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("left_out", [(), (0,), (4, 5)])
@pytest.mark.parametrize(
    "rule",
    ["none", "nodata", "alpha", "mask", ".msk", "nan", "near infrared"],
)
def test_sheets_are_read_as_the_raster_that_they_were_cut_from(
    tmp_path, write_raster, rule, left_out
):
    image, profile = image_of(3), {}
    if rule == "nodata":
        profile = {"nodata": 2, "colours": RGB}
    if rule == "nan":
        image = image.astype(np.float32)
        image[image == 2] = np.nan
        profile = {"nodata": np.nan, "dtype": "float32"}
    if rule == "alpha":
        image, profile = np.vstack([image, mask_of(image)[None]]), {"colours": RGBA}
    if rule == "near infrared":
        fourth = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(1, HEIGHT, WIDTH)
        image, profile = np.vstack([image, fourth]), {"colours": RGBA}
    path = write_raster("whole.tif", image, **profile)
    if rule in ("mask", ".msk"):
        with (
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=rule == "mask"),
            rasterio.open(path, "r+") as file,
        ):
            file.write_mask(mask_of(image))
    # rasterio alone sees no mask beside a file where the environment says so; geofcn does.
    options = {"GDAL_DISABLE_READDIR_ON_OPEN": "FALSE", "GDAL_TIFF_INTERNAL_MASK": rule == "mask"}
    with rasterio.Env(**options):
        folder = cut(path, tmp_path / "sheets", left_out)
    assert_alike(open_scene(folder), open_scene(path), left_out)


def with_nodata(path):
    """A VRT of a raster whose bands have nodata values of their own."""
    with rasterio.open(path) as file, rasterio.MemoryFile(ext=".vrt") as memory:
        copy(file, memory.name, driver="VRT")
        text = memory.read().decode()
    text = text.replace('relativeToVRT="1">', f'relativeToVRT="0">{path.parent}/')
    for band in (1, 2, 3):
        start = text.index(">", text.index(f'band="{band}"')) + 1
        text = f"{text[:start]}<NoDataValue>{band}</NoDataValue>{text[start:]}"
    path.with_suffix(".vrt").write_text(text)
    return path.with_suffix(".vrt")


def test_bands_may_have_nodata_values_of_their_own(tmp_path, write_raster):
    whole = write_raster("whole.tif", image_of(3))
    folder = cut(whole, tmp_path / "sheets", (4,))
    for path in folder.glob("*.tif"):
        with_nodata(path)
    assert_alike(open_scene(f"{folder}/*.vrt"), open_scene(with_nodata(whole)), (4,))


def test_a_palette_and_a_scale_are_those_of_the_sheets(tmp_path, write_raster):
    path = write_raster("whole.tif", image_of(1)[0])
    with rasterio.open(path, "r+") as file:
        file.write_colormap(1, {n: (10 * n, 20, 30, 255 if n else 0) for n in range(4)})
    assert_alike(open_scene(cut(path, tmp_path / "sheets")), open_scene(path))
    assert_alike(open_raster(tmp_path / "sheets"), open_raster(path))
    path = write_raster("other.tif", image_of(3, "uint16"))
    with rasterio.open(path, "r+") as file:
        file.scales, file.offsets = (0.1, 0.1, 0.2), (1.0, 0.0, 0.0)
    assert_alike(open_scene(cut(path, tmp_path / "others")), open_scene(path))


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint32", "int32", "float32", "float64"])
def test_all_types_are_read_with_nodata_too(tmp_path, write_raster, dtype):
    image = image_of(2, dtype)
    image[0, :3] = np.iinfo(dtype).max if image.dtype.kind in "iu" else 1 / 3
    path = write_raster("whole.tif", image, nodata=2)
    assert_alike(open_scene(cut(path, tmp_path / "sheets", (1,))), open_scene(path), (1,))


@pytest.mark.parametrize(
    "crs", ["EPSG:4326", "EPSG:2056+5728", "+proj=laea +lat_0=40 +type=crs", None]
)
def test_the_crs_is_that_of_the_sheets(tmp_path, write_raster, crs):
    place = from_origin(7.1, 46.2, 1e-6, 1e-6)
    path = write_raster("whole.tif", image_of(3), crs=crs, transform=place)
    assert_alike(open_scene(cut(path, tmp_path / "sheets")), open_scene(path))


@settings(max_examples=10)
@given(
    st.floats(-2e7, 2e7), st.floats(-2e7, 2e7), st.sampled_from([0.05, 0.1, 1 / 3, 20.0]),
    st.integers(1, 3), st.floats(-0.009, 0.009),
)  # fmt: skip
def test_pixels_stay_what_they_are_where_sheets_stray_by_a_hair(
    tmp_path_factory, x, y, pixel, strayed, by
):
    folder = tmp_path_factory.mktemp("hair")
    image = image_of(1)[0]
    profile = {"driver": "GTiff", "height": HEIGHT, "width": 1, "count": 1, "dtype": "uint8"}
    for col in range(4):
        at = col + (by if col == strayed else 0)
        place = Affine(pixel, 0, x + at * pixel, 0, -pixel, y)
        with rasterio.open(folder / f"{col}.tif", "w", transform=place, **profile) as file:
            file.write(image[:, col : col + 1], 1)
    scene = open_scene(folder)
    assert scene.grid.width == 4 and not scene.masked
    assert (scene.read(scene.window)[0][0] == image[:, :4]).all()
    close_handles()


def overlapping(write_raster, low, high, **profile):
    """Two sheets, the second one on the right half of the first and beyond."""
    west = {"transform": from_origin(500_000, 5_000_000, 0.2, 0.2)}
    east = {"transform": from_origin(500_000.4, 5_000_000, 0.2, 0.2)}
    path = write_raster("s9.tif", low, **west, **profile)
    write_raster("s10.tif", high, **east, **profile)
    return f"{path.parent}/s*.tif"


def test_the_last_sheet_by_name_is_on_top_and_its_blank_pixels_show_what_lies_below(write_raster):
    low, high = np.full((1, 4), 1, np.uint8), np.array([[2, 0, 2, 0]], np.uint8)
    scene = open_raster(overlapping(write_raster, low, high))
    assert scene.read(scene.window)[0].tolist() == [[[1, 1, 2, 0, 2, 0]]]
    scene = open_raster(overlapping(write_raster, low, high, nodata=0))
    image, valid = scene.read(scene.window)
    assert image.tolist() == [[[1, 1, 2, 1, 2, 0]]]
    assert valid.tolist() == [[True, True, True, True, True, False]]


def test_transparent_pixels_show_what_lies_below(write_raster):
    low = np.array([[[1, 1, 1, 1]], [[255, 255, 255, 255]]], np.uint8)
    high = np.array([[[2, 2, 2, 2]], [[255, 0, 255, 0]]], np.uint8)
    colours = (ColorInterp.gray, ColorInterp.alpha)
    scene = open_scene(overlapping(write_raster, low, high, colours=colours))
    image, valid = scene.read(scene.window)
    assert image[0][valid].tolist() == [1, 1, 2, 1, 2] and not valid[0, 5]


def test_a_tile_index_has_an_order_of_its_own_and_is_read_whole(write_raster, write_index):
    """GDAL itself leaves the second sheet blank in windows that begin where it does."""
    values = {"s9.tif": 9, "s10.tif": 10, "s2.tif": 2}
    for number, (name, value) in enumerate(values.items()):
        place = from_origin(500_000 + 2 * number, 5_000_000, 1, 1)
        write_raster(name, np.full((1, 3), value, np.uint8), transform=place)
    scene = open_raster(write_index(list(values)))
    assert scene.read(scene.window)[0].tolist() == [[[9, 9, 10, 10, 2, 2, 2]]]
    for col in range(7):
        (value,) = scene.read(Window(0, col, 1, 1))[0].ravel()
        assert value == [9, 9, 10, 10, 2, 2, 2][col]


def test_sheets_are_listed_once_for_each_look_at_them(tmp_path, write_raster, monkeypatch):
    """At its opening and at the end; no window of it lists thousands of files."""
    folder = cut(write_raster("whole.tif", image_of(1)[0]), tmp_path / "sheets")
    looks, find = [], tile_index.files_behind
    monkeypatch.setattr(tile_index, "files_behind", lambda names: (looks.append(1), find(names))[1])
    scene = open_scene(folder)
    assert len(looks) == 1
    for window in cut_windows(scene.window, SIDE, SIDE):
        scene.read(window)
    assert len(looks) == 1
    scene.refuse_changed()
    assert len(looks) == 2


def test_how_sheets_lie_is_told(tmp_path, write_raster):
    ones = np.ones((1, 4), np.uint8)
    assert survey_sheets(overlapping(write_raster, ones, ones)) == SheetSurvey(2, 0, 2 / 6)
    path = write_raster("whole.tif", image_of(1)[0])
    survey = survey_sheets(str(cut(path, tmp_path / "sheets", (0,))))
    assert (survey.count, survey.overlap_share) == (8, 0)
    assert survey.gap_share == pytest.approx(25 / (HEIGHT * WIDTH))


def test_a_sheet_that_goes_missing_is_no_blank_place(tmp_path, write_raster):
    """GDAL's tile index leaves it blank without a word."""
    folder = cut(write_raster("whole.tif", image_of(3)), tmp_path / "sheets")
    scene = open_scene(folder)
    (folder / "c.tif").unlink()
    with pytest.raises(SceneError, match=r"cannot read .*c\.tif.*copy or make it again"):
        scene.read(scene.window)


def test_a_sheet_that_is_cut_short_is_found_as_it_is_read(tmp_path, write_raster):
    path = write_raster("whole.tif", image_of(3), compress="deflate")
    folder = cut(path, tmp_path / "sheets")
    content = (folder / "c.tif").read_bytes()
    (folder / "c.tif").write_bytes(content[:-20])
    scene = open_scene(folder)
    with pytest.raises(SceneError, match="the file named there is missing or damaged"):
        scene.read(scene.window)
