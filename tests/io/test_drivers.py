"""geofcn.io.drivers: a raster is what its name says, and so is what it names."""

import os
import subprocess
import sys

import numpy as np
import pytest

from geofcn.errors import SceneError
from geofcn.io.drivers import driver_of
from geofcn.io.gdal import SKIPPED_DRIVERS
from geofcn.io.opening import open_scene

# Reading it would write its cache over two files.
MRF = (
    "<MRF_META><CachedSource><Source>a.tif</Source></CachedSource><Raster><Size x='4' y='4' c='1'/>"
    "<DataFile>diary.txt</DataFile><IndexFile>letters.txt</IndexFile></Raster></MRF_META>"
)
WMS = (
    "<GDAL_WMS><Service name='TMS'><ServerUrl>http://127.0.0.1:9/${z}/${x}/${y}.png</ServerUrl>"
    "</Service></GDAL_WMS>"
)


def vrt_of(source: str) -> str:
    return (
        "<VRTDataset rasterXSize='4' rasterYSize='4'><VRTRasterBand dataType='Byte' band='1'>"
        f"<SimpleSource><SourceFilename relativeToVRT='1'>{source}</SourceFilename></SimpleSource>"
        "</VRTRasterBand></VRTDataset>"
    )


def refused(path, message):
    with pytest.raises(SceneError, match=message) as caught:
        open_scene(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "driver"),
    [
        ("a.tif", "GTiff"),
        ("A.JPEG", "JPEG"),
        ("a.gti.gpkg", "GTI"),
        ("zip://a.zip!b/c.png", "PNG"),
        ("https://a.org/b.tif?sig=x.y&e=1", "GTiff"),
        ("/vsicurl/https://a.org/b.jp2?sig=x.vrt", "JP2OpenJPEG"),
        ("what?.tif", "GTiff"),
        ("a.tif?b", None),
        ("a.mrf", None),
        ("WMS:https://a.org", None),
        ("", None),
    ],
)
def test_a_name_says_its_driver(path, driver):
    assert driver_of(path) == driver


@pytest.mark.parametrize("content", [MRF, WMS])
@pytest.mark.parametrize("name", ["a.png", "a.mrf", "a.tif", "a.dat", "a"])
def test_what_writes_or_sends_is_refused_under_any_name(tmp_path, name, content):
    (tmp_path / "diary.txt").write_text("dear diary")
    (tmp_path / name).write_text(content)
    refused(tmp_path / name, f"{name}: this is a text file under the name of a raster")
    assert (tmp_path / "diary.txt").read_text() == "dear diary"
    assert not (tmp_path / "letters.txt").exists()


@pytest.mark.parametrize("source", ["b.mrf", "b.png", "WMS:http://127.0.0.1:9/?"])
def test_a_vrt_names_none_of_them_not_even_by_another_vrt(tmp_path, source):
    (tmp_path / "b.mrf").write_text(MRF)
    (tmp_path / "b.png").write_text(WMS)
    (tmp_path / "inner.vrt").write_text(vrt_of(source))
    (tmp_path / "outer.vrt").write_text(vrt_of("inner.vrt"))
    for name in ("inner.vrt", "outer.vrt"):
        refused(tmp_path / name, r"inner\.vrt: it names .*, which|b\.png: this is a text file")


def test_a_source_is_no_vrt_under_another_name(tmp_path, write_raster):
    write_raster("a.tif", np.ones((4, 4), np.uint8))
    (tmp_path / "b.png").write_text(vrt_of("a.tif"))
    (tmp_path / "c.vrt").write_text(vrt_of("b.png"))
    refused(tmp_path / "c.vrt", r"b\.png: this is a VRT under another name")
    (tmp_path / "b.vrt").write_text(vrt_of("a.tif"))
    (tmp_path / "c.vrt").write_text(vrt_of("b.vrt"))
    scene = open_scene(tmp_path / "c.vrt")
    assert (scene.read(scene.window)[0] == 1).all()


@pytest.mark.parametrize("ending", [".msk", ".ovr", ".msk.ovr"])
@pytest.mark.parametrize("content", [MRF, vrt_of("a.tif"), "text"])
def test_masks_and_overviews_beside_a_raster_are_tiffs(write_raster, ending, content):
    path = write_raster("a.tif", np.ones((4, 4), np.uint8))
    side = path.with_name(path.name + ending)
    side.write_text(content)
    refused(path, rf"a\.tif{ending}: it is no TIFF")


@pytest.mark.parametrize("ending", ["", ".msk"])
def test_a_pipe_is_not_waited_for(write_raster, tmp_path, ending):
    path = tmp_path / "a.tif"
    if ending:
        write_raster("a.tif", np.ones((4, 4), np.uint8))
    os.mkfifo(f"{path}{ending}")
    refused(path, rf"a\.tif{ending}: this is a pipe")


def test_in_a_process_of_its_own_gdal_does_not_have_these_drivers(write_raster):
    path = write_raster("a.tif", np.ones((4, 4), np.uint8))
    code = (
        "import sys, rasterio; from geofcn.io.opening import open_scene; open_scene(sys.argv[1])\n"
        "with rasterio.Env() as env: print(*env.drivers())"
    )
    run = subprocess.run(
        [sys.executable, "-P", "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    drivers = set(run.stdout.split())
    assert {"GTiff", "VRT", "GTI", "COG"} <= drivers
    assert not drivers.intersection(SKIPPED_DRIVERS)


def test_a_tile_index_is_read(write_raster, write_index):
    scene = open_scene(write_index([str(write_raster("a.tif", np.full((4, 4), 7, np.uint8)))]))
    assert scene.driver == "GTI" and (scene.read(scene.window)[0] == 7).all()


def test_what_a_tile_index_names_is_there_and_what_its_name_says(write_raster, write_index):
    """GDAL leaves the place of what is missing blank, without a word."""
    write_raster("first.tif", np.ones((4, 4), np.uint8))
    path = write_raster("a.tif", np.ones((4, 4), np.uint8))
    index = write_index(["first.tif", path.name])
    path.rename(path.with_name("b.tif"))
    refused(index, r"a\.tif: this sheet is missing; bring it back")
    path.write_text(vrt_of("b.tif"))
    refused(index, r"a\.tif: this is a VRT under another name")


def test_a_vrt_names_no_tile_index(write_raster, write_index):
    index = write_index([write_raster("a.tif", np.ones((4, 4), np.uint8)).name])
    path = index.with_name("b.vrt")
    path.write_text(vrt_of(index.name))
    refused(path, "it names a tile index, .*; make it of the rasters themselves")


def test_vrts_that_name_each_other_in_a_circle_are_refused(tmp_path):
    """The check of sources went round until Python's stack was full."""
    for name, other in ("ab", "ba"):
        (tmp_path / f"{name}.vrt").write_text(
            '<VRTDataset rasterXSize="4" rasterYSize="4"><VRTRasterBand dataType="Byte" band="1">'
            f'<SimpleSource><SourceFilename relativeToVRT="1">{other}.vrt</SourceFilename>'
            "<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
        )
    with pytest.raises(SceneError, match=r"a\.vrt: it names itself, by way of .*b\.vrt"):
        open_scene(tmp_path / "a.vrt")
