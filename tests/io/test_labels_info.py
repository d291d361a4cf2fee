"""What is said of labels."""

import numpy as np
import pytest
import shapely

from geofcn.errors import LabelsError
from geofcn.io.labels_info import describe_labels
from geofcn.io.scene import open_scene


@pytest.fixture
def scene(write_raster):
    return open_scene(write_raster("scene.tif", np.full((3, 20, 30), 9, np.uint8)))


def test_polygons(scene, write_vectors):
    on = shapely.box(500_000, 4_999_996, 500_003, 5_000_000)
    path = write_vectors("l.geojson", [on, shapely.box(0, 0, 9, 9), shapely.Point(0, 0)])
    info = describe_labels(path, scene)
    assert info.to_dict() == {
        "path": str(path), "kind": "polygons", "layer": "l", "house_values": None,
        "polygons": 2, "polygons_on_scene": 1, "house_share": 0.5, "known_share": 1.0,
        "remarks": ["of its 3 features 1 are left out (1 without an area (points, lines))"],
    }  # fmt: skip


def test_a_raster(scene, write_raster):
    classes = np.zeros((20, 30), np.uint8)
    classes[:5], classes[10:] = 3, 9
    info = describe_labels(write_raster("l.tif", classes, nodata=9), scene)
    assert (info.kind, info.house_values, info.polygons) == ("raster", [3], None)
    assert (info.house_share, info.known_share) == (0.5, 0.5)
    chosen = describe_labels(write_raster("l.tif", classes), scene, house_value=[9])
    assert (chosen.house_values, chosen.house_share) == ([9], 0.5)


def test_what_does_not_fit_the_scene_is_refused(scene, write_vectors):
    path = write_vectors("l.gpkg", [shapely.box(0, 0, 9, 9)])
    with pytest.raises(LabelsError, match="none of its 1 polygons lies on"):
        describe_labels(path, scene)
