"""geofcn.synthetic.town: cells without gaps, houses of their own that touch their neighbours."""

from itertools import product

import numpy as np
import pytest
import shapely

from geofcn.synthetic import render, town
from geofcn.synthetic.countryside import ground_corners
from geofcn.synthetic.pieces import polygon_of, turns_of
from geofcn.synthetic.scene import SyntheticScene

SIZE = 900


@pytest.fixture(scope="module")
def houses() -> np.ndarray:
    return np.array(list(SyntheticScene(SIZE, 3, dense=True).footprints()))


@pytest.fixture(scope="module")
def touching(houses) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of houses that touch."""
    first, second = shapely.STRtree(houses).query(houses, predicate="intersects")
    return first[first < second], second[first < second]


def test_most_houses_have_a_wall_in_common_with_a_neighbour(houses, touching):
    common = shapely.intersection(houses[touching[0]], houses[touching[1]])
    walled = shapely.length(common) > 5
    assert np.unique(np.concatenate(touching)[np.tile(walled, 2)]).size > 0.9 * len(houses)
    assert 130 < len(houses) < 300


def test_houses_do_not_overlap_by_any_area(houses, touching):
    common = shapely.intersection(houses[touching[0]], houses[touching[1]])
    assert shapely.area(common).sum() == 0


def test_houses_are_a_valid_coverage(houses):
    assert shapely.is_valid(houses).all()
    assert shapely.coverage_is_valid(houses)


def test_houses_lie_inside_the_ground_and_take_a_third_of_it(houses):
    ground = shapely.Polygon(ground_corners(SIZE))
    assert shapely.contains_properly(ground, houses).all()
    assert 0.28 < shapely.area(houses).sum() / ground.area < 0.5


def test_houses_are_of_a_town_s_size(houses):
    metres = shapely.area(houses) * 0.2**2
    assert metres.min() > 10
    assert 45 < np.median(metres) < 80


def test_cells_are_convex_and_cover_the_world_without_overlap():
    cells = [town._ground(2600, (0, 0), 7, *place) for place in product(range(5), range(5))]
    assert all(max(turns_of(ground)) < np.pi for ground in cells)
    grounds = [polygon_of(ground) for ground in cells]
    assert sum(ground.area for ground in grounds) == pytest.approx(shapely.union_all(grounds).area)
    assert not shapely.union_all(grounds).interiors


def test_a_cell_reaches_no_further_than_cells_near_reckons():
    cell = town.cell(2600, 3, 2, 2)
    boxes = np.concatenate([cell.bounds, [tree.bounds for tree in cell.trees]])
    margin = (town.STRAY + town.WARP) * 520 + 40
    assert boxes.min() > 2 * 520 - margin
    assert boxes.max() < 3 * 520 + margin


def test_villas_stand_at_the_edge_of_a_large_town_alone():
    places = [*product(range(4), range(4))]
    villas = {place for place in places if town._plan(2048, (0, 0), 4, *place).has_villas}
    assert 2 <= len(villas) <= 9
    assert all({0, 3} & {*place} for place in villas)


@pytest.mark.parametrize("seed", range(3))
def test_the_least_scene_has_two_neighbours(seed):
    houses = list(SyntheticScene(128, seed, dense=True).footprints())
    assert len(houses) >= 2
    assert shapely.union_all(houses).area == pytest.approx(sum(house.area for house in houses))
    assert any(
        shapely.length(one.intersection(other)) > 5
        for one in houses
        for other in houses
        if one is not other
    )


def test_every_material_has_an_appearance_and_there_are_distractors():
    cell = town.cell(2600, 3, 1, 1)
    used = {thing.material for thing in (*cell.surfaces, *cell.trees)}
    assert used <= set(render.APPEARANCES)
    assert used >= {"cobbles", "asphalt", "kerb", "party wall", "chimney", "glass", "leaves"}
