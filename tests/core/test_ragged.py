"""Polygons as flat arrays of rings and back, and the overlap of pairs."""

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import Polygon, box

from geofcn.core import ragged
from geofcn.core.ragged import Rings, from_rings, intersection_over_union

COURT = box(0, 0, 10, 10).difference(shapely.union(box(1, 1, 3, 3), box(5, 5, 7, 6)))
TRIANGLE = Polygon([(0, 0), (4, 0), (0, 3)])

polygons = st.lists(st.sampled_from([COURT, TRIANGLE, box(2, 3, 5, 7), Polygon()]), max_size=6).map(
    lambda shapes: np.array(shapes, dtype=object)
)


def test_a_court_and_a_triangle_by_hand():
    rings = Rings.of(np.array([COURT, TRIANGLE]))
    assert len(rings) == 4
    assert rings.first.tolist() == [0, 5, 10, 15, 19]
    assert rings.last.tolist() == [4, 9, 14, 18]
    assert rings.polygon.tolist() == [0, 0, 0, 1]
    assert rings.is_exterior.tolist() == [True, False, False, True]
    assert rings.ring.tolist() == [0] * 5 + [1] * 5 + [2] * 5 + [3] * 4
    assert rings.points[15:].tolist() == [[0, 0], [4, 0], [0, 3], [0, 0]]
    assert rings.edges.tolist() == [0, 1, 2, 3, 5, 6, 7, 8, 10, 11, 12, 13, 15, 16, 17]


@given(polygons)
def test_each_ring_is_that_of_shapely(polygons):
    rings = Rings.of(polygons)
    expected = [
        (number, ring is polygon.exterior, np.array(ring.coords).tolist())
        for number, polygon in enumerate(polygons)
        if not polygon.is_empty
        for ring in (polygon.exterior, *polygon.interiors)
    ]
    assert len(rings) == len(expected)
    for i, (number, _, coords) in enumerate(expected):
        assert rings.polygon[i] == number
        assert rings.points[rings.first[i] : rings.first[i + 1]].tolist() == coords
        assert (rings.points[rings.first[i]] == rings.points[rings.last[i]]).all(), "closed"
    exteriors = [polygon.exterior for polygon in polygons if not polygon.is_empty]
    assert rings.is_exterior.sum() == len(exteriors)
    assert rings.points[rings.first[:-1][rings.is_exterior]].tolist() == [
        list(exterior.coords[0]) for exterior in exteriors
    ]


@given(polygons, st.integers(1, 5))
def test_rings_are_the_same_however_many_are_asked_for_at_once(polygons, at_once):
    whole = Rings.of(polygons)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ragged, "RINGS_AT_ONCE", at_once)
        patch.setattr(ragged, "POINTS_AT_ONCE", 4 * at_once)
        some = Rings.of(polygons)
        parts = list(some.parts())
    for name in ("points", "first", "polygon", "ring"):
        assert getattr(some, name).tolist() == getattr(whole, name).tolist()
    for own, points, part in parts:
        assert part.points.tolist() == whole.points[points].tolist()
        first = whole.first[own.start : own.stop + 1]
        assert (part.first + points.start).tolist() == first.tolist()
        assert part.polygon.tolist() == whole.polygon[own].tolist()
    assert sum(len(part) for _, _, part in parts) == len(whole)


@given(polygons)
def test_edges_are_as_long_as_the_polygons_are_around(polygons):
    rings = Rings.of(polygons)
    sides = rings.points[rings.edges + 1] - rings.points[rings.edges]
    owner = rings.polygon[rings.ring[rings.edges]]
    around = np.bincount(owner, np.hypot(*sides.T), minlength=len(polygons))
    assert around.tolist() == pytest.approx(shapely.length(polygons).tolist())


@given(polygons)
def test_from_rings_is_the_inverse(polygons):
    rings = Rings.of(polygons)
    again = from_rings(rings.points, rings.first, rings.polygon, len(polygons))
    assert again.shape == polygons.shape
    assert shapely.equals_exact(again, polygons).all()


def test_a_polygon_without_rings_is_empty():
    rings = Rings.of(np.array([TRIANGLE]))
    polygons = from_rings(rings.points, rings.first, np.array([1]), 3)
    assert [polygon.is_empty for polygon in polygons] == [True, False, True]


def test_overlaps_by_hand():
    first = np.array([box(0, 0, 2, 2), box(0, 0, 2, 2), box(0, 0, 2, 2), COURT])
    second = np.array([box(1, 0, 3, 2), box(2, 0, 4, 2), box(0, 0, 2, 2), box(0, 0, 10, 10)])
    assert intersection_over_union(first, second).tolist() == pytest.approx([2 / 6, 0, 1, 0.94])


boxes = st.tuples(*[st.integers(0, 9)] * 2, *[st.integers(1, 9)] * 2)


@given(boxes, boxes)
def test_overlaps_are_those_of_the_pixels(first, second):
    masks = np.zeros((2, 20, 20), bool)
    for mask, (x, y, width, height) in zip(masks, (first, second), strict=True):
        mask[y : y + height, x : x + width] = True
    shapes = [np.array([box(x, y, x + w, y + h)]) for x, y, w, h in (first, second)]
    expected = (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum()
    assert intersection_over_union(*shapes)[0] == pytest.approx(expected)
    assert intersection_over_union(*shapes[::-1])[0] == pytest.approx(expected)
