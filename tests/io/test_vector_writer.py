"""What is written is re-opened: geometry, order, columns, CRS, geometry type, index, style."""

import json
import logging
import os
import resource
import sqlite3
import struct

import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import pyproj
import pytest
import rasterio.crs
import shapely

from geofcn import errors
from geofcn.errors import OutputError
from geofcn.io import files, vector_writer
from geofcn.io.locks import locked
from geofcn.io.vector_writer import (
    DRIVERS,
    FOOTPRINT_COLUMNS,
    FeatureBatch,
    check_vector_target,
    write_polygons,
)

CRS = "EPSG:25832"
WEST, SOUTH = 680_000.0, 5_140_000.0
ONLY_ID = {"id": "int64"}
RING_BOX = shapely.Polygon(
    [(0, 0), (0, 6), (6, 6), (6, 0)], [[(2, 2), (4, 2), (4, 4), (2, 4)]]
)  # clockwise, with a hole


def houses(count):
    """`count` clockwise squares with a hole, 10 m apart, in a row."""
    return np.array(
        [shapely.affinity.translate(RING_BOX, WEST + 10 * i, SOUTH) for i in range(count)],
        dtype=object,
    )


def columns(ids):
    return {
        "id": ids,
        "area_m2": ids + 32.5,
        "perimeter_m": ids + 0.25,
        "score": np.where(ids == 1, np.nan, ids / 8),
        "n_px": ids * 7,
        "status": np.array(["squared", "größer"] * len(ids), dtype=object)[: len(ids)],
    }


def batches(count, size=2):
    geometry, values = houses(count), columns(np.arange(count))
    for start in range(0, count, size):
        part = slice(start, start + size)
        yield FeatureBatch(geometry[part], {name: array[part] for name, array in values.items()})


def read(path, **options):
    if path.suffix == ".parquet":
        return geopandas.read_parquet(path, **options)
    layer = pyogrio.list_layers(path)[0, 0]
    return geopandas.read_file(path, layer=layer, **options)


@pytest.fixture(params=list(DRIVERS))
def path(request, tmp_path):
    folder = tmp_path / "Häuser 家 'n' co"
    folder.mkdir()
    return folder / f"-my häuser{request.param}"


def test_every_format_gives_back_what_was_written(path):
    assert write_polygons(path, batches(5), CRS) == 5
    frame = read(path).sort_values("id", ignore_index=True)  # an index may reorder FlatGeobuf
    expected = columns(np.arange(5))
    if path.suffix == ".shp":
        expected["perimeter"] = expected.pop("perimeter_m")
    assert set(frame.columns) == {*expected, "geometry"}
    for name, values in expected.items():
        if name == "status":
            assert list(frame[name]) == list(values)
        else:
            np.testing.assert_array_equal(frame[name].to_numpy(float), values.astype(float))
    assert frame.score.isna().sum() == 1
    if path.suffix == ".geojson":
        assert frame.crs == "EPSG:4326"
        frame = frame.to_crs(CRS)
        apart = shapely.symmetric_difference(frame.geometry.to_numpy(), houses(5))
        assert shapely.area(apart).max() < 0.01
    else:
        assert frame.crs == CRS
        assert shapely.equals_exact(frame.geometry, houses(5), 0, normalize=True).all()


def test_every_format_but_flatgeobuf_keeps_the_order(path):
    write_polygons(path, batches(5), CRS)
    if path.suffix == ".fgb":
        assert sorted(read(path).id) == list(range(5))
    else:
        assert list(read(path).id) == list(range(5))


def test_nothing_but_the_outputs_is_left(path):
    write_polygons(path, batches(3), CRS)
    stem = path.stem
    expected = {path.name} if path.suffix == ".gpkg" else {path.name, f"{stem}.qml"}
    if path.suffix == ".shp":
        expected |= {f"{stem}{part}" for part in (".shx", ".dbf", ".prj", ".cpg")}
    assert {entry.name for entry in path.parent.iterdir()} == expected


@pytest.mark.parametrize("umask", [0o077, 0o002, 0])
def test_the_file_has_the_mode_of_any_other(path, umask):
    """SQLite makes files that only their owner may write, whatever the umask says."""
    before = os.umask(umask)
    try:
        write_polygons(path, batches(3), CRS)
    finally:
        os.umask(before)
    assert {part.stat().st_mode & 0o777 for part in path.parent.iterdir()} == {0o666 & ~umask}


