"""geofcn.synthetic.rows: houses wall to wall, with the vertices of their walls in common."""

import math
from itertools import chain, pairwise

import numpy as np
import pytest
import shapely

from geofcn.synthetic import rows
from geofcn.synthetic.buildings import Axes
from geofcn.synthetic.pieces import Corner, polygon_of
from geofcn.synthetic.roofs import Look
from geofcn.synthetic.rows import Wall, common_walls, draw_block, footprints

LOOK = Look("flat", "pale deck", (1, 1, 1), 30)
# Walls down the picture at x = 0, 30 and 60: their depths are y.
WALLS = [Wall(Axes(x, 0, math.pi / 2), 1) for x in (0, 30, 60)]
SQUARE = [Corner(0, 0, 9), Corner(240, 0, 9), Corner(240, 240, 9), Corner(0, 240, 9)]
SKEWED = [Corner(0, 0, 9), Corner(230, 40, 9), Corner(260, 280, 9), Corner(-40, 230, 9)]


def house(number: int, front: float, left: float, right: float):
    return rows._house(*WALLS[number : number + 2], front, (left, right), LOOK)


def corners_of(shape: shapely.Polygon) -> list[tuple[int, int]]:
    return [(round(x), round(y)) for x, y in shape.exterior.coords[:-1]]


def overlap(shapes: np.ndarray) -> float:
    first, second = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    pair = first < second
    common = shapely.intersection(shapes[first[pair]], shapes[second[pair]])
    return float(shapely.area(common).sum())


def test_a_house_takes_up_the_corners_of_its_neighbour():
    deep, shallow = footprints([house(0, 0, 50, 50), house(1, 4, 40, 40)])
    assert corners_of(deep) == [(30, 0), (30, 4), (30, 40), (30, 50), (0, 50), (0, 0)]
    assert corners_of(shallow) == [(60, 4), (60, 40), (30, 40), (30, 4)]
    assert {(30, 4), (30, 40)} <= {*corners_of(deep)} & {*corners_of(shallow)}


def test_a_house_may_reach_further_back_on_one_side():
    (shape,) = footprints([house(0, 0, 50, 40)])
    assert corners_of(shape) == [(30, 0), (30, 40), (15, 40), (15, 50), (0, 50), (0, 0)]


def test_a_house_behind_another_has_its_back_wall():
    shapes = footprints([house(0, 0, 40, 40), house(0, 40, 64, 64), house(1, 0, 50, 50)])
    assert shapely.coverage_is_valid(shapes)
    assert (30, 40) in corners_of(shapes[2])
    assert overlap(np.array(shapes)) == 0


def test_a_wall_is_common_as_far_as_both_houses_reach():
    first, second = house(0, 0, 50, 50), house(1, 4, 40, 40)
    (common,) = common_walls([first, second])
    assert (common.wall, common.start, common.stop) == (WALLS[1], 4, 40)
    assert common.houses == (first, second)
    assert not list(common_walls([house(0, 0, 20, 20), house(1, 20, 40, 40)]))


@pytest.mark.parametrize("piece", [SQUARE, SKEWED], ids=["square", "skewed"])
def test_the_houses_of_a_block_are_a_coverage_inside_of_it(piece):
    for seed in range(15):
        block = draw_block(piece, np.random.default_rng(seed))
        shapes = np.array(footprints(block.houses))
        assert shapely.is_valid(shapes).all()
        assert shapely.coverage_is_valid(shapes)
        assert overlap(shapes) == 0
        assert shapely.contains(polygon_of(piece).buffer(1e-6), shapes).all()


def test_a_house_on_the_corner_has_a_wall_in_common_with_both_rows():
    rng = np.random.default_rng(0)
    after, *_, before = rows._rows(SQUARE, [0] * 4, [True] * 4, rng)
    corner = rows._corner_house(before, after, LOOK, rng)
    (start, _), (stop, _) = after.ends[0], before.ends[1]
    first = rows._house(after.wall(start), after.wall(start + 30), 0, (30, 30), LOOK)
    last = rows._house(before.wall(stop - 30), before.wall(stop), 2, (24, 24), LOOK)
    shapes = footprints([corner, first, last])
    assert shapely.coverage_is_valid(shapes)
    assert shapely.union_all(shapes).geom_type == "Polygon"
    assert overlap(np.array(shapes)) == 0
    corners = {*corners_of(shapes[0])}
    assert corners == {
        (0, 0), (before.depth, 0), (before.depth, 30), (before.depth, after.depth),
        (0, after.depth), (2, after.depth), (24, after.depth),
    }  # fmt: skip


def test_plots_follow_each_other_wall_by_wall_and_some_have_no_house():
    plots = list(chain.from_iterable(
        draw_block(SQUARE, np.random.default_rng(seed)).plots for seed in range(12)
    ))  # fmt: skip
    joined = np.mean([one.right == other.left for one, other in pairwise(plots)])
    assert joined > 0.6
    assert 0.03 < np.mean([not plot.houses for plot in plots]) < 0.3
    assert {1, 2} <= {len(plot.houses) for plot in plots}


def test_a_block_without_room_for_a_courtyard_has_no_rows():
    lot = [Corner(0, 0, 9), Corner(90, 0, 9), Corner(90, 60, 9), Corner(0, 60, 9)]
    assert draw_block(lot, np.random.default_rng(0)) is None
