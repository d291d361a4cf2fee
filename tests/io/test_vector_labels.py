"""Polygons burned onto a scene's grid; what `open_labels` makes of them is in test_labels."""

import pickle

import geopandas
import numpy as np
import pytest
import shapely
from rasterio.transform import from_origin

from geofcn.core.windows import Window
from geofcn.errors import LabelsError
from geofcn.io import polygon_index
from geofcn.io.label_source import LabelSource
from geofcn.io.opening import open_scene
from geofcn.io.vector_labels import VectorLabels

DEGREES = {"crs": "EPSG:4326", "transform": from_origin(179, 10, 0.1, 0.1)}


def labels_of(path, scene) -> VectorLabels:
    return VectorLabels.of(LabelSource.of(path), scene)


@pytest.fixture
def scene(write_raster):
    return open_scene(write_raster("scene.tif", np.full((3, 20, 30), 9, np.uint8)))


def test_what_touches_the_scene_is_counted_apart_from_all(scene, write_vectors):
    on, off = shapely.box(500_001, 4_999_998, 500_002, 4_999_999), shapely.box(0, 0, 9, 9)
    labels = labels_of(write_vectors("l.geojson", [off, on, off, off.centroid]), scene)
    assert (labels.count, labels.touching, labels.left_out, labels.crs) == (3, 1, 1, "EPSG:25832")
    assert labels.near(scene.window).numbers.tolist() == [1]


def test_layer_and_condition_are_part_of_the_identity(scene, tmp_path):
    boxes = [shapely.box(500_000, 4_999_996 + i, 500_004, 4_999_997 + i) for i in (0, 2)]
    frame = geopandas.GeoDataFrame({"kind": ["a", "b"]}, geometry=boxes, crs="EPSG:25832")
    frame.to_file(tmp_path / "l.gpkg", layer="houses")
    plain = labels_of(tmp_path / "l.gpkg", scene)
    chosen = labels_of(f"{tmp_path}/l.gpkg|subset=kind = 'b'", scene)
    assert plain.identity != chosen.identity
    assert (plain.read(scene.window).sum(), chosen.read(scene.window).sum()) == (200, 100)


def test_a_copy_in_another_process_reads_the_file_itself(scene, write_vectors):
    labels = labels_of(write_vectors("l.gpkg", [shapely.box(0, 0, 9, 9)]), scene)
    size = len(pickle.dumps(labels))
    assert labels.count == 1
    assert len(pickle.dumps(labels)) == size


def test_many_polygons_are_burned_as_few_are(scene, write_vectors, monkeypatch):
    random = np.random.default_rng(0)
    corners = random.uniform((500_000, 4_999_996), (500_006, 5_000_000), (200, 2))
    path = write_vectors("l.gpkg", [shapely.Point(corner).buffer(0.2) for corner in corners])
    whole = labels_of(path, scene).read(scene.window)
    monkeypatch.setattr(polygon_index, "LEAST_CELL", 4)
    monkeypatch.setattr(polygon_index, "SORTED_AT_ONCE", 16)
    by_cells = labels_of(path, scene)
    assert (by_cells.read(scene.window) == whole).all()
    window = Window(3, 5, 9, 11)
    assert (by_cells.read(window) == whole[window.slices]).all()


def test_polygons_beyond_180_degrees_lie_on_a_scene_across_that_line(write_raster, write_vectors):
    """Columns 10 to 20 are 180 to 181 degrees, which others call -180 to -179."""
    scene = open_scene(write_raster("s.tif", np.ones((10, 30), np.uint8), **DEGREES))
    east = write_vectors("east.gpkg", [shapely.box(-179.5, 9.5, -179, 10)], "EPSG:4326")
    expected = np.zeros((10, 30), np.uint8)
    expected[:5, 15:20] = 1
    assert (labels_of(east, scene).read(scene.window) == expected).all()
    across = shapely.Polygon([(179.5, 10), (179.5, 9.5), (-179, 9.5), (-179, 10)])
    path = write_vectors("across.gpkg", [across], "EPSG:4326")
    expected[:5, 5:20] = 1
    assert (labels_of(path, scene).read(scene.window) == expected).all()


def test_no_crs_is_an_error_where_the_scene_has_one(scene, write_vectors):
    labels = labels_of(write_vectors("l.shp", [shapely.box(0, 0, 9, 9)], None), scene)
    with pytest.raises(LabelsError, match="states no CRS"):
        labels.read(scene.window)
