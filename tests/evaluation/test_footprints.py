"""Houses of polygon files and of rasters."""

import geopandas
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.transform import from_origin
from shapely.geometry import Polygon, box

from geofcn.core.windows import row_bands
from geofcn.errors import LabelsError
from geofcn.evaluation.footprints import LocatedHouses, TracedHouses, read_both
from geofcn.io.label_source import LabelSource
from geofcn.io.masks import open_mask
from geofcn.io.polygon_store import NumberedPolygons
from geofcn.io.vector_labels import VectorLabels

UTM = "EPSG:25832"
# One pixel is a metre.
METRES = from_origin(500_000, 5_000_000, 1, 1)


def house(col: float, row: float, width: float, height: float) -> Polygon:
    """A rectangle by pixels of METRES."""
    x, y = METRES @ (col, row)
    return box(x, y - height, x + width, y)


def read_sources(prediction, labels, min_area=0.0):
    """What `read_both` gives, all houses taken."""
    sources = LabelSource.of(prediction), LabelSource.of(labels)
    sides, crs = read_both(*sources, min_area)
    return tuple(side.take(-np.inf) for side in sides), crs


# --- two files ---


def test_two_files_are_compared_in_the_crs_of_the_prediction(write_vectors):
    polygons = [house(5, 5, 10, 4), house(30, 5, 6, 6)]
    degrees = geopandas.GeoSeries(polygons, crs=UTM).to_crs("EPSG:4326")
    prediction = write_vectors("predicted.gpkg", polygons)
    labels = write_vectors("truth.geojson", degrees, "EPSG:4326")
    (predicted, true), crs = read_sources(prediction, labels)
    assert crs == UTM
    assert shapely.equals(predicted.polygons, polygons).all()
    assert shapely.area(true.polygons) == pytest.approx([40, 36], rel=1e-4)


def test_a_crs_on_one_side_only_is_refused(write_vectors):
    polygons = [house(5, 5, 10, 4)]
    bare = str(write_vectors("bare.gpkg", polygons, None))
    placed = str(write_vectors("placed.gpkg", polygons))
    for pair in ((bare, placed), (placed, bare)):
        with pytest.raises(LabelsError, match=r"bare.gpkg: it states no CRS"):
            read_sources(*pair)
    _, crs = read_sources(bare, bare)
    assert crs is None


def test_files_far_apart_are_refused_unless_one_is_empty(write_vectors, tmp_path):
    near = str(write_vectors("near.gpkg", [house(0, 0, 9, 9)]))
    far = str(write_vectors("far.gpkg", [house(10_000, 0, 9, 9)]))
    with pytest.raises(LabelsError, match=r"far\.gpkg: it does not overlap .*near\.gpkg"):
        read_sources(near, far)
    empty = tmp_path / "empty.gpkg"
    geopandas.GeoDataFrame(geometry=[], crs=UTM).to_file(empty, geometry_type="Polygon")
    (predicted, true), _ = read_sources(str(empty), far)
    assert (len(predicted.polygons), len(true.polygons)) == (0, 1)


# --- row bands of a raster ---


def test_small_houses_are_left_out(write_vectors):
    path = write_vectors("houses.gpkg", [house(5, 5, 10, 4), house(30, 5, 6, 6)])
    sides, _ = read_sources(path, path, min_area=38)
    assert [side.numbers.tolist() for side in sides] == [[0], [0]]


@pytest.fixture
def raster(write_raster):
    """A mask of 20 x 12 pixels of a metre."""
    return open_mask(
        write_raster("mask.tif", np.zeros((20, 12), np.uint8), transform=METRES)
    ).raster


def labels_on(raster, path) -> VectorLabels:
    return VectorLabels.of(LabelSource.of(path), raster)


def pass_by(collector, houses, counted, rows) -> NumberedPolygons:
    for window in row_bands(*houses.shape, rows):
        collector.add(window, houses[window.slices], counted[window.slices])
    return collector.finish().take(-np.inf)


@pytest.mark.parametrize("rows", [1, 3, 20])
def test_houses_of_a_raster_are_its_connected_pixels_in_map_coordinates(raster, rows):
    mask, counted = np.zeros((20, 12), bool), np.ones((20, 12), bool)
    mask[2:9, 1:5] = mask[10:12, 6:12] = True
    counted[2:4] = False
    houses = pass_by(TracedHouses(raster), mask, counted, rows)
    expected = [house(1, 4, 4, 5), house(6, 10, 6, 2)]
    assert len(houses.polygons) == 2 and np.isnan(houses.scores).all()
    for polygon, rectangle in zip(houses.polygons, expected, strict=True):
        assert polygon.equals(rectangle)


@settings(max_examples=30)
@given(
    spots=st.lists(
        st.tuples(st.integers(-3, 14), st.integers(-3, 22)), min_size=1, max_size=9, unique=True
    ),
    rows=st.sampled_from([1, 7, 20]),
    seed=st.integers(0, 9),
)
def test_houses_of_a_file_count_where_their_pixel_counts(raster, write_vectors, spots, rows, seed):
    counted = np.random.default_rng(seed).random((20, 12)) < 0.5
    polygons = [house(col + 0.25, row + 0.25, 0.5, 0.5) for col, row in spots]
    labels = labels_on(raster, write_vectors("spots.gpkg", polygons))
    collector = LocatedHouses(labels, raster)
    houses = pass_by(collector, np.zeros((20, 12), bool), counted, rows)
    expected = [
        number
        for number, (col, row) in enumerate(spots)
        if 0 <= col < 12 and 0 <= row < 20 and counted[row, col]
    ]
    assert houses.numbers.tolist() == expected, "in the order of the file"


def test_a_file_without_houses_has_none_on_the_raster(raster, tmp_path):
    empty = geopandas.GeoDataFrame(geometry=[], crs=UTM)
    empty.to_file(tmp_path / "empty.gpkg", geometry_type="Polygon")
    blank = np.ones((20, 12), bool)
    collector = LocatedHouses(labels_on(raster, tmp_path / "empty.gpkg"), raster)
    assert len(pass_by(collector, blank, blank, 7)) == 0
