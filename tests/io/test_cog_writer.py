import resource
import signal

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.transform import from_origin

from geofcn.core.grid import Grid
from geofcn.core.pixels import BACKGROUND, BLANK, HOUSE
from geofcn.core.windows import Window, row_bands
from geofcn.errors import OutputError, UsageError
from geofcn.io import cog_writer, raster_writer
from geofcn.io.cog_writer import (
    OPTIONS,
    mask_writer,
    probability_writer,
    refuse_unknown_options,
)
from geofcn.io.overviews import halve_mask, pad_to_even

CRS_UTM = CRS.from_epsg(25832)
TRANSFORM = from_origin(500_000, 5_000_000, 0.2, 0.2)


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


def test_a_mask_is_all_that_a_gis_needs(tmp_path):
    path, mask = tmp_path / "mask.tif", random_mask(1100, 700)
    write_bands(mask_writer(path, utm_grid(1100, 700), tags={"GEOFCN_MODEL": "abc"}), mask)
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
    assert names(tmp_path) == ["mask.qml", "mask.tif"], "no side file but its style"


def test_uint8_probabilities_state_their_scale(tmp_path):
    path = tmp_path / "p.tif"
    steps = np.arange(256, dtype=np.uint8).reshape(16, 16)
    write_bands(probability_writer(path, utm_grid(16, 16), "uint8"), steps)
    with rasterio.open(path) as file:
        assert (file.read(1) == steps).all()
        assert file.nodata == 255 and file.scales == (1 / 254,) and file.offsets == (0,)


def test_float_probabilities_are_nan_where_blank(tmp_path):
    path = tmp_path / "p.tif"
    values = np.random.default_rng(0).random((600, 30)).astype(np.float32)
    values[3:9, 4:8] = np.nan
    write_bands(probability_writer(path, utm_grid(600, 30), "float32"), values)
    with rasterio.open(path) as file:
        assert np.isnan(file.nodata) and file.scales == (1,)
        np.testing.assert_array_equal(file.read(1), values)
        assert ((file.dataset_mask() != 0) == ~np.isnan(values)).all()


@settings(max_examples=15)
@given(
    height=st.integers(1, 1300),
    width=st.integers(1, 600),
    rows=st.sampled_from([7, 50, 357, 512, 1024]),
)
def test_any_size_of_mask_comes_back(tmp_path, height, width, rows):
    path, mask = tmp_path / f"{height}-{width}.tif", random_mask(height, width)
    write_bands(mask_writer(path, utm_grid(height, width)), mask, rows)
    with rasterio.open(path) as file:
        assert (file.read(1) == mask).all()
        expected = mask
        for level in range(len(file.overviews(1))):
            expected = halve_mask(pad_to_even(expected))
            with rasterio.open(path, overview_level=level) as reduced:
                assert (reduced.read(1) == expected).all()
    path.unlink()


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_mask_without_crs(tmp_path):
    path, mask = tmp_path / "mask.tif", random_mask(600, 20)
    write_bands(mask_writer(path, Grid(600, 20, None, rasterio.Affine.identity())), mask)
    with rasterio.open(path) as file:
        assert file.crs is None and (file.read(1) == mask).all()


@pytest.mark.parametrize("name", ["blank in name.tif", "häuser.tif", "-dash.tif", "q'uote.TIFF"])
def test_odd_names(tmp_path, name):
    write_bands(mask_writer(tmp_path / name, utm_grid(600, 600)), random_mask(600, 600))
    assert names(tmp_path) == sorted([name, f"{name.rpartition('.')[0]}.qml"])


# --- files around it ---


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
    with mask_writer(path, utm_grid(1024, 1024)) as writer:
        writer.write(Window(0, 0, 1024, 1024), np.ones((1024, 1024), np.uint8))
    assert not any(file.exists() for file in beside)
    with rasterio.open(path) as dataset:
        assert dataset.files == [str(path)]
        assert (dataset.read(1, out_shape=(512, 512)) == 1).all()


# --- creation options ---


@pytest.mark.parametrize("name", ["RESAMPLING", "TILING_SCHEME", "compress", "QUALITY", ""])
def test_an_option_that_changes_the_pixels_or_is_unknown_is_refused(name):
    with pytest.raises(UsageError, match=f"--co {name}: not an option") as caught:
        refuse_unknown_options({"COMPRESS": "ZSTD", name: "YES"})
    assert all(option in str(caught.value) for option in OPTIONS)