def test_no_polygons_make_an_empty_layer_with_its_columns(path):
    assert write_polygons(path, iter(()), CRS) == 0
    frame = read(path)
    assert len(frame) == 0
    if path.suffix == ".geojson":  # it names columns in features only
        assert frame.crs == "EPSG:4326"
        return
    assert frame.crs == CRS
    names = [name[:10].rstrip("_") if path.suffix == ".shp" else name for name in FOOTPRINT_COLUMNS]
    assert list(frame.columns) == [*names, "geometry"]
    if path.suffix != ".parquet":
        assert (
            pyogrio.read_info(path, layer=pyogrio.list_layers(path)[0, 0])["geometry_type"]
            == "Polygon"
        )


def test_batches_of_no_polygons_are_passed_over(path):
    nothing = FeatureBatch(houses(0), columns(np.arange(0)))
    assert write_polygons(path, [nothing, *batches(2), nothing], CRS) == 2
    assert len(read(path)) == 2


def test_geometry_type_is_polygon(path):
    write_polygons(path, batches(2), CRS)
    if path.suffix == ".parquet":
        geo = json.loads(pq.read_metadata(path).metadata[b"geo"])
        assert geo["columns"]["geometry"]["geometry_types"] == ["Polygon"]
    else:
        assert (
            pyogrio.read_info(path, layer=pyogrio.list_layers(path)[0, 0])["geometry_type"]
            == "Polygon"
        )


def test_other_columns_are_written_as_given(path):
    values = {"id": np.array([4, 2]), "outcome": np.array(["hit", None], dtype=object)}
    batch = FeatureBatch(houses(2), values)
    write_polygons(path, [batch], CRS, columns={"id": "int64", "outcome": "string"})
    frame = read(path).sort_values("id", ignore_index=True)
    assert list(frame.columns) == ["id", "outcome", "geometry"]
    assert list(frame.id) == [2, 4]
    assert frame.outcome[1] == "hit"
    assert frame.outcome[0] in (None, "") or frame.outcome.isna()[0]


def test_a_geopackage_is_of_a_version_that_older_gdal_reads_without_a_warning(tmp_path):
    write_polygons(tmp_path / "a.gpkg", batches(1), CRS)
    header = (tmp_path / "a.gpkg").read_bytes()[:72]
    assert struct.unpack(">I", header[60:64]) == (10200,), "user_version of SQLite's header"


def test_without_score_there_is_no_style(path):
    write_polygons(path, [FeatureBatch(houses(1), {"id": np.array([1])})], CRS, columns=ONLY_ID)
    assert not list(path.parent.glob("*.qml"))
    if path.suffix == ".gpkg":
        assert pyogrio.list_layers(path)[:, 0].tolist() == ["houses"]


def test_without_crs_coordinates_stay_as_they_are(path):
    write_polygons(path, batches(2), None)
    if path.suffix == ".geojson":
        text = json.loads(path.read_text(encoding="utf-8"))
        assert "crs" not in text
        corner = np.min(text["features"][0]["geometry"]["coordinates"][0], axis=0)
        assert corner.tolist() == [WEST, SOUTH]
        return
    frame = read(path).sort_values("id", ignore_index=True)
    assert frame.crs is None or frame.crs.name.startswith("Undefined")
    assert shapely.equals_exact(frame.geometry, houses(2), 0, normalize=True).sum() == 2


@pytest.mark.parametrize("crs", [pyproj.CRS(CRS), rasterio.crs.CRS.from_epsg(25832)])
def test_crs_of_pyproj_and_of_rasterio_are_understood(tmp_path, crs):
    path = tmp_path / "a.fgb"
    write_polygons(path, batches(1), crs)
    assert read(path).crs == CRS


def test_a_crs_without_a_code_survives(tmp_path):
    crs = pyproj.CRS("+proj=laea +lat_0=46.5 +lon_0=11 +datum=WGS84 +units=m")
    for ending in (".gpkg", ".parquet", ".shp"):
        path = tmp_path / f"a{ending}"
        write_polygons(path, batches(1), crs)
        to_degrees = pyproj.Transformer.from_crs(read(path).crs, "OGC:CRS84", always_xy=True)
        np.testing.assert_allclose(to_degrees.transform(0, 0), (11, 46.5), atol=1e-9)


