"""Houses of polygon files and of rasters."""

import geopandas
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.transform import from_origin
from shapely.geometry import LineString, MultiPolygon, Point, Polygon, box

from geofcn.core.windows import row_bands
from geofcn.errors import LabelsError
from geofcn.evaluation.footprints import (
    Houses,
    LocatedHouses,
    TracedHouses,
    houses_of,
    open_both,
)
from geofcn.io.scene import open_mask

UTM = "EPSG:25832"
# One pixel is a metre.
METRES = from_origin(500_000, 5_000_000, 1, 1)


def house(col: float, row: float, width: float, height: float) -> Polygon:
    """A rectangle by pixels of METRES."""
    x, y = METRES @ (col, row)
    return box(x, y - height, x + width, y)


# --- polygons of a file ---


def frame_of(*shapes, crs=None, **columns) -> geopandas.GeoDataFrame:
    return geopandas.GeoDataFrame(columns, geometry=list(shapes), crs=crs)


def test_each_part_of_a_multipolygon_is_a_house_with_its_score():
    parts = MultiPolygon([box(0, 0, 1, 1), box(5, 5, 6, 6)])
    houses = houses_of(frame_of(parts, box(8, 8, 9, 9), score=[0.5, 0.75]), None)
    assert [polygon.bounds[0] for polygon in houses.polygons] == [0, 5, 8]
    assert houses.scores.tolist() == [0.5, 0.5, 0.75]


@pytest.mark.parametrize("columns", [{}, {"score": ["high", "low"]}])
def test_without_numbers_there_are_no_scores(columns):
    houses = houses_of(frame_of(box(0, 0, 1, 1), box(5, 5, 6, 6), **columns), None)
    assert len(houses.polygons) == 2 and np.isnan(houses.scores).all()


def test_only_areas_are_houses():
    flat = Polygon([(0, 0), (1, 1), (2, 2)])
    shapes = [Point(0, 0), LineString([(0, 0), (9, 9)]), None, Polygon(), flat, box(0, 0, 1, 1)]
    houses = houses_of(frame_of(*shapes, score=np.arange(6.0)), None)
    assert [polygon.area for polygon in houses.polygons] == [1]
    assert houses.scores.tolist() == [5]


def test_invalid_polygons_are_mended_and_heights_dropped():
    bow_tie = Polygon([(0, 0), (4, 4), (4, 0), (0, 4)])
    raised = shapely.force_3d(box(8, 8, 9, 9), 7.0)
    houses = houses_of(frame_of(bow_tie, raised), None)
    assert shapely.area(houses.polygons).tolist() == [4, 4, 1]
    assert shapely.is_valid(houses.polygons).all() and not shapely.has_z(houses.polygons).any()


def test_houses_are_brought_into_the_common_crs():
    original = house(5, 5, 10, 4)
    degrees = geopandas.GeoSeries([original], crs=UTM).to_crs("EPSG:4326")
    houses = houses_of(frame_of(*degrees, crs="EPSG:4326"), CRS.from_string(UTM))
    assert houses.polygons[0].symmetric_difference(original).area < 1e-3
    bare = houses_of(frame_of(original), CRS.from_string(UTM))
    assert bare.polygons[0].equals(original), "without a CRS nothing is moved"


# --- two files ---


def test_two_files_are_compared_in_the_crs_of_the_prediction(write_vectors):
    polygons = [house(5, 5, 10, 4), house(30, 5, 6, 6)]
    degrees = geopandas.GeoSeries(polygons, crs=UTM).to_crs("EPSG:4326")
    prediction = write_vectors("predicted.gpkg", polygons)
    labels = write_vectors("truth.geojson", degrees, "EPSG:4326")
    (predicted, true), crs = open_both(str(prediction), str(labels))
    assert crs == UTM
    assert shapely.equals(predicted.polygons, polygons).all()
    assert shapely.area(true.polygons) == pytest.approx([40, 36], rel=1e-4)


def test_a_crs_on_one_side_only_is_refused(write_vectors):
    polygons = [house(5, 5, 10, 4)]
    bare = str(write_vectors("bare.gpkg", polygons, None))
    placed = str(write_vectors("placed.gpkg", polygons))
    for pair in ((bare, placed), (placed, bare)):
        with pytest.raises(LabelsError, match=r"bare.gpkg: it states no CRS"):
            open_both(*pair)
    _, crs = open_both(bare, bare)
    assert crs is None


def test_files_far_apart_are_refused_unless_one_is_empty(write_vectors, tmp_path):
    near = str(write_vectors("near.gpkg", [house(0, 0, 9, 9)]))
    far = str(write_vectors("far.gpkg", [house(10_000, 0, 9, 9)]))
    with pytest.raises(LabelsError, match=r"far\.gpkg: it does not overlap .*near\.gpkg"):
        open_both(near, far)
    empty = tmp_path / "empty.gpkg"
    geopandas.GeoDataFrame(geometry=[], crs=UTM).to_file(empty, geometry_type="Polygon")
    (predicted, true), _ = open_both(str(empty), far)
    assert (len(predicted.polygons), len(true.polygons)) == (0, 1)


# --- row bands of a raster ---


@pytest.fixture
def raster(write_raster):
    """A mask of 20 x 12 pixels of a metre."""
    return open_mask(write_raster("mask.tif", np.zeros((20, 12), np.uint8), transform=METRES))


def pass_by(collector, houses, counted, rows) -> Houses:
    for window in row_bands(*houses.shape, rows):
        collector.add(window, houses[window.slices], counted[window.slices])
    return collector.finish()


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
    spots=st.lists(st.tuples(st.integers(-3, 14), st.integers(-3, 22)), min_size=1, max_size=9),
    rows=st.sampled_from([1, 7, 20]),
    seed=st.integers(0, 9),
)
def test_houses_of_a_file_count_where_their_pixel_counts(raster, spots, rows, seed):
    counted = np.random.default_rng(seed).random((20, 12)) < 0.5
    polygons = np.array([house(col + 0.25, row + 0.25, 0.5, 0.5) for col, row in spots])
    collector = LocatedHouses(Houses(polygons, np.arange(len(spots), dtype=float)), raster)
    houses = pass_by(collector, np.zeros((20, 12), bool), counted, rows)
    expected = [
        number
        for number, (col, row) in enumerate(spots)
        if 0 <= col < 12 and 0 <= row < 20 and counted[row, col]
    ]
    assert houses.scores.tolist() == expected, "in the order of the file"


def test_a_file_without_houses_has_none_on_the_raster(raster):
    collector = LocatedHouses(Houses(np.zeros(0, object), np.zeros(0)), raster)
    blank = np.ones((20, 12), bool)
    assert len(pass_by(collector, blank, blank, 7).polygons) == 0