def test_every_listed_option_is_one_of_gdals_cog_driver():
    refuse_unknown_options({name: values[0] for name, values in OPTIONS.items()})
    refuse_unknown_options({"COMPRESS": "deflate", "LEVEL": 9})
    refuse_unknown_options({})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("COMPRESS", "NONSENSE"),
        ("COMPRESS", "JPEG"),  # other pixels
        ("LEVEL", "abc"),
        ("BLOCKSIZE", "17"),
        ("BLOCKSIZE", "abc"),  # GDAL aborts the process
        ("NUM_THREADS", "-1"),
        ("BIGTIFF", ""),
    ],
)
def test_a_value_that_gdal_would_ignore_is_refused(name, value):
    with pytest.raises(UsageError, match=f"--co {name}={value}: GDAL's COG driver takes"):
        refuse_unknown_options({name: value})


def test_options_replace_the_writers_own(tmp_path):
    mask = random_mask(600, 600)
    options = {"COMPRESS": "LZW", "BLOCKSIZE": "128", "OVERVIEWS": "NONE"}
    write_bands(mask_writer(tmp_path / "m.tif", utm_grid(600, 600), options=options), mask)
    with rasterio.open(tmp_path / "m.tif") as file:
        assert file.compression.value == "LZW" and file.block_shapes == [(128, 128)]
        assert file.overviews(1) == []
        assert (file.read(1) == mask).all()


def test_an_option_that_gdal_refuses_is_an_output_error_and_leaves_nothing(tmp_path):
    # Once an error of rasterio's that is none of its RasterioErrors, with its traceback.
    writer = mask_writer(tmp_path / "m.tif", utm_grid(9, 9), options={"BLOCKSIZE": "100"})
    with pytest.raises(OutputError, match=r"m\.tif: writing failed \(.*Bad value 100"):
        write_bands(writer, random_mask(9, 9))
    assert names(tmp_path) == []


# --- overviews ---


@pytest.mark.parametrize(
    ("side", "levels"), [(1, 0), (256, 0), (257, 1), (512, 1), (513, 2), (1024, 2), (1025, 3)]
)
def test_overviews_are_made_until_one_fits_in_a_block(tmp_path, side, levels):
    for height, width in ((side, 3), (3, side)):
        path = tmp_path / "m.tif"
        write_bands(mask_writer(path, utm_grid(height, width)), random_mask(height, width))
        with rasterio.open(path) as file:
            assert len(file.overviews(1)) == levels


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_overviews_of_probabilities_leave_out_blank_pixels(tmp_path, dtype):
    path = tmp_path / "p.tif"
    blank, low, high = (255, 10, 20) if dtype == "uint8" else (np.nan, 0.25, 0.5)
    array = np.full((512, 300), blank, dtype)
    array[:2, :2] = [[low, high], [blank, blank]]
    write_bands(probability_writer(path, utm_grid(512, 300), dtype), array)
    with rasterio.open(path, overview_level=0) as file:
        halved = file.read(1)
    assert halved[0, 0] == (low + high) / 2
    assert np.array_equal(halved[1:], np.full((255, 150), blank, dtype), equal_nan=True)


# --- failures leave nothing ---


@pytest.mark.parametrize("limit", [100_000, 200_000])
def test_a_disk_that_fills_while_the_cog_is_made_is_an_output_error(tmp_path, limit):
    mask = random_mask(512, 512)  # compressed in the scratch file, 262,144 bytes in the COG
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(OutputError, match="GB are free in its folder") as caught:
            write_bands(
                mask_writer(tmp_path / "m.tif", utm_grid(512, 512), options={"COMPRESS": "NONE"}),
                mask,
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert str(caught.value).startswith(f"{tmp_path / 'm.tif'}: writing failed (")
    assert str(caught.value).count("writing failed") == 1
    assert names(tmp_path) == []


@pytest.mark.parametrize("failing", ["0.tif", "1.tif", "2.tif"])
def test_a_scratch_file_that_cannot_be_made_is_found_before_any_work(
    tmp_path, monkeypatch, failing
):
    create = rasterio.open

    def fail(path, *args, **options):
        if path.name == failing:
            raise rasterio.errors.RasterioIOError("Too many open files")
        return create(path, *args, **options)

    monkeypatch.setattr(raster_writer.rasterio, "open", fail)
    with pytest.raises(OutputError, match=r"cannot be written in .* \(Too many open files\)"):
        mask_writer(tmp_path / "m.tif", utm_grid(600, 600))
    assert names(tmp_path) == []
