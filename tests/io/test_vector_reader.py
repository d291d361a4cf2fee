"""Polygons of vector files of any format: opened, cleaned, read batch by batch."""

import json
import os
import sqlite3
import warnings

import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyproj
import pytest
import shapely
from shapely.geometry import mapping

from geofcn.errors import LabelsError
from geofcn.io import vector_reader
from geofcn.io.label_source import LabelSource
from geofcn.io.vector_reader import (
    RASTER_SUFFIXES,
    PolygonBatch,
    Tally,
    is_raster_path,
    no_crs,
    open_vectors,
)
from geofcn.io.vector_writer import DRIVERS, FeatureBatch, write_polygons

CRS = "EPSG:25832"
BOXES = np.array([shapely.box(500_000, 5_000_000, 500_000 + side, 5_000_004) for side in (3, 5)])
SQUARE = shapely.box(10, 46, 11, 47)


def read(name, crs=None, centre=None) -> PolygonBatch:
    layer = open_vectors(LabelSource.of(name))
    parts = list(layer.batches(Tally(), crs and pyproj.CRS(crs), centre))
    return PolygonBatch(
        np.concatenate([part.polygons for part in parts]),
        np.concatenate([part.scores for part in parts]),
    )


def refused(name, message, path=None) -> LabelsError:
    with pytest.raises(LabelsError, match=message) as caught:
        read(name)
    assert str(caught.value).startswith(f"{path or name}: ")
    assert str(caught.value).count(f"{path or name}: ") == 1
    assert "\n" not in str(caught.value)
    return caught.value


def write_geojson(path, *geometries, **members):
    features = [{"type": "Feature", "properties": {}, "geometry": shape} for shape in geometries]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features, **members}))
    return path


def test_the_ending_tells_a_raster_from_vectors():
    for name in ("a.tif", "A.TIFF", "/b.c/a.Vrt", "zip://a.zip!a.png"):
        assert is_raster_path(name)
    for name in (*(f"a{ending}" for ending in DRIVERS), "a", "tif", ".tif", "a.tif.gpkg"):
        assert not is_raster_path(name)
    assert not set(RASTER_SUFFIXES) & set(DRIVERS)


def test_a_folder_is_a_raster_where_it_holds_one(tmp_path):
    """The .dat of a MapInfo file is none, nor is what would be made of others, or hidden."""
    for name in ("a.tab", "a.dat", "b.vrt", ".c.tif", "list.txt", "d.tif.aux.xml"):
        (tmp_path / name).write_bytes(b"")
    assert not is_raster_path(str(tmp_path))
    (tmp_path / "e.TIF").write_bytes(b"")
    assert is_raster_path(str(tmp_path)) and is_raster_path(f"{tmp_path}/")


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
        batch = read(path)
    order = np.argsort(batch.scores)  # an index may reorder FlatGeobuf
    assert batch.scores[order][0] == 0.25 and np.isnan(batch.scores[order][1])
    assert open_vectors(LabelSource(str(path))).crs == CRS
    assert shapely.equals_exact(batch.polygons[order], BOXES, 0, normalize=True).all()


@pytest.mark.parametrize("name", ["a.gpkg", "a.shp", "a.fgb", "a.geojson", "a.parquet"])
def test_a_file_without_scores_has_its_shapes_only(tmp_path, name):
    frame = geopandas.GeoDataFrame({"height": [3, 4]}, geometry=list(BOXES), crs=CRS)
    if name.endswith(".parquet"):
        frame.to_parquet(tmp_path / name)
    else:
        frame.to_file(tmp_path / name)
    batch = read(tmp_path / name)
    assert len(batch.polygons) == 2 and np.isnan(batch.scores).all()


@pytest.mark.parametrize("missing", [None, shapely.Polygon()])
def test_a_flatgeobuf_may_lack_shapes(tmp_path, missing):
    """GDAL's driver gives no shape as no bytes, or fails."""
    for name, shapes in (("a.fgb", [missing, *BOXES, missing]), ("none.fgb", [missing])):
        frame = geopandas.GeoDataFrame(geometry=shapes, crs=CRS)
        frame.to_file(tmp_path / name, SPATIAL_INDEX="NO")
    assert len(read(tmp_path / "a.fgb").polygons) == 2
    refused(tmp_path / "none.fgb", "it holds no polygons")


def test_no_bytes_are_no_shape(tmp_path):
    geopandas.GeoDataFrame(geometry=BOXES, crs=CRS).to_parquet(tmp_path / "a.parquet")
    table = pq.read_table(tmp_path / "a.parquet")
    shapes = pa.chunked_array([[table["geometry"][0].as_py(), b""]], pa.binary())
    pq.write_table(
        table.set_column(0, table.schema.field("geometry"), shapes), tmp_path / "a.parquet"
    )
    assert len(read(tmp_path / "a.parquet").polygons) == 1


