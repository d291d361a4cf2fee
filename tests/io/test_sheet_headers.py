"""geofcn.io.sheet_headers: a sheet that does not fit the others is named before a pixel is read."""

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine, from_origin

from geofcn.errors import SceneError
from geofcn.io.opening import open_scene

COUNT, SIDE, PIXEL = 6, 4, 0.2
WEST, NORTH = 500_000, 5_000_000


@pytest.fixture
def sheets(write_raster, tmp_path):
    """sheets(odd=..., ...) -> a pattern for six sheets in a row, some with another profile."""

    def write(odd=(), bands=3, dtype="uint8", shift=0.0, **profile):
        for number in range(COUNT):
            is_odd = number in odd
            shape = bands if is_odd else 3, SIDE, SIDE
            image = np.full(shape, number, dtype if is_odd else "uint8")
            at = number * SIDE + (shift if is_odd else 0)
            place = {"transform": from_origin(WEST + at * PIXEL, NORTH, PIXEL, PIXEL)}
            write_raster(f"s{number}.tif", image, **(place | profile if is_odd else place))
        return f"{tmp_path}/s*.tif"

    return write


def refused(path, message):
    with pytest.raises(SceneError, match=message) as caught:
        open_scene(path)
    assert str(caught.value).count("\n") == 0
    return str(caught.value)


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        (
            {"crs": "EPSG:25833"},
            r"most have the CRS EPSG:25832, not .*s2\.tif \(EPSG:25833\); .*-t_srs",
        ),
        ({"crs": "EPSG:31467"}, r"not .*s2\.tif \(EPSG:31467\)"),
        ({"crs": "EPSG:4326"}, r"not .*s2\.tif \(EPSG:4326\)"),
        ({"crs": None}, r"s2\.tif \(none\)"),
        (
            {"bands": 1},
            r"most have the number of bands 3, not .*s2\.tif \(1\); .*gdal_translate -b",
        ),
        ({"dtype": "uint16"}, r"most have the type uint8, not .*s2\.tif \(uint16\); .*-ot"),
        ({"nodata": 0}, r"most have the nodata value None, not .*s2\.tif \(0\.0\); .*-a_nodata"),
        ({"photometric": "minisblack"}, r"most have the colours red,green,blue, not .*s2\.tif"),
        (
            {"shift": 0.3},
            r"lie beside the pixel grid of the others: .*s2\.tif \(by 0\.3 px\); .*-tap",
        ),
        ({"shift": 3e9}, r"3,000,000,0\d\d x 4 pixels, more than geofcn takes, of which .*s2\.tif"),
        ({"transform": Affine(0.21, 0, WEST, 0, -0.2, NORTH)}, r"pixels of 0\.2 x 0\.2, .*s2\.tif"),
        ({"transform": Affine(0.4, 0, WEST, 0, -0.4, NORTH)}, r"pixels of 0\.2 x 0\.2, .*s2\.tif"),
        ({"transform": Affine(0.2, 0.1, WEST, 0, -0.2, NORTH)}, r"s2\.tif: this sheet is rotated"),
        ({"transform": Affine(0.2, 0, WEST, 0, 0.2, NORTH)}, r"s2\.tif: .*or is mirrored"),
        ({"transform": Affine.identity()}, r"s2\.tif: this sheet has no place on the ground"),
    ],
)
def test_a_sheet_unlike_the_others_is_named(sheets, profile, message):
    refused(sheets(odd=(2,), **profile), message)


def test_the_first_odd_ones_are_named_and_the_others_counted(sheets):
    """Most decide, also where the first one is odd, and where all are odd in something else."""
    told = refused(sheets(odd=(0,), shift=0.5), "lie beside the pixel grid")
    assert "s0.tif" in told and "s1.tif" not in told
    told = refused(
        sheets(odd=(0,), transform=Affine(0.21, 0, WEST, 0, -0.2, NORTH)), "pixels of 0.2"
    )
    assert "s0.tif" in told and "s1.tif" not in told


def test_of_many_odd_ones_some_are_named(sheets, write_raster, tmp_path):
    sheets()
    for number in range(6, 10):
        place = from_origin(WEST + number * SIDE * PIXEL, NORTH, PIXEL, PIXEL)
        image = np.ones((3, SIDE, SIDE), np.uint8)
        write_raster(f"s{number}.tif", image, transform=place, crs="EPSG:25833")
    told = refused(f"{tmp_path}/s*.tif", r"s6\.tif .*, .*s7\.tif .*, .*s8\.tif .* and 1 more; take")
    assert "s9.tif" not in told


def test_a_missing_and_a_damaged_sheet_are_told(sheets, tmp_path):
    sheets()
    listed = tmp_path / "list.txt"
    listed.write_text("\n".join(f"s{number}.tif" for number in range(COUNT + 2)))
    refused(
        listed, r"s6\.tif: this sheet is missing; .* \(1 more of .*list\.txt cannot be used\)\.$"
    )
    (tmp_path / "s3.tif").write_bytes(b"II*\0damaged")
    refused(f"{tmp_path}/s*.tif", r"s3\.tif: this sheet cannot be opened as a raster \(.*\); copy")
    (tmp_path / "s3.tif").write_text("<VRTDataset/>")
    refused(f"{tmp_path}/s*.tif", r"s3\.tif: this is a VRT under another name")


def test_a_mask_beside_a_nodata_value_is_refused_where_not_all_have_it(sheets):
    path = sheets(odd=range(COUNT), nodata=9)
    with rasterio.open(path.replace("*", "2"), "r+") as file:
        file.write_mask(np.full((SIDE, SIDE), 255, np.uint8))
    refused(path, r"mask besides nodata False, not .*s2\.tif \(True\)")


def test_some_may_have_masks_where_none_has_a_nodata_value(sheets):
    path = sheets()
    mask = np.full((SIDE, SIDE), 255, np.uint8)
    mask[0] = 0
    with rasterio.open(path.replace("*", "2"), "r+") as file:
        file.write_mask(mask)
    scene = open_scene(path)
    _, valid = scene.read(scene.window)
    assert valid.sum() == SIDE * (COUNT * SIDE - 1) and not valid[0, 2 * SIDE : 3 * SIDE].any()
