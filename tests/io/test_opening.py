import os
import warnings
import zipfile

import numpy as np
import pytest
import rasterio
import shapely
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.transform import from_origin

from geofcn.errors import SceneError, UsageError
from geofcn.io.opening import open_scene

RGBA = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]


def ramp(bands: int, height: int, width: int, dtype="uint16") -> np.ndarray:
    return (np.arange(bands * height * width).reshape(bands, height, width) % 60_000).astype(dtype)


def sum_of(scene) -> int:
    return int(scene.read(scene.window)[0].sum())


# --- bands that are named ---


def test_bands_are_those_that_were_named_in_their_order(write_raster):
    image = ramp(4, 6, 5)
    scene = open_scene(write_raster("a.tif", image), bands=[4, 2])
    assert scene.bands == (4, 2) and scene.named
    assert (scene.read(scene.window)[0] == image[[3, 1]]).all()


@pytest.mark.parametrize("bands", [(0,), (5,), (1, 1), (-1, 2)])
def test_bands_that_there_are_not_are_refused(write_raster, bands):
    with pytest.raises(UsageError, match=r"a\.tif: bands .*: give different numbers from 1 to 4"):
        open_scene(write_raster("a.tif", ramp(4, 4, 4)), bands=bands)


def test_bands_of_another_type_may_stay_unnamed(tmp_path):
    path = tmp_path / "mixed.vrt"
    path.write_text(
        '<VRTDataset rasterXSize="4" rasterYSize="4"><VRTRasterBand dataType="Byte" band="1"/>'
        '<VRTRasterBand dataType="UInt16" band="2"/></VRTDataset>'
    )
    assert open_scene(path, bands=(2,)).dtype == "uint16"


# --- what is refused ---


def refused(path, message):
    with pytest.raises(SceneError, match=message) as caught:
        open_scene(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_folders_missing_files_and_archives_name_the_way_out(tmp_path, write_raster):
    refused(tmp_path, "no raster is found by it; name a raster, a folder of rasters")
    refused(tmp_path / "none.tif", "no such file")
    path = write_raster("a.tif", np.ones((4, 4), np.uint8))
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(path, "a.tif")
    refused(archive, "zip://")
    assert sum_of(open_scene(f"zip://{archive}!a.tif")) == 16
    assert sum_of(open_scene(f"/vsizip/{archive}/a.tif")) == 16


def test_shapes_in_the_place_of_a_scene_are_told_to_be_labels(write_vectors):
    shapes = write_vectors("labels.gpkg", [shapely.box(0, 0, 1, 1)])
    refused(shapes, "this holds shapes, .* scene and labels are swapped")


@pytest.mark.parametrize("content", [b"", b"II*\0", b"this is text", b"II*\0\xff\xff\xff\xff"])
def test_a_file_that_is_no_raster_is_refused(tmp_path, content):
    path = tmp_path / "fake.tif"
    path.write_bytes(content)
    refused(path, "cannot be opened as a raster")


@pytest.mark.parametrize(
    "name", ["blank in name.tif", "quote'\".tif", "häuser.tif", "-dash.tif", "UPPER.TIF"]
)
def test_odd_names_are_names(write_raster, name):
    assert sum_of(open_scene(write_raster(name, np.ones((2, 2), np.uint8)))) == 4


def test_a_vrt_by_its_own_name_is_read(tmp_path, write_raster):
    write_raster("a.tif", np.ones((4, 4), np.uint8))
    path = tmp_path / "a.vrt"
    path.write_text(
        '<VRTDataset rasterXSize="4" rasterYSize="4"><VRTRasterBand dataType="Byte" band="1">'
        '<SimpleSource><SourceFilename relativeToVRT="1">a.tif</SourceFilename></SimpleSource>'
        "</VRTRasterBand></VRTDataset>"
    )
    assert sum_of(open_scene(path)) == 16


def test_a_raster_of_absurd_size_is_refused_before_anything_is_read(tmp_path):
    path = tmp_path / "bomb.vrt"
    path.write_text(
        '<VRTDataset rasterXSize="2000000000" rasterYSize="2000000000">'
        '<VRTRasterBand dataType="Byte" band="1"/></VRTDataset>'
    )
    refused(path, "-srcwin")


def test_a_huge_block_is_refused_before_anything_is_read(tmp_path):
    path = tmp_path / "bomb.tif"
    profile = {"driver": "GTiff", "height": 32_768, "width": 65_536, "count": 1, "dtype": "uint8"}
    profile |= {"tiled": True, "blockxsize": 32_768, "blockysize": 32_768, "sparse_ok": True}
    profile |= {"compress": "deflate", "crs": "EPSG:25832", "transform": from_origin(0, 9, 1, 1)}
    with rasterio.open(path, "w", **profile):
        pass
    assert path.stat().st_size < 2000
    refused(path, "TILED=YES")


def test_ground_control_points_alone_are_refused(tmp_path):
    path = tmp_path / "gcp.tif"
    points = [GroundControlPoint(r, c, c * 0.1, -r * 0.1) for r, c in ((0, 0), (0, 9), (9, 0))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(
            path, "w", driver="GTiff", height=10, width=10, count=1, dtype="uint8"
        ) as file:
            file.gcps = points, CRS.from_epsg(25832)
    refused(path, "gdalwarp")


def test_mixed_and_complex_types_and_lone_alpha_are_refused(write_raster, tmp_path):
    refused(write_raster("complex.tif", np.ones((4, 4), np.complex64)), "one real type")
    refused(
        write_raster("alpha.tif", np.ones((4, 4), np.uint8), colours=[ColorInterp.alpha]), "alpha"
    )
    path = tmp_path / "mixed.vrt"
    path.write_text(
        '<VRTDataset rasterXSize="4" rasterYSize="4"><VRTRasterBand dataType="Byte" band="1"/>'
        '<VRTRasterBand dataType="UInt16" band="2"/></VRTDataset>'
    )
    refused(path, "uint8, uint16")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with a name")
def test_a_pipe_or_a_device_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.tif")
    (tmp_path / "device.tif").symlink_to("/dev/zero")
    for name in ("pipe.tif", "device.tif"):
        with pytest.raises(SceneError, match=f"{name}: this is a pipe or a device; save"):
            open_scene(tmp_path / name)


@pytest.mark.parametrize("name", ["a\0.tif", "a" * 5000 + ".tif", "\udcff.tif"])
def test_what_can_be_no_files_name_is_missing(name):
    with pytest.raises(SceneError, match="there is no such file"):
        open_scene(name)


def test_a_scene_of_more_bands_than_any_has_is_refused(write_raster):
    """A damaged header said 32,767: each read asked for the masks of all of them, for minutes."""
    path = write_raster("many.tif", np.zeros((1025, 1, 1), np.uint8))
    with pytest.raises(SceneError, match=r"many\.tif: it has 1,025 bands.*gdal_translate -b"):
        open_scene(path)
    assert open_scene(path, bands=(1, 1025)).bands == (1, 1025)
