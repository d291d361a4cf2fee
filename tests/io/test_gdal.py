import time

import numpy as np
import pyogrio
import pytest
import rasterio
import rasterio.env
import shapely

from geofcn.core.grid import Grid
from geofcn.core.windows import Window
from geofcn.errors import SceneError
from geofcn.io import raster_writer
from geofcn.io.datasets import close_handles, identity, shared_dataset
from geofcn.io.gdal import NO_DATE, RASTER_OPTIONS, VECTOR_OPTIONS
from geofcn.io.opening import open_scene
from geofcn.io.raster_writer import Band, RasterWriter
from geofcn.io.vector_writer import FeatureBatch, write_polygons

ONLY_ID = {"id": "int64"}


def test_the_environment_that_breaks_reads_silently_is_forced_off():
    assert RASTER_OPTIONS["GTIFF_IGNORE_READ_ERRORS"] == "NO"
    assert RASTER_OPTIONS["GDAL_DISABLE_READDIR_ON_OPEN"] == "FALSE"
    assert RASTER_OPTIONS["GDAL_VRT_ENABLE_PYTHON"] == "NO"


# --- rasters ---


def options_in_force() -> dict[str, object]:
    return {name: rasterio.env.getenv().get(name) for name in RASTER_OPTIONS}


@pytest.mark.parametrize("name", [name for name in RASTER_OPTIONS if name != "GDAL_CACHEMAX"])
def test_raster_options_are_in_force_while_reading_whatever_the_environment_says(
    write_raster, monkeypatch, name
):
    path = write_raster("a.tif", np.ones((4, 4), np.uint8))
    opposite = {"NO": "YES", "FALSE": "EMPTY_DIR"}.get(RASTER_OPTIONS[name], "PNG")
    monkeypatch.setenv(name, opposite)
    with rasterio.Env(**{name: opposite}):
        with shared_dataset(str(path), identity(str(path))) as dataset:
            assert options_in_force() == RASTER_OPTIONS
            assert (dataset.read() == 1).all()
        assert rasterio.env.getenv()[name] == opposite, "put back afterwards"


def test_raster_options_are_in_force_while_writing(tmp_path, monkeypatch):
    in_force = []
    describe = raster_writer._describe
    monkeypatch.setattr(
        raster_writer,
        "_describe",
        lambda *args: (in_force.append(options_in_force()), describe(*args)),
    )
    grid = Grid(4, 4, rasterio.CRS.from_epsg(25832), rasterio.Affine(0.2, 0, 5e5, 0, -0.2, 5e6))
    with RasterWriter(tmp_path / "a.tif", grid, Band("uint8")) as writer:
        writer.write(Window(0, 0, 4, 4), np.ones((4, 4), np.uint8))
    assert in_force == [RASTER_OPTIONS] * 2, "of what is tried out first, and of the file"


PYTHON_VRT = """<VRTDataset rasterXSize="4" rasterYSize="4">
<VRTRasterBand dataType="Byte" band="1" subClass="VRTDerivedRasterBand">
<PixelFunctionType>leave_a_trace</PixelFunctionType>
<PixelFunctionLanguage>Python</PixelFunctionLanguage>
<PixelFunctionCode><![CDATA[
def leave_a_trace(inputs, out, *args, **options):
    open({trace!r}, "w").close()
    out[:] = 7
]]></PixelFunctionCode>
<SimpleSource><SourceFilename relativeToVRT="1">a.tif</SourceFilename></SimpleSource>
</VRTRasterBand></VRTDataset>"""


def test_python_inside_a_vrt_is_never_run(tmp_path, write_raster, monkeypatch):
    write_raster("a.tif", np.ones((4, 4), np.uint8))
    trace, path = tmp_path / "trace", tmp_path / "sly.vrt"
    path.write_text(PYTHON_VRT.format(trace=str(trace)))
    monkeypatch.setenv("GDAL_VRT_ENABLE_PYTHON", "YES")
    scene = open_scene(path)
    with pytest.raises(SceneError, match="cannot read rows 0-3"):
        scene.read(scene.window)
    assert not trace.exists()


def test_a_file_put_beside_a_raster_is_found_whatever_the_environment_says(
    write_raster, monkeypatch
):
    path = write_raster("a.tif", np.ones((4, 4), np.uint8))
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as file:
        file.write_mask(np.eye(4, dtype=bool))
    close_handles()
    monkeypatch.setenv("GDAL_DISABLE_READDIR_ON_OPEN", "EMPTY_DIR")
    scene = open_scene(path)
    assert (scene.read(scene.window)[1] == np.eye(4, dtype=bool)).all()


# --- vectors ---


def vector_options() -> dict[str, object]:
    return {name: pyogrio.get_gdal_config_option(name) for name in VECTOR_OPTIONS}


def houses() -> FeatureBatch:
    return FeatureBatch(np.array([shapely.box(0, 0, 1, 1)]), {"id": np.array([1])})


def test_vector_options_are_in_force_while_writing_and_put_back(tmp_path):
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": "2001-02-03T04:05:06.000Z"})
    try:
        before, in_force = vector_options(), []

        def batches():
            in_force.append(vector_options())
            yield houses()

        write_polygons(tmp_path / "a.gpkg", batches(), "EPSG:25832", columns=ONLY_ID)
        # pyogrio tells numbers as numbers.
        assert [{name: str(value) for name, value in options.items()} for options in in_force] == [
            VECTOR_OPTIONS
        ]
        assert vector_options() == before
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})


def test_vector_options_are_put_back_after_an_error(tmp_path):
    before = vector_options()

    def failing():
        yield houses()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_polygons(tmp_path / "a.gpkg", failing(), "EPSG:25832", columns=ONLY_ID)
    assert vector_options() == before


@pytest.mark.parametrize("ending", [".gpkg", ".shp"])
def test_files_carry_no_time_of_writing(tmp_path, ending):
    first, second = tmp_path / f"a{ending}", tmp_path / "second"
    second.mkdir()
    write_polygons(first, [houses()], "EPSG:25832", columns=ONLY_ID)
    time.sleep(0.01)  # a GeoPackage's stamp has milliseconds
    write_polygons(second / first.name, [houses()], "EPSG:25832", columns=ONLY_ID)
    for path in tmp_path.glob("a.*"):
        assert path.read_bytes() == (second / path.name).read_bytes(), path.suffix
    if ending == ".gpkg":
        assert NO_DATE.encode() in first.read_bytes()
    else:  # a table's header: year since 1900, month, day
        assert first.with_suffix(".dbf").read_bytes()[1:4] == bytes([70, 1, 1])