@pytest.mark.parametrize("encoding", ["WKB", "geoarrow"])
def test_a_geoparquet_whose_shapes_have_another_name_is_read(tmp_path, encoding):
    frame = geopandas.GeoDataFrame({"score": [0.5, 1]}, geometry=list(BOXES), crs=CRS)
    frame.rename_geometry("outline").to_parquet(tmp_path / "a.parquet", geometry_encoding=encoding)
    batch = read(tmp_path / "a.parquet")
    assert batch.scores.tolist() == [0.5, 1]
    assert shapely.equals(batch.polygons, BOXES).all()
    refused(f"{tmp_path}/a.parquet|subset=score > 0.7", "GeoParquet", tmp_path / "a.parquet")


@pytest.mark.parametrize("name", ["a.gpkg", "a.parquet"])
def test_scores_that_are_no_numbers_are_none(tmp_path, name):
    frame = geopandas.GeoDataFrame({"score": ["high", "low"]}, geometry=list(BOXES), crs=CRS)
    frame.to_parquet(tmp_path / name) if name == "a.parquet" else frame.to_file(tmp_path / name)
    assert np.isnan(read(tmp_path / name).scores).all()


def test_a_missing_file_is_not_handed_to_gdal(tmp_path, monkeypatch):
    def never(*args, **options):
        raise AssertionError("asked for")

    monkeypatch.setattr(vector_reader.pyogrio, "list_layers", never)
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
    refused(tmp_path, "this is a folder without rasters; name the file of polygons in it")


# --- layers and conditions ---


@pytest.fixture
def two_layers(tmp_path):
    """A GeoPackage of parcels, houses and trees."""
    path = tmp_path / "town.gpkg"
    parcels, houses = ([shapely.box(0, 0, side, side)] for side in (9, 4))
    for layer, shapes in (
        ("parcels", parcels),
        ("houses", houses),
        ("trees", [shapely.Point(1, 1)]),
    ):
        frame = geopandas.GeoDataFrame({"storeys": [2]}, geometry=shapes, crs=CRS)
        frame.to_file(path, layer=layer, mode="a" if path.exists() else "w")
    return path


def test_several_layers_are_an_error_that_lists_them(two_layers):
    """Once the first one was read, whatever it was. One of points can't be meant."""
    refused(two_layers, r"has the layers parcels, houses; .* as town\.gpkg\|layername=parcels")
    (house,) = read(f"{two_layers}|layername=houses").polygons
    assert house.area == 16
    refused(f"{two_layers}|layername=roofs", "no layer roofs; its layers are parcels", two_layers)


def test_the_folders_of_a_kml_are_layers(tmp_path):
    polygon = (
        "<Placemark><Polygon><outerBoundaryIs><LinearRing><coordinates>0,0 1,0 1,1 0,0"
        "</coordinates></LinearRing></outerBoundaryIs></Polygon></Placemark>"
    )
    folders = "".join(f"<Folder><name>{name}</name>{polygon}</Folder>" for name in ("A", "B"))
    path = tmp_path / "a.kml"
    path.write_text(
        '<?xml version="1.0"?><kml xmlns="http://www.opengis.net/kml/2.2"><Document>'
        f"{folders}</Document></kml>"
    )
    refused(path, "has the layers A, B")
    assert len(read(f"{path}|layername=B").polygons) == 1


def test_a_layer_of_points_beside_one_of_polygons_is_no_choice(two_layers):
    with sqlite3.connect(two_layers) as database:
        database.execute("DELETE FROM gpkg_contents WHERE table_name = 'parcels'")
        database.execute("DELETE FROM gpkg_geometry_columns WHERE table_name = 'parcels'")
    assert read(two_layers).polygons[0].area == 16


def test_features_are_chosen_by_a_condition(tmp_path):
    path = tmp_path / "a.gpkg"
    geopandas.GeoDataFrame({"kind": ["a", "b"]}, geometry=list(BOXES), crs=CRS).to_file(path)
    (chosen,) = read(f"{path}|subset=kind = 'b'").polygons
    assert chosen.equals(BOXES[1])
    refused(f"{path}|subset=sort = 'b'", r"condition .*sort.* fails", path)
    refused(f"{path}|house=1", "values of houses belong to rasters", path)


# --- places ---


@pytest.mark.parametrize("srs_id", [-1, 0])
def test_a_geopackage_whose_crs_is_undefined_has_none(tmp_path, srs_id):
    """Once an error of another library."""
    path = tmp_path / "a.gpkg"
    geopandas.GeoDataFrame(geometry=list(BOXES), crs=CRS).to_file(path)
    with sqlite3.connect(path) as database:
        for table in ("gpkg_contents", "gpkg_geometry_columns"):
            database.execute(f"UPDATE {table} SET srs_id = {srs_id}")
    assert open_vectors(LabelSource(str(path))).crs is None


def test_metres_in_a_file_of_degrees_are_refused(tmp_path):
    """Once an error of another library."""
    path = write_geojson(tmp_path / "a.geojson", *map(mapping, BOXES))
    refused(path, "in degrees, but there are coordinates such as 500000, 5e")


