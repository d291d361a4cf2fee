"""Areas and lengths on the ground, against pyproj's geodesics one polygon at a time."""

import numpy as np
import pyproj
import pytest
import rasterio.warp
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.transform import from_origin
from shapely.geometry import Polygon, box

from geofcn.core.geodesy import Ground, ground_resolution
from geofcn.core.grid import Grid

# CRS -> a place at 46 degrees north in it, and units to a metre.
PLACES = {
    "EPSG:3857": (1_224_514.0, 5_780_349.0, 1.44),
    "EPSG:4326": (11.0, 46.0, 1e-5),
    "EPSG:32632": (655_000.0, 5_096_000.0, 1.0),
}
# pyproj's own areas are exact to some 1e-5 square metres.
EXACT = 5e-5


def geodesic(polygon: Polygon, crs: str) -> tuple[float, float]:
    """Area and perimeter by pyproj.Geod, ring by ring."""
    projected = pyproj.CRS(crs)
    to_degrees = pyproj.Transformer.from_crs(projected, projected.geodetic_crs, always_xy=True)
    rings = [
        projected.get_geod().polygon_area_perimeter(*to_degrees.transform(*np.array(ring.coords).T))
        for ring in (polygon.exterior, *polygon.interiors)
    ]
    areas = [abs(area) for area, _ in rings]
    return areas[0] - sum(areas[1:]), sum(length for _, length in rings)


def measured(polygon: Polygon, crs: str) -> tuple[float, float]:
    areas, perimeters = Ground(CRS.from_string(crs)).measure(np.array([polygon]))
    return areas[0], perimeters[0]


def assert_geodesic(polygon: Polygon, crs: str) -> None:
    area, perimeter = geodesic(polygon, crs)
    assert measured(polygon, crs) == (
        pytest.approx(area, rel=1e-6, abs=EXACT),
        pytest.approx(perimeter, rel=1e-6),
    )


@pytest.mark.parametrize("crs", PLACES)
@given(
    corners=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=3),
    size=st.sampled_from([0.5, 10, 300, 1_900, 5_000, 200_000]),
)
def test_triangles_of_any_size(crs, corners, size):
    """Triangles: in a rectangle what opposite sides do wrong would cancel."""
    x, y, unit = PLACES[crs]
    triangle = Polygon([(x + u * size * unit, y + v * size * unit) for u, v in corners])
    # In a sliver the same error of a long side is a larger share of the area.
    if shapely.minimum_clearance(triangle) > 0.1 * size * unit:
        assert_geodesic(triangle, crs)


@pytest.mark.parametrize("crs", PLACES)
@pytest.mark.parametrize("size", [10, 1_000, 50_000])
def test_holes_count_whichever_way_they_run(crs, size):
    x, y, unit = PLACES[crs]
    side = size * unit
    shell, hole = (
        box(x, y, x + side, y + side),
        box(x + side / 4, y + side / 4, x + side / 2, y + side / 2),
    )
    for ring in (hole.exterior.coords, hole.exterior.coords[::-1]):
        for outer in (shell.exterior.coords, shell.exterior.coords[::-1]):
            assert_geodesic(Polygon(outer, [ring]), crs)


def test_across_the_date_line_and_near_the_pole():
    assert_geodesic(box(179.9999, 60, 180.0002, 60.0001), "EPSG:4326")
    apart = Polygon([(179.9999, 60), (-179.9998, 60), (-179.9998, 60.0001)])
    assert_geodesic(apart, "EPSG:4326")
    assert_geodesic(box(10, 89.99, 10.01, 89.995), "EPSG:4326")
    assert_geodesic(box(-70, -46.0001, -69.9999, -46), "EPSG:4326")


def test_web_mercator_does_not_inflate():
    x, y, _ = PLACES["EPSG:3857"]
    area, perimeter = measured(box(x, y, x + 10, y + 10), "EPSG:3857")
    assert area == pytest.approx(100 * np.cos(np.radians(46)) ** 2, rel=1e-2)
    assert perimeter == pytest.approx(40 * np.cos(np.radians(46)), rel=1e-2)


def test_a_polygon_is_measured_the_same_alone_and_among_others():
    x, y, _ = PLACES["EPSG:32632"]
    random = np.random.default_rng(0)
    corners = (x, y) + random.random((50, 3, 2)) * random.choice([5, 3_000], (50, 1, 1))
    polygons = shapely.polygons(corners)
    ground = Ground(CRS.from_epsg(32632))
    together = np.array(ground.measure(polygons))
    alone = np.hstack([ground.measure(polygons[i : i + 1]) for i in range(50)])
    assert np.array_equal(together, alone)


def test_no_polygons():
    for crs in (None, CRS.from_epsg(32632)):
        areas, perimeters = Ground(crs).measure(np.zeros(0, object))
        assert areas.shape == perimeters.shape == (0,)


@pytest.mark.parametrize(
    ("crs", "unit"),
    [(None, 1), (CRS.from_wkt('LOCAL_CS["plan",UNIT["foot",0.3048]]'), 0.3048)],
)
def test_plane_coordinates(crs, unit):
    holed = np.array([box(0, 0, 10, 10).difference(box(1, 1, 3, 3))])
    areas, perimeters = Ground(crs).measure(holed)
    assert areas.tolist() == pytest.approx([96 * unit**2])
    assert perimeters.tolist() == pytest.approx([48 * unit])
    local = Ground(crs).local_metres(holed, np.array([[1.0, 2.0]]))
    assert local[0].bounds == pytest.approx((-unit, -2 * unit, 9 * unit, 8 * unit))


