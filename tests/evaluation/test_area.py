"""The area in which houses count."""

import geopandas
import numpy as np
import pyproj
import shapely
from shapely.geometry import box

from geofcn.evaluation.area import Area
from geofcn.io.label_source import LabelSource

UTM = pyproj.CRS("EPSG:25832")


def area_of(path) -> Area:
    return Area(LabelSource.of(path), UTM)


def test_a_house_lies_in_it_when_its_representative_point_does(write_vectors):
    x, y = 500_000, 5_000_000
    area = area_of(write_vectors("area.gpkg", [box(x, y, x + 10, y + 10), box(x, y, x + 5, y + 5)]))
    inside = box(x + 8, y, x + 11, y + 2)
    outside = box(x + 8, y, x + 14, y + 2)
    # The centroid of a U lies in its gap, its representative point never does.
    gap = box(x + 2, y + 12, x + 8, y + 30)
    bent = box(x, y + 5, x + 10, y + 30) - gap
    houses = np.array([inside, outside, bent])
    expected = [box(x, y, x + 10, y + 10).covers(shapely.point_on_surface(h)) for h in houses]
    assert area.holds(houses).tolist() == expected
    assert expected[:2] == [True, False]
    assert area.holds(houses[:0]).shape == (0,)


def test_a_file_without_polygons_holds_nothing(tmp_path):
    empty = geopandas.GeoDataFrame(geometry=[], crs=UTM)
    empty.to_file(tmp_path / "empty.gpkg", geometry_type="Polygon")
    houses = np.array([box(500_000, 5_000_000, 500_009, 5_000_009)])
    assert area_of(tmp_path / "empty.gpkg").holds(houses).tolist() == [False]