def test_degrees_are_brought_to_the_side_of_the_line_where_the_scene_is(tmp_path):
    across = shapely.Polygon([(179.9, 0), (-179.9, 0), (-179.9, 1), (179.9, 1)])
    east = shapely.box(190, 0, 191, 1)
    path = write_geojson(tmp_path / "a.geojson", mapping(across), mapping(east))
    moved = read(path, "EPSG:4326", centre=-179.0).polygons
    assert shapely.bounds(moved)[:, [0, 2]].round(6).tolist() == [[-180.1, -179.9], [-170, -169]]
    # UTM zone 60 runs on beyond 180 degrees.
    (utm, _) = read(path, "EPSG:32660").polygons
    assert 20_000 < np.ptp(shapely.get_coordinates(utm)[:, 0]) < 25_000


def test_what_mercator_tears_apart_is_left_out_and_told(tmp_path, caplog):
    """Once such a house was a stripe around the world."""
    across = shapely.Polygon([(179.9, 0), (-179.9, 0), (-179.9, 1), (179.9, 1)])
    path = write_geojson(tmp_path / "a.geojson", mapping(across), mapping(SQUARE))
    (kept,) = read(path, "EPSG:3857").polygons
    assert kept.bounds[0] == pytest.approx(1_113_194.9)
    assert "1 where the CRS does not reach, or across its edge" in caplog.text


def test_what_the_crs_does_not_reach_is_left_out_and_told(tmp_path, caplog):
    """Once an error of another library. A gnomonic projection shows half of the Earth."""
    beyond = shapely.box(0, -50, 1, -49)
    path = write_geojson(tmp_path / "a.geojson", mapping(beyond), mapping(SQUARE))
    assert len(read(path, "+proj=gnom +lat_0=90 +type=crs").polygons) == 1
    assert "1 where the CRS does not reach" in caplog.text


# --- shapes of all kinds ---


def test_all_that_is_left_out_or_mended_is_told_in_one_notice(tmp_path, caplog):
    """Once collections, and one ring that was not closed, were dropped or an odd error."""
    square = mapping(SQUARE)
    ring = square["coordinates"][0]
    collection = {
        "type": "GeometryCollection",
        "geometries": [square, {"type": "Point", "coordinates": [0, 0]}],
    }
    shapes = [
        square, collection, {"type": "MultiPolygon", "coordinates": [[ring], []]},
        None, {"type": "Polygon", "coordinates": []}, {"type": "Point", "coordinates": [1, 1]},
        {"type": "Polygon", "coordinates": [ring[:-1]]},
        {"type": "Polygon", "coordinates": [[[0, 0], [4, 4], [4, 0], [0, 4], [0, 0]]]},
    ]  # fmt: skip
    path = write_geojson(tmp_path / "a.geojson", *shapes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # GDAL's of the open ring
        polygons = read(path).polygons
    assert len(polygons) == 6 and shapely.area(polygons).sum() == pytest.approx(4 + 8)
    assert caplog.messages == [
        f"{path}: of its 8 features 3 are left out (2 empty, 1 without an area (points, lines)) "
        "and 1 with outlines that cross are mended."
    ]


def test_curves_are_left_out_and_told(tmp_path, caplog):
    curve = "CURVEPOLYGON (CIRCULARSTRING (0 0, 1 1, 2 0, 1 -1, 0 0))"
    path = tmp_path / "a.csv"
    shapes = [
        curve,
        f"GEOMETRYCOLLECTION ({curve})",
        "POLYGON ZM ((0 0 1 1, 1 0 1 1, 0 1 1 1, 0 0 1 1))",
    ]
    path.write_text("id,WKT\n" + "".join(f'{i},"{wkt}"\n' for i, wkt in enumerate(shapes)))
    assert len(read(path).polygons) == 1
    assert "2 of curves or triangles" in caplog.text


def test_a_file_without_any_polygon_is_refused_unless_it_is_empty(tmp_path):
    point = {"type": "Point", "coordinates": [1, 1]}
    line = {"type": "LineString", "coordinates": [[1, 1], [2, 2]]}
    refused(write_geojson(tmp_path / "p.geojson", point), "its layers are of points or lines")
    path = write_geojson(tmp_path / "a.geojson", point, line)
    refused(path, "holds no polygons: of its 2 features 2 are left out")
    empty = geopandas.GeoDataFrame(geometry=[], crs=CRS)
    empty.to_file(tmp_path / "empty.gpkg", geometry_type="Polygon")
    assert not list(open_vectors(LabelSource(str(tmp_path / "empty.gpkg"))).batches(Tally()))


def test_a_path_that_pyogrio_takes_for_a_url_is_refused(tmp_path):
    """Once: no such file, of the rest of the path."""
    folder = tmp_path / "a!b;c"
    folder.mkdir()
    geopandas.GeoDataFrame(geometry=list(BOXES), crs=CRS).to_file(tmp_path / "a.gpkg")
    (tmp_path / "a.gpkg").rename(folder / "a.gpkg")
    refused(folder / "a.gpkg", "must not hold '!' or ';'")


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
            read(tmp_path / name)
