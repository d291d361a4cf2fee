"""Houses sorted from top to bottom."""

from math import inf, nan

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from geofcn.core.geodesy import Ground
from geofcn.evaluation import sorted_houses
from geofcn.evaluation.sorted_houses import SortedHouses, worst_last
from geofcn.io.polygon_store import NumberedPolygons


def sorted_of(polygons, scores=None, min_area=0.0, at_once=3) -> SortedHouses:
    houses = SortedHouses(Ground(None), min_area)
    array = np.array(polygons, object)
    scores = np.full(len(array), nan) if scores is None else np.array(scores, float)
    every = NumberedPolygons(array, scores, np.arange(len(array)))
    for start in range(0, len(array), at_once):
        houses.add(every.select(slice(start, start + at_once)))
    houses.finish()
    return houses


@pytest.fixture(params=[(4, 2), (65_536, 512)])
def _run_and_block(request, monkeypatch):
    monkeypatch.setattr(sorted_houses, "RUN", request.param[0])
    monkeypatch.setattr(sorted_houses, "BLOCK", request.param[1])


@pytest.mark.usefixtures("_run_and_block")
@given(st.lists(st.integers(0, 9), max_size=25))
def test_all_are_taken_once_from_top_to_bottom(heights):
    houses = sorted_of([shapely.box(i, 0, i + 1, 1 + top) for i, top in enumerate(heights)])
    assert len(houses) == len(heights)
    taken, line = [], inf
    while line > -inf:
        line = houses.line
        part = houses.take(line)
        assert part.numbers.tolist() == sorted(part.numbers)
        assert all(1 + heights[number] >= line for number in part.numbers)
        taken += part.numbers.tolist()
        assert {i for i, top in enumerate(heights) if 1 + top >= line} == set(taken)
    assert sorted(taken) == list(range(len(heights)))


@pytest.mark.usefixtures("_run_and_block")
def test_a_line_further_up_takes_less():
    houses = sorted_of([shapely.box(i, 0, i + 1, top) for i, top in enumerate((1, 9, 5, 3, 7, 2))])
    assert houses.take(6).numbers.tolist() == [1, 4]
    assert houses.take(2.5).numbers.tolist() == [2, 3]
    assert houses.take(-inf).numbers.tolist() == [0, 5]


@pytest.mark.usefixtures("_run_and_block")
def test_of_houses_that_are_there_twice_the_best_counts():
    """Once a duplicate was a false alarm, or a house missed."""
    square, other = shapely.box(0, 0, 2, 2), shapely.Polygon([(0, 0), (2, 0), (2, 2), (0, 0)])
    turned = shapely.Polygon([(2, 2), (2, 0), (0, 0), (0, 2)])
    houses = sorted_of([square, other, turned, square, other], [0.5, 0.1, 0.9, nan, nan])
    assert houses.take(-inf).numbers.tolist() == [1, 2]
    assert houses.repeated == 3


def test_small_ones_are_left_out():
    houses = sorted_of([shapely.box(0, 0, side, side) for side in (1, 3, 2)], min_area=4)
    assert len(houses) == 2
    assert houses.bounds.tolist() == [0, 0, 3, 3]
    assert houses.take(-inf).numbers.tolist() == [1, 2]


def test_the_best_score_comes_first_and_none_last():
    assert np.argsort(worst_last(np.array([0.2, nan, 0.9]))).tolist() == [2, 0, 1]