# --- independence of the batches -----------------------------------------------------------------


def test_the_file_does_not_depend_on_the_batches(path, monkeypatch):
    monkeypatch.setattr(vector_writer, "GROUP_ROWS", 4)
    contents = []
    for size in (1, 3, 4, 11):
        write_polygons(path, batches(11, size), CRS, overwrite=True)
        contents.append(path.read_bytes())
    assert contents == contents[:1] * 4
    assert read(path).sort_values("id").n_px.tolist() == [7 * i for i in range(11)]


# --- the formats' own rules ----------------------------------------------------------------------


def signed_areas(rings):
    """Twice the signed areas of closed rings: positive when counterclockwise."""
    for ring in rings:
        x, y = np.asarray(ring, float).T
        yield np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])


def wkb_rings(path):
    table = pq.read_table(path) if path.suffix == ".parquet" else pyogrio.read_arrow(path)[1]
    name = next(n for n in table.column_names if n in ("geometry", "geom", "wkb_geometry"))
    for polygon in shapely.from_wkb(table[name].to_pylist()):
        yield [ring.coords for ring in (polygon.exterior, *polygon.interiors)]


@pytest.mark.parametrize("ending", [".gpkg", ".geojson", ".fgb", ".parquet"])
def test_exteriors_are_counterclockwise_and_holes_clockwise(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    write_polygons(path, batches(2), CRS, columns=ONLY_ID)
    for exterior, hole in wkb_rings(path):
        outer, inner = signed_areas([exterior, hole])
        assert outer > 0 > inner


@pytest.mark.parametrize("clockwise", [False, True])
def test_only_polygons_that_run_the_other_way_are_copied(clockwise):
    """Also where one ring of theirs does: of either direction of exterior and hole."""
    exterior, hole = RING_BOX.exterior.coords, RING_BOX.interiors[0].coords
    polygons = np.array(
        [
            shapely.Polygon(outer, [inner])
            for outer in (exterior, exterior[::-1])
            for inner in (hole, hole[::-1])
        ]
    )
    oriented = vector_writer._oriented(polygons, clockwise=clockwise)
    expected = shapely.orient_polygons(polygons, exterior_cw=clockwise)
    assert shapely.to_wkb(oriented).tolist() == shapely.to_wkb(expected).tolist()
    kept = [before is after for before, after in zip(polygons, oriented, strict=True)]
    assert sum(kept) == 1
    assert shapely.to_wkb(polygons[kept]) == shapely.to_wkb(expected[kept])


def test_a_polygon_that_no_reader_of_geojson_takes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(vector_writer, "GEOJSON_CORNERS", 9)
    for crs in (CRS, None):
        with pytest.raises(OutputError, match=r"a\.geojson: .* more than 9 corners.*\.gpkg"):
            write_polygons(tmp_path / "a.geojson", batches(2), crs, columns=ONLY_ID)
    assert not list(tmp_path.iterdir())
    write_polygons(tmp_path / "a.gpkg", batches(2), CRS, columns=ONLY_ID)


def test_shapefile_exteriors_are_clockwise_in_its_bytes(tmp_path):
    path = tmp_path / "a.shp"
    write_polygons(path, batches(1), CRS)
    record = path.read_bytes()[108:]
    kind, parts, points = struct.unpack("<i32xii", record[:44])
    assert (kind, parts, points) == (5, 2, 10)
    starts = struct.unpack("<2i", record[44:52])
    ring = np.frombuffer(record[52 : 52 + 160], "<f8").reshape(10, 2)
    outer, inner = signed_areas([ring[: starts[1]], ring[starts[1] :]])
    assert outer < 0 < inner


def test_shapefile_names_are_cut_with_a_notice(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, logger="geofcn"):
        write_polygons(tmp_path / "a.shp", batches(1), CRS)
    assert "perimeter_m is perimeter" in caplog.text
    assert (tmp_path / "a.cpg").read_text() == "UTF-8"


def test_shapefile_names_that_would_collide_are_refused(tmp_path):
    two = {"perimeter_of_m": "float64", "perimeter_of_ft": "float64"}
    with pytest.raises(OutputError, match=r"same first 10 letters.*\.gpkg"):
        write_polygons(tmp_path / "a.shp", iter(()), CRS, columns=two)
    assert not list(tmp_path.iterdir())


def test_geojson_is_in_degrees_with_nine_decimals(tmp_path):
    path = tmp_path / "a.geojson"
    write_polygons(path, batches(1), CRS)
    document = json.loads(path.read_text(encoding="utf-8"))
    ring = np.array(document["features"][0]["geometry"]["coordinates"][0])
    to_degrees = pyproj.Transformer.from_crs(CRS, "OGC:CRS84", always_xy=True)
    lon, lat = to_degrees.transform(WEST, SOUTH)
    assert np.abs(ring - (lon, lat)).sum(axis=1).min() < 1e-9
    assert 11 < lon < 12 and 46 < lat < 47
    assert document["name"] == "houses"
    assert "crs" not in document
    decimals = [len(repr(value).split(".")[1]) for value in ring.ravel().tolist()]
    assert max(decimals) in (8, 9)


def test_coordinates_that_have_no_degrees_are_an_error(tmp_path):
    away = FeatureBatch(shapely.box([1e30], [1e30], [2e30], [2e30]), {"id": np.array([0])})
    message = r"a\.geojson: the polygons have no place in degrees"
    with pytest.raises(OutputError, match=message) as caught:
        write_polygons(tmp_path / "a.geojson", [away], CRS, columns=ONLY_ID)
    assert "writing failed" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_geoparquet_is_1_1_with_a_bbox_to_filter_by(tmp_path, monkeypatch):
    monkeypatch.setattr(vector_writer, "GROUP_ROWS", 4)
    path = tmp_path / "a.parquet"
    write_polygons(path, batches(10), CRS)
    geo = json.loads(pq.read_metadata(path).metadata[b"geo"])
    column = geo["columns"]["geometry"]
    assert geo["version"] == "1.1.0"
    assert column["orientation"] == "counterclockwise"
    assert pyproj.CRS.from_json_dict(column["crs"]) == CRS
    assert column["covering"]["bbox"]["xmin"] == ["bbox", "xmin"]
    assert pq.read_metadata(path).num_row_groups == 3
    bbox = pq.read_table(path)["bbox"][3].as_py()
    assert bbox == {
        "xmin": WEST + 30,
        "ymin": SOUTH,
        "xmax": WEST + 36,
        "ymax": SOUTH + 6,
    }
    assert list(read(path, bbox=(WEST + 17, SOUTH, WEST + 33, SOUTH + 1)).id) == [2, 3]


@pytest.mark.parametrize("ending", [".gpkg", ".fgb"])
def test_spatial_index_is_there(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    write_polygons(path, batches(10), CRS)
    assert pyogrio.read_info(path, layer=pyogrio.list_layers(path)[0, 0])["capabilities"][
        "fast_spatial_filter"
    ]
    assert list(read(path, bbox=(WEST + 17, SOUTH, WEST + 33, SOUTH + 1)).id) == [2, 3]


def test_layer_name_is_the_callers(tmp_path):
    path = tmp_path / "a.gpkg"
    write_polygons(path, batches(1), CRS, layer="my roofs")
    assert pyogrio.list_layers(path)[:, 0].tolist() == ["my roofs", "layer_styles"]


# --- refusals ------------------------------------------------------------------------------------


def test_an_unknown_ending_names_the_legal_ones(tmp_path):
    with pytest.raises(OutputError, match=r"a\.kml.*\.gpkg, \.geojson, \.fgb, \.parquet, \.shp"):
        check_vector_target(tmp_path / "a.kml", overwrite=False)


def test_endings_may_be_in_capitals(tmp_path):
    for ending in DRIVERS:
        path = tmp_path / f"A{ending.upper()}"
        assert write_polygons(path, batches(2), CRS) == 2
        assert path.exists()
    assert len(pyogrio.read_dataframe(tmp_path / "A.SHP")) == 2


def test_an_existing_file_is_refused_before_a_batch_is_asked_for(path):
    path.write_text("precious")

    def never():
        raise AssertionError("asked for a batch")
        yield

    with pytest.raises(OutputError, match=r"exists already; give --overwrite"):
        write_polygons(path, never(), CRS)
    assert path.read_text() == "precious"
    assert len(list(path.parent.iterdir())) == 1


def test_overwrite_replaces(path):
    write_polygons(path, batches(5), CRS)
    write_polygons(path, batches(2), CRS, overwrite=True)
    assert len(read(path)) == 2


def test_overwriting_leaves_no_stale_journal_or_index(tmp_path):
    for name in ("a.gpkg", "a.gpkg-wal", "a.gpkg-journal", "a.shp", "a.qix", "a.sbn"):
        (tmp_path / name).write_bytes(b"stale")
    write_polygons(tmp_path / "a.gpkg", batches(2), CRS, overwrite=True)
    write_polygons(tmp_path / "a.shp", batches(2), CRS, overwrite=True)
    names = {entry.name for entry in tmp_path.iterdir()}
    assert not names & {"a.gpkg-wal", "a.gpkg-journal", "a.qix", "a.sbn"}
    assert len(read(tmp_path / "a.gpkg")) == len(read(tmp_path / "a.shp")) == 2


@pytest.mark.parametrize("position", [0, 1, 3, 4])
def test_parts_of_two_shapefiles_never_stand_together(tmp_path, killed_while_publishing, position):
    path = tmp_path / "a.shp"
    write_polygons(path, batches(5), CRS)
    with locked(path):
        killed_while_publishing(
            position, lambda: write_polygons(path, batches(2), CRS, overwrite=True)
        )
    assert not path.exists()
    with locked(path):
        assert write_polygons(path, batches(3), CRS) == 3, "nothing is in its way"
    assert list(read(path).id) == [0, 1, 2]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_the_input_itself_is_refused_even_through_a_link(tmp_path):
    source, link = tmp_path / "a.gpkg", tmp_path / "b.gpkg"
    source.write_text("labels")
    link.symlink_to(source)
    with pytest.raises(OutputError, match="the input itself"):
        check_vector_target(link, True, source)


def test_folders_that_will_not_do_are_named(tmp_path):
    with pytest.raises(OutputError, match="its folder does not exist"):
        check_vector_target(tmp_path / "none" / "a.gpkg", overwrite=False)
    (tmp_path / "b.gpkg").mkdir()
    with pytest.raises(OutputError, match="this is a folder"):
        check_vector_target(tmp_path / "b.gpkg", overwrite=True)


def test_a_folder_that_cannot_be_written_is_found_at_once(tmp_path, monkeypatch):
    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files.tempfile, "TemporaryFile", refuse)
    with pytest.raises(OutputError, match=r"nothing can be written in .* \(Permission denied\)"):
        check_vector_target(tmp_path / "a.gpkg", overwrite=False)


@pytest.mark.parametrize("name", ["a!b/c.gpkg", "a;b.shp"])
def test_names_that_would_be_taken_for_urls_are_refused(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    with pytest.raises(OutputError, match="must not hold"):
        check_vector_target(path, overwrite=False)


# --- failures ------------------------------------------------------------------------------------


FOREIGN = (KeyboardInterrupt, ValueError, RuntimeError, OSError, sqlite3.Error, pa.ArrowInvalid)
# Each is a ValueError, an OSError or a RuntimeError too.
OWN = [kind for kind in vars(errors).values() if isinstance(kind, type)]


@pytest.mark.parametrize("error", [kind("upstream") for kind in (*FOREIGN, *OWN)], ids=repr)
def test_an_error_of_the_callers_passes_through_and_leaves_nothing(path, error, monkeypatch):
    monkeypatch.setattr(vector_writer, "GROUP_ROWS", 2)

    def failing():
        yield from batches(6)
        raise error

    with pytest.raises(type(error)) as caught:
        write_polygons(path, failing(), CRS)
    assert caught.value is error
    assert not list(path.parent.iterdir())


def test_a_failed_overwrite_keeps_the_old_file(path):
    write_polygons(path, batches(3), CRS)

    def failing():
        yield from batches(1)
        raise ValueError("upstream")

    with pytest.raises(ValueError, match="upstream"):
        write_polygons(path, failing(), CRS, overwrite=True)
    assert len(read(path)) == 3


@pytest.mark.parametrize("share", [0.01, 0.5, 0.97])
def test_a_full_disk_is_one_sentence_and_leaves_nothing(path, share):
    many = [FeatureBatch(houses(1), columns(np.arange(1)))] * 1500
    write_polygons(path, many, CRS)
    size = path.stat().st_size
    for entry in path.parent.iterdir():
        entry.unlink()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(size * share), hard))
    try:
        with pytest.raises(OutputError) as caught:
            write_polygons(path, many, CRS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    message = str(caught.value)
    assert message.startswith(f"{path}: writing failed (")
    assert "\n" not in message and len(message) < 500
    assert not list(path.parent.iterdir())


@pytest.mark.parametrize("step", ["_verify", "add_style", "_publish"])
def test_a_step_after_writing_that_fails_is_one_output_error(path, monkeypatch, step):
    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(vector_writer, step, fail)
    with pytest.raises(OutputError, match=r"No space left on device.*GB are free") as caught:
        write_polygons(path, batches(2), CRS)
    assert str(caught.value).count("writing failed") == 1
    assert type(caught.value.__cause__) is OSError
    assert not list(path.parent.iterdir())


def test_a_folder_that_cannot_be_made_is_one_output_error(path, monkeypatch):
    def denied(*args, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(vector_writer.Path, "mkdir", denied)
    with pytest.raises(OutputError, match="Permission denied") as caught:
        write_polygons(path, batches(2), CRS)
    assert str(caught.value).count("writing failed") == 1


def test_polygons_that_do_not_read_back_are_an_error_of_their_number(path, monkeypatch):
    monkeypatch.setattr(vector_writer, "_count_geometry", lambda batches: 1)
    with pytest.raises(OutputError, match="1 of 3 polygons read back"):
        write_polygons(path, batches(3), CRS)
    assert not list(path.parent.iterdir())


def test_a_long_reason_is_cut_at_its_start(tmp_path):
    reason = "BEGIN " + "x" * 400 + " the end."
    message = str(vector_writer._failed(tmp_path / "a.gpkg", RuntimeError(reason)))
    assert "BEGIN" not in message and "x the end); " in message
    assert "(KeyError)" in str(vector_writer._failed(tmp_path / "a.gpkg", KeyError()))


SHAPEFILE = (".shx", ".dbf", ".prj", ".cpg", ".qix", ".sbn", ".sbx", ".qpj", ".shp.xml")


@pytest.mark.parametrize("suffix", [*SHAPEFILE, ".qml"])
def test_a_users_file_is_no_part_of_a_shapefile_unless_it_may_be(tmp_path, suffix):
    mine = tmp_path / f"houses{suffix}"
    mine.write_bytes(b"mine")
    if suffix != ".qml":  # a style of one's own is kept in any case
        with pytest.raises(OutputError, match=f"houses{suffix}: it exists already.*--overwrite"):
            write_polygons(tmp_path / "houses.shp", batches(2), CRS)
        assert [path.name for path in tmp_path.iterdir()] == [mine.name]
    assert mine.read_bytes() == b"mine"
    write_polygons(tmp_path / "houses.shp", batches(2), CRS, overwrite=True)
    assert len(read(tmp_path / "houses.shp")) == 2
    assert (suffix == ".qml") == (mine.exists() and mine.read_bytes() == b"mine")


@pytest.mark.parametrize("ending", ["-wal", "-journal", "-shm"])
def test_a_journal_without_its_geopackage_is_not_removed_unasked(tmp_path, ending):
    (tmp_path / f"a.gpkg{ending}").write_bytes(b"mine")
    with pytest.raises(OutputError, match=f"a.gpkg{ending}: it exists already"):
        write_polygons(tmp_path / "a.gpkg", batches(2), CRS)
    assert (tmp_path / f"a.gpkg{ending}").read_bytes() == b"mine"


@pytest.mark.parametrize("moved", range(1, 5))
def test_a_shapefile_gets_all_its_names_or_none(tmp_path, monkeypatch, moved):
    replace, done = vector_writer.Path.replace, []

    def fail_later(*paths):
        if len(done) == moved:
            raise OSError(28, "No space left on device")
        done.append(paths)
        return replace(*paths)

    monkeypatch.setattr(vector_writer.Path, "replace", fail_later)
    with pytest.raises(OutputError, match="No space left"):
        write_polygons(tmp_path / "a.shp", batches(2), CRS)
    assert len(done) == moved
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_removed(path):
    left = path.with_name(f".{path.name}.0123abcd.partial")
    left.mkdir()
    (left / path.name).write_bytes(b"half")
    with locked(path):
        write_polygons(path, batches(2), CRS)
    assert len(read(path)) == 2
    assert not left.exists()
