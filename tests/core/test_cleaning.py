"""Polygons out of shapes of any kind."""

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import GeometryCollection, LineString, MultiPolygon, Point, Polygon, box

from geofcn.core.cleaning import EMPTY, MENDED, NO_AREA, NOT_FINITE, polygons_of

SQUARE = box(0, 0, 1, 1)
BOW_TIE = Polygon([(0, 0), (4, 4), (4, 0), (0, 4)])
FLAT = Polygon([(0, 0), (1, 1), (2, 2)])


@pytest.mark.parametrize(
    ("shape", "areas", "reason"),
    [
        (SQUARE, [1], None),
        (MultiPolygon([SQUARE, box(5, 5, 7, 6)]), [1, 2], None),
        (shapely.from_wkt("MULTIPOLYGON(((0 0, 2 0, 2 1, 0 1, 0 0)), EMPTY)"), [2], None),
        (GeometryCollection([Point(0, 0), SQUARE]), [1], None),
        (GeometryCollection([GeometryCollection([SQUARE]), box(5, 5, 7, 6)]), [1, 2], None),
        (BOW_TIE, [4, 4], MENDED),
        (MultiPolygon([SQUARE, SQUARE]), [1], MENDED),
        (shapely.force_3d(SQUARE, 7.0), [1], None),
        (None, [], EMPTY),
        (Polygon(), [], EMPTY),
        (GeometryCollection(), [], EMPTY),
        (Point(0, 0), [], NO_AREA),
        (LineString([(0, 0), (9, 9)]), [], NO_AREA),
        (GeometryCollection([Point(0, 0), Polygon()]), [], NO_AREA),
        (Polygon([(0, 0), (np.inf, 0), (1, 1)]), [], NOT_FINITE),
    ],
)
def test_polygons_of_one_shape(shape, areas, reason):
    shapes = np.array([SQUARE, None, SQUARE], object)
    shapes[1] = shape
    polygons, owner, tally = polygons_of(shapes)
    assert sorted(shapely.area(polygons[owner == 1])) == areas
    assert owner.tolist() == [0, *[1] * len(areas), 2], "in the order of the shapes"
    assert dict(tally) == ({} if reason is None else {reason: 1})
    assert shapely.is_valid(polygons).all() and not shapely.has_z(polygons).any()


def test_what_collapses_when_it_is_mended_is_mended_to_nothing():
    polygons, _, tally = polygons_of(np.array([FLAT, SQUARE]))
    assert len(polygons) == 1
    assert tally == {MENDED: 1, NO_AREA: 1}


def test_no_shapes_have_no_polygons():
    polygons, owner, tally = polygons_of(np.zeros(0, object))
    assert len(polygons) == len(owner) == 0 and not tally


shapes = st.sampled_from([SQUARE, BOW_TIE, FLAT, Point(1, 2), None, MultiPolygon([SQUARE, FLAT])])


@given(st.lists(shapes, max_size=9))
def test_many_at_once_are_each_of_them(many):
    array = np.empty(len(many), object)
    array[:] = many
    polygons, owner, tally = polygons_of(array)
    alone = [polygons_of(array[i : i + 1]) for i in range(len(many))]
    expected = [polygon for found, _, _ in alone for polygon in found]
    assert shapely.equals_exact(polygons, np.array(expected, object)).all()
    assert owner.tolist() == [i for i, (found, _, _) in enumerate(alone) for _ in found]
    assert tally.total() == sum(counted.total() for _, _, counted in alone)
