"""geofcn.forecast.labels: every fact of labels whose houses can be counted by hand."""

import numpy as np
import pytest
import shapely

from geofcn.forecast.labels import describe_labels
from geofcn.io.labels import open_labelled_scene

SCENE = np.full((3, 100, 200), 9, np.uint8)


def test_houses_of_a_raster(write_raster):
    classes = np.zeros((100, 200), np.uint8)
    classes[10:20, 10:20] = classes[40:50, 100:110] = 1
    classes[90:] = 255
    source = open_labelled_scene(
        write_raster("scene.tif", SCENE), write_raster("labels.tif", classes, nodata=255)
    )
    labels = describe_labels(source)
    assert (labels.kind, labels.polygons, labels.houses_about) == ("raster", None, 2)
    assert labels.median_house_m2 == pytest.approx(100 * 0.04, rel=1e-3)
    assert labels.house_share == pytest.approx(200 / 18_000)
    assert labels.known_share == 0.9
    assert labels.extent_share == pytest.approx(40 * 100 / 20_000)


def test_houses_of_polygons(write_raster, write_vectors):
    # 10 x 10 m are 50 x 50 pixels of 0.2 m; the scene's corner is at (500000, 5000000).
    house = shapely.box(500_000, 4_999_990, 500_010, 5_000_000)
    pair = shapely.MultiPolygon([house, shapely.affinity.translate(house, 20)])
    path = write_vectors("labels.gpkg", [pair, shapely.Point(500_001, 4_999_999)])
    labels = describe_labels(open_labelled_scene(write_raster("scene.tif", SCENE), path))
    assert (labels.kind, labels.polygons, labels.shapes_without_area) == ("polygons", 2, 1)
    assert labels.crs == "EPSG:25832"
    assert labels.houses_about == 2
    assert labels.median_house_m2 == pytest.approx(100, rel=2e-3)
    assert labels.house_share == 2 * 2500 / 20_000


def test_houses_of_polygons_that_touch_are_counted_by_themselves(write_raster, write_vectors):
    """Once a row of them was one: about 351 for the 818 of a town."""
    row = [shapely.box(500_000 + x, 4_999_990, 500_003 + x, 5_000_000) for x in range(0, 30, 3)]
    path = write_vectors("labels.gpkg", row)
    labels = describe_labels(open_labelled_scene(write_raster("scene.tif", SCENE), path))
    assert (labels.polygons, labels.houses_about) == (10, 10)


def test_houses_of_instances_are_counted_by_themselves(write_raster):
    numbers = np.zeros((100, 200), np.uint32)
    numbers[10:20, 10:20], numbers[10:20, 20:30] = 2**32 - 1, 5
    numbers[40:50, 100:110] = 5
    path = write_raster("labels.tif", numbers)
    labels = describe_labels(
        open_labelled_scene(write_raster("scene.tif", SCENE), f"{path}|instances")
    )
    assert (labels.kind, labels.polygons, labels.houses_about) == ("instances", None, 3)
    assert labels.median_house_m2 == pytest.approx(100 * 0.04, rel=1e-3)


def test_labels_without_a_house_have_no_size(write_raster):
    source = open_labelled_scene(
        write_raster("scene.tif", SCENE), write_raster("labels.tif", np.zeros((100, 200), np.uint8))
    )
    labels = describe_labels(source)
    assert (labels.houses_about, labels.median_house_m2, labels.extent_share) == (0, None, 0)
