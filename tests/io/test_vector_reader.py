import os
import warnings

import geopandas
import numpy as np
import pytest
import shapely

from geofcn.errors import LabelsError
from geofcn.io import vector_reader
from geofcn.io.vector_reader import AREAL, RASTER_SUFFIXES, is_raster_path, no_crs, read_vectors
from geofcn.io.vector_writer import DRIVERS, FeatureBatch, write_polygons

CRS = "EPSG:25832"
BOXES = np.array([shapely.box(500_000, 5_000_000, 500_000 + side, 5_000_004) for side in (3, 5)])


def refused(path, message) -> LabelsError:
    with pytest.raises(LabelsError, match=message) as caught:
        read_vectors(str(path))
    assert str(caught.value).startswith(f"{path}: ")
    assert str(caught.value).count(f"{path}: ") == 1
    return caught.value


def test_the_ending_tells_a_raster_from_vectors():
    for name in ("a.tif", "A.TIFF", "/b.c/a.Vrt", "zip://a.zip!a.png"):
        assert is_raster_path(name)
    for name in (*(f"a{ending}" for ending in DRIVERS), "a", "tif", ".tif", "a.tif.gpkg"):
        assert not is_raster_path(name)
    assert not set(RASTER_SUFFIXES) & set(DRIVERS)


def test_areal_are_shapelys_type_ids_of_polygons_and_multipolygons():
    shapes = [shapely.box(0, 0, 1, 1), shapely.MultiPolygon([shapely.box(0, 0, 1, 1)])]
    assert tuple(shapely.get_type_id(shapes)) == AREAL


def test_the_error_of_a_missing_crs_says_what_to_do():
    assert isinstance(no_crs("a.shp"), LabelsError)
    assert str(no_crs("a.shp")).startswith("a.shp: it states no CRS")
    assert "ogr2ogr -a_srs" in str(no_crs("a.shp"))


@pytest.mark.parametrize("ending", [ending for ending in DRIVERS if ending != ".geojson"])
def test_what_our_writer_wrote_is_read_without_a_warning(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    values = {"score": np.array([0.25, np.nan]), "id": np.array([1, 2])}
    batch = FeatureBatch(BOXES, values)
    write_polygons(path, [batch], CRS, columns={"score": "float64", "id": "int64"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frame = read_vectors(str(path))
    assert set(frame.columns) == {"score", "geometry"}
    frame = frame.sort_values("score", ignore_index=True)  # an index may reorder FlatGeobuf
    assert frame.score[0] == 0.25 and np.isnan(frame.score[1])
    assert frame.crs == CRS
    assert shapely.equals_exact(frame.geometry, BOXES, 0, normalize=True).all()


@pytest.mark.parametrize("name", ["a.gpkg", "a.shp", "a.fgb", "a.geojson", "a.parquet"])
def test_a_file_without_scores_has_its_shapes_only(tmp_path, name):
    frame = geopandas.GeoDataFrame({"height": [3, 4]}, geometry=list(BOXES), crs=CRS)
    if name.endswith(".parquet"):
        frame.to_parquet(tmp_path / name)
    else:
        frame.to_file(tmp_path / name)
    shapes = read_vectors(str(tmp_path / name))
    assert list(shapes.columns) == ["geometry"] and len(shapes) == 2


def test_a_geoparquet_whose_shapes_have_another_name_is_read(tmp_path):
    frame = geopandas.GeoDataFrame({"score": [0.5, 1]}, geometry=list(BOXES), crs=CRS)
    frame.rename_geometry("outline").to_parquet(tmp_path / "a.parquet")
    shapes = read_vectors(str(tmp_path / "a.parquet"))
    assert list(shapes.columns) == ["score", "outline"]
    assert shapely.equals(shapes.geometry, BOXES).all()


def test_a_missing_file_is_not_handed_to_gdal(tmp_path, monkeypatch):
    def never(*args, **options):
        raise AssertionError("asked for")

    monkeypatch.setattr(vector_reader.pyogrio, "read_dataframe", never)
    for name in ("none.gpkg", "none.parquet"):
        error = refused(tmp_path / name, "there is no such file; check the path")
        assert error.__cause__ is None


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.geojson", b"{"), ("a.gpkg", b""), ("a.parquet", b"PAR1"), ("a.txt", b"x"), ("a.shp", b"")],
)
def test_what_is_no_vector_file_is_refused_with_the_readers_reason(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    error = refused(path, "cannot be read as polygons")
    assert str(error.__cause__) in str(error)


def test_a_folder_is_refused(tmp_path):
    refused(tmp_path, "cannot be read as polygons|table without shapes")


def test_tables_without_shapes_are_refused(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("name,height\na,3\n")
    refused(path, "table without shapes")
    geopandas.pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "table.parquet")
    refused(tmp_path / "table.parquet", "cannot be read as polygons")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with a name")
@pytest.mark.parametrize("ending", [".gpkg", ".parquet"])
def test_a_pipe_or_a_device_is_refused_and_not_waited_for(tmp_path, ending):
    os.mkfifo(tmp_path / f"pipe{ending}")
    (tmp_path / f"device{ending}").symlink_to("/dev/zero")
    for name in (f"pipe{ending}", f"device{ending}"):
        with pytest.raises(LabelsError, match=f"{name}: this is a pipe or a device; save"):
            read_vectors(str(tmp_path / name))
