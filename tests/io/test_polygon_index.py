"""Polygons are found by the pixels they cover."""

import numpy as np
import shapely
from hypothesis import given
from hypothesis import strategies as st

from geofcn.core.windows import Window
from geofcn.io import polygon_index
from geofcn.io.polygon_index import PolygonIndex
from geofcn.io.polygon_store import NumberedPolygons, PolygonStore


def boxes_of(polygons: np.ndarray) -> np.ndarray:
    return shapely.bounds(polygons).reshape(-1, 4)


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
    index = PolygonIndex(2000, 4000, boxes_of)
    sorted_at_once, polygon_index.SORTED_AT_ONCE = polygon_index.SORTED_AT_ONCE, 2
    try:
        for start in range(0, len(boxes), at_once):
            index.add(every.select(slice(start, start + at_once)))
        index.finish()
    finally:
        polygon_index.SORTED_AT_ONCE = sorted_at_once
    assert len(index) == len(boxes)
    for margin in (0, 7):
        found = index.touching(window, margin)
        frame = shapely.box(window.col, window.row, window.right, window.bottom)
        left, top, right, bottom = frame.bounds
        near = shapely.box(left - margin, top - margin, right + margin, bottom + margin)
        assert found.numbers.tolist() == np.flatnonzero(shapely.intersects(polygons, near)).tolist()
        assert shapely.equals(found.polygons, polygons[found.numbers]).all()


def test_cells_far_away_are_not_read(monkeypatch):
    near, far = shapely.box(10, 10, 20, 20), shapely.box(3900, 1900, 3910, 1910)
    index = PolygonIndex(2000, 4000, boxes_of)
    index.add(NumberedPolygons(np.array([far, near]), np.zeros(2), np.arange(2)))
    index.finish()
    read = []
    get = PolygonStore.get
    monkeypatch.setattr(PolygonStore, "get", lambda store, slot: read.append(0) or get(store, slot))
    assert index.touching(Window(0, 0, 64, 64)).numbers.tolist() == [1]
    assert len(read) == 1