@pytest.mark.parametrize("crs", PLACES)
def test_local_metres_are_east_and_north(crs):
    x, y, unit = PLACES[crs]
    corner = x + 60 * unit, y + 80 * unit
    polygons = np.array([Polygon([(x, y), corner, (x, corner[1])])] * 2)
    local = Ground(CRS.from_string(crs)).local_metres(polygons, np.array([(x, y), corner]))
    _, perimeter = geodesic(polygons[0], crs)
    assert shapely.length(local).tolist() == pytest.approx([perimeter] * 2, rel=1e-4)
    assert local[0].exterior.coords[0] == (0, 0)
    assert local[1].exterior.coords[1] == (0, 0)
    assert local[0].exterior.coords[1][0] > 0
    assert local[0].exterior.coords[1][1] > 0
    assert polygons[0].exterior.coords[0] == (x, y)


def test_local_metres_go_the_short_way_across_the_date_line():
    triangle = np.array([Polygon([(179.9999, 60), (-179.9999, 60), (-179.9999, 60.0001)])])
    local = Ground(CRS.from_epsg(4326)).local_metres(triangle, np.array([(179.9999, 60.0)]))
    assert shapely.length(local)[0] == pytest.approx(
        geodesic(triangle[0], "EPSG:4326")[1], rel=1e-4
    )


@pytest.mark.parametrize("distance", [100, 1_000, 10_000])
def test_local_metres_are_true_to_a_share_that_grows_with_the_distance(distance):
    """d * tan(latitude) / 6,400 km for lengths east to west, d north of the origin; none there."""
    x, y, _ = PLACES["EPSG:32632"]
    origin = np.array([(x, y)])
    strips = [box(x, top, x + 10, top + 1e-3) for top in (y, y + distance)]
    ground = Ground(CRS.from_epsg(32632))
    near, far = (
        shapely.length(ground.local_metres(strip, origin))[0] / ground.measure(strip)[1][0] - 1
        for strip in np.array(strips)[:, None]
    )
    assert near == pytest.approx(0, abs=1e-7)
    assert far == pytest.approx(distance * np.tan(np.radians(46)) / 6.4e6, rel=0.01)


# --- ground resolution ---


def resolution_of(crs, transform, size=10) -> float | None:
    return ground_resolution(Grid(size, size, CRS.from_user_input(crs) if crs else None, transform))


def test_web_mercator_shrinks_with_the_latitude():
    # 46.4 degrees north is at y = 5,846,000 or so in EPSG:3857.
    x, y = rasterio.warp.transform("EPSG:4326", "EPSG:3857", [11.0], [46.4])
    transform = from_origin(x[0], y[0], 0.2, 0.2)
    assert resolution_of("EPSG:3857", transform) == pytest.approx(0.138, abs=5e-4)


def test_utm_is_nearly_true():
    transform = from_origin(500_000, 5_000_000, 0.2, 0.2)
    assert resolution_of("EPSG:25832", transform) == pytest.approx(0.2, rel=1e-3)


def test_degrees():
    # A degree is 111.32 km along the equator and 110.57 km across it.
    transform = from_origin(10, 0, 1e-5, 1e-5)
    expected = np.sqrt(1.1132 * 1.1057)
    assert resolution_of("EPSG:4326", transform) == pytest.approx(expected, rel=1e-3)


def test_feet():
    transform = from_origin(6_000_000, 2_000_000, 1, 1)  # California zone 3, US survey feet
    assert resolution_of("EPSG:2227", transform) == pytest.approx(0.3048, rel=1e-3)


def test_rotated_and_oblong_pixels():
    turned = Affine.translation(500_000, 5_000_000) * Affine.rotation(30) * Affine.scale(0.1, -0.4)
    assert resolution_of("EPSG:25832", turned) == pytest.approx(0.2, rel=1e-3)


def test_the_centre_of_a_large_grid_counts():
    # One degree a pixel, from 60 degrees north to 20 degrees south: the centre is at 20 degrees.
    assert resolution_of("EPSG:4326", from_origin(0, 60, 1, 1), 80) == pytest.approx(
        1000 * np.sqrt(111.32 * np.cos(np.radians(20)) * 110.7), rel=3e-3
    )


def test_no_crs_no_resolution():
    assert resolution_of(None, from_origin(0, 0, 0.2, 0.2)) is None


LOCAL = 'LOCAL_CS["site plan",UNIT["metre",1],AXIS["x",EAST],AXIS["y",NORTH]]'
HEIGHT = 'VERT_CS["height",VERT_DATUM["height",2005],UNIT["metre",1],AXIS["up",UP]]'


@pytest.mark.parametrize("wkt", [LOCAL, f'COMPD_CS["plan and height",{LOCAL},{HEIGHT}]'])
def test_a_local_crs_has_no_resolution(wkt):
    assert resolution_of(CRS.from_wkt(wkt), from_origin(0, 0, 0.2, 0.2)) is None


def test_a_grid_beyond_the_projections_range_has_no_resolution():
    transform = from_origin(1e12, 1e12, 0.2, 0.2)
    assert resolution_of("EPSG:25832", transform) is None
