"""geofcn.polygons.validity: some holes at a time, the same answer as GEOS on all."""

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from geofcn.polygons import validity
from geofcn.polygons.validity import are_valid

SHELL = shapely.box(0, 0, 12, 12).exterior


@pytest.fixture
def _three_at_once(monkeypatch):
    monkeypatch.setattr(validity, "HOLES_AT_ONCE", 3)


def holed(*holes) -> shapely.Polygon:
    return shapely.Polygon(SHELL, [hole.exterior for hole in holes])


def diamond(x: float, y: float) -> shapely.Polygon:
    return shapely.Polygon([(x - 1, y), (x, y - 1), (x + 1, y), (x, y + 1)])


corner, side = st.integers(0, 11), st.integers(1, 3)
squares = st.tuples(corner, corner, side, side).map(
    lambda s: shapely.box(s[0], s[1], s[0] + s[2], s[1] + s[3])
)
diamonds = st.tuples(st.integers(1, 11), st.integers(1, 11)).map(lambda s: diamond(*s))


@pytest.mark.usefixtures("_three_at_once")
@given(st.lists(squares | diamonds, max_size=9))
def test_it_is_what_geos_says_of_all_holes_at_once(holes):
    polygons = np.array([holed(*holes), shapely.Polygon(SHELL)])
    assert are_valid(polygons).tolist() == shapely.is_valid(polygons).tolist()


@pytest.mark.usefixtures("_three_at_once")
def test_a_chain_of_holes_that_cuts_the_interior_is_found_whatever_lies_between():
    far = [shapely.box(x, 10, x + 0.5, 11) for x in range(1, 8)]
    across = [diamond(x, 6) for x in range(1, 12, 2)]
    polygons = np.array([holed(*far, *across), holed(*far, *across[:-1])])
    assert are_valid(polygons).tolist() == shapely.is_valid(polygons).tolist() == [False, True]


@pytest.mark.usefixtures("_three_at_once")
def test_boxes_that_touch_by_others_are_of_one_group():
    boxes = np.array([[0, 0, 1, 9], [8, 8, 9, 9], [5, 0, 6, 1], [1, 4, 3, 5], [3, 5, 4, 6]])
    groups = validity._groups(np.concatenate([boxes, [[20, 20, 21, 21]]]).astype(float))
    assert groups.tolist() == [0, 1, 2, 0, 0, 5]
