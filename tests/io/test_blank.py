"""geofcn.io.blank: a pixel is blank where any of nodata, masks and alpha says so."""

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rasterio.enums import ColorInterp

from geofcn.io.blank import is_nodata
from geofcn.io.opening import open_scene

RGBA = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]


def blank_of(path, **options) -> np.ndarray:
    scene = open_scene(path, **options)
    assert scene.declares_blank
    return ~scene.read(scene.window)[1]


@given(
    arrays(np.uint8, (3, 4, 5), elements=st.integers(0, 2)),
    st.tuples(*[st.sampled_from([None, 0, 1])] * 3),
)
def test_nodata_is_where_all_bands_that_declare_it_have_it(image, nodata):
    declared = [
        (band, value) for band, value in zip(image, nodata, strict=True) if value is not None
    ]
    expected = np.ones((4, 5), bool) if declared else np.zeros((4, 5), bool)
    for row in range(4):
        for col in range(5):
            expected[row, col] &= all(band[row, col] == value for band, value in declared)
    assert (is_nodata(image, nodata) == expected).all()


def test_nan_is_a_nodata_value():
    assert is_nodata(np.array([[[np.nan, 1]]]), [np.nan]).tolist() == [[True, False]]


@pytest.mark.parametrize("alpha", [255, 0])
def test_neither_alpha_nor_nodata_hides_the_other(write_raster, alpha):
    image = np.full((4, 3, 4), 9, np.uint8)
    image[:3, :, 0] = 0  # nodata
    image[3] = 255
    image[3, 0] = alpha
    blank = blank_of(write_raster("a.tif", image, nodata=0, colours=RGBA))
    expected = np.zeros((3, 4), bool)
    expected[:, 0] = True
    expected[0] |= alpha == 0
    assert (blank == expected).all()


@pytest.mark.parametrize("internal", [True, False])
@pytest.mark.parametrize("bands", [1, 3])
def test_a_mask_does_not_hide_nodata(write_raster, internal, bands):
    image = np.full((bands, 3, 4), 9, np.uint8)
    image[:, :, 0] = 0
    path = write_raster("a.tif", image, nodata=0)
    mask = np.ones((3, 4), bool)
    mask[1] = False
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=internal), rasterio.open(path, "r+") as file:
        file.write_mask(mask)
    expected = ~mask
    expected[:, 0] = True
    assert (blank_of(path) == expected).all()


def test_a_mask_does_not_hide_alpha(write_raster):
    image = np.full((4, 3, 4), 9, np.uint8)
    image[3] = 255
    image[3, :, 3] = 0
    path = write_raster("a.tif", image, colours=RGBA)
    mask = np.ones((3, 4), bool)
    mask[1] = False
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as file:
        file.write_mask(mask)
    expected = ~mask
    expected[:, 3] = True
    assert (blank_of(path) == expected).all()


def test_four_colours_with_nodata_are_not_judged_by_the_fourth(write_raster):
    image = np.full((4, 2, 2), 9, np.uint8)
    image[3, 0, 0] = image[:, 1, 1] = 0
    colours = [*RGBA[:3], ColorInterp.nir]
    blank = blank_of(write_raster("a.tif", image, nodata=0, colours=colours))
    assert blank.tolist() == [[False, False], [False, True]]


def test_each_band_of_a_vrt_has_a_nodata_value_of_its_own(write_raster, tmp_path):
    write_raster("a.tif", np.array([[[0, 0, 5]], [[9, 4, 9]]], np.uint8))
    band = (
        "<VRTRasterBand dataType='Byte' band='{0}'><NoDataValue>{1}</NoDataValue><SimpleSource>"
        "<SourceFilename relativeToVRT='1'>a.tif</SourceFilename><SourceBand>{0}</SourceBand>"
        "</SimpleSource></VRTRasterBand>"
    )
    path = tmp_path / "a.vrt"
    path.write_text(
        "<VRTDataset rasterXSize='3' rasterYSize='1'>"
        f"{band.format(1, 0)}{band.format(2, 9)}</VRTDataset>"
    )
    assert blank_of(path).tolist() == [[True, False, False]]


# --- alpha that is none ---


def near_infrared(write_raster, dtype="uint8"):
    image = np.random.default_rng(0).integers(0, 255, (4, 40, 40)).astype(dtype)
    image[3, :4] = 0
    return image, write_raster("nir.tif", image, colours=RGBA)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_near_infrared_called_alpha_is_no_mask_and_that_is_said(write_raster, caplog, dtype):
    _, path = near_infrared(write_raster, dtype)
    scene = open_scene(path)
    assert scene.bands == (1, 2, 3) and not scene.declares_blank
    assert scene.read(scene.window)[1].all()
    (message,) = caplog.messages
    assert "nir.tif: its band 4 is called alpha" in message
    assert "--bands 1,2,3,4" in message


def test_named_bands_are_inputs_even_if_called_alpha(write_raster, caplog):
    image, path = near_infrared(write_raster)
    scene = open_scene(path, bands=(4, 1))
    pixels, valid = scene.read(scene.window)
    assert (pixels == image[[3, 0]]).all() and valid.all()
    assert scene.colours == ("alpha", "red") and caplog.messages == []


def test_a_mask_stays_one_beside_named_bands(write_raster):
    image = np.full((4, 3, 4), 9, np.uint8)
    image[3] = 255
    image[3, 0] = 0
    path = write_raster("a.tif", image, colours=RGBA)
    assert blank_of(path, bands=(2,)).any(axis=1).tolist() == [True, False, False]


@pytest.mark.parametrize("soft", [0.1, 0.4])
def test_alpha_with_soft_edges_is_a_mask(write_raster, caplog, soft):
    image = np.full((4, 40, 40), 9, np.uint8)
    image[3] = 255
    image[3, :, : round(40 * soft)] = np.random.default_rng(0).integers(0, 255, (40, 1))
    image[3, 0] = 0
    assert blank_of(write_raster("a.tif", image, colours=RGBA))[0].all()
    assert caplog.messages == []
