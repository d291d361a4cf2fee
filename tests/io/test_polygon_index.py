"""Polygons are found by the pixels they cover."""

import numpy as np
import shapely
from hypothesis import given
from hypothesis import strategies as st

from geofcn.core.windows import Window
from geofcn.io import polygon_index
from geofcn.io.polygon_index import PolygonIndex, boxes_of
from geofcn.io.polygon_store import NumberedPolygons

places = st.tuples(
    st.integers(-900, 4900), st.integers(-900, 2900), st.integers(1, 6000), st.integers(1, 90)
)


@given(
    boxes=st.lists(places, max_size=12),
    at_once=st.integers(1, 5),
    window=st.builds(
        Window, st.integers(0, 2000), st.integers(0, 4000), st.integers(1, 999), st.integers(1, 999)
    ),
)
def test_all_that_touch_a_window_are_found_once_and_in_order(boxes, at_once, window):
    polygons = np.array([shapely.box(x, y, x + w, y + h) for x, y, w, h in boxes], object)
    every = NumberedPolygons(polygons, np.zeros(len(boxes)), np.arange(len(boxes)))
    index = PolygonIndex(2000, 4000)
    sorted_at_once, polygon_index.SORTED_AT_ONCE = polygon_index.SORTED_AT_ONCE, 2
    try:
        for start in range(0, len(boxes), at_once):
            part = every.select(slice(start, start + at_once))
            index.add(part, boxes_of(part.polygons))
        index.finish()
    finally:
        polygon_index.SORTED_AT_ONCE = sorted_at_once
    assert len(index) == len(boxes)
    found = index.near(window)
    frame = shapely.box(window.col, window.row, window.right, window.bottom)
    touching = np.flatnonzero(shapely.intersects(polygons, frame))
    assert set(touching) <= set(found.numbers)
    assert (np.diff(found.numbers) > 0).all()
    assert shapely.equals(found.polygons, polygons[found.numbers]).all()


def test_what_lies_far_away_is_not_read():
    near, far = shapely.box(10, 10, 20, 20), shapely.box(3900, 1900, 3910, 1910)
    index = PolygonIndex(2000, 4000)
    both = NumberedPolygons(np.array([far, near]), np.zeros(2), np.arange(2))
    index.add(both, boxes_of(both.polygons))
    index.finish()
    assert index.near(Window(0, 0, 64, 64)).numbers.tolist() == [1]
