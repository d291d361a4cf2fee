"""geofcn.synthetic.countryside: cells without gaps, houses in the right number and apart."""

from itertools import product

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from geofcn.synthetic import countryside


def footprints(size: int, seed: int) -> np.ndarray:
    cells = range(countryside.count_of_cells(size))
    return np.array(
        [house for i in cells for j in cells for house in countryside.cell(size, seed, i, j).houses]
    )


@pytest.mark.parametrize(("size", "seed"), [(1024, 0), (1024, 1), (1500, 2), (2100, 3)])
def test_houses_take_8_to_10_percent_of_the_scene(size, seed):
    assert 0.08 < shapely.area(footprints(size, seed)).sum() / size**2 < 0.10


@pytest.mark.parametrize("size", [256, 257, 333, 512])
@pytest.mark.parametrize("seed", range(3))
def test_houses_take_5_to_15_percent_of_a_small_scene(size, seed):
    assert 0.05 < shapely.area(footprints(size, seed)).sum() / size**2 < 0.15


@pytest.mark.parametrize("seed", range(12))
def test_the_least_scene_has_a_house(seed):
    assert len(footprints(128, seed))


def test_footprints_are_valid_disjoint_and_inside_the_ground():
    houses = footprints(2100, 3)
    assert len(houses) > 60
    assert shapely.is_valid(houses).all()
    first, second = shapely.STRtree(houses).query(houses, predicate="intersects")
    np.testing.assert_array_equal(first, second)
    ground = shapely.Polygon(countryside.ground_corners(2100))
    assert shapely.contains_properly(ground, houses).all()


def test_footprints_lie_in_many_directions():
    edges = [np.diff(house.exterior.coords, axis=0)[0] for house in footprints(2100, 3)]
    assert np.ptp([np.degrees(np.arctan2(*edge)) % 90 for edge in edges]) > 45


def test_cells_cover_the_world_without_overlap():
    quads = [countryside._plan(2100, 7, i, j).quad for i in range(4) for j in range(4)]
    whole = shapely.union_all(quads)
    assert whole.geom_type == "Polygon"
    assert not whole.interiors
    assert sum(quad.area for quad in quads) == pytest.approx(whole.area)


def test_roads_of_neighbours_meet_on_their_common_edge():
    west, east = (countryside._plan(2100, 7, 0, col) for col in (0, 1))
    north, south = (countryside._plan(2100, 7, row, 0) for row in (0, 1))
    for number, before, behind in ((0, west, east), (1, north, south)):
        first, second = before.roads[number][0], behind.roads[number][0]
        np.testing.assert_allclose(first.coords[-2], second.coords[1])
        np.testing.assert_allclose(
            first.coords[-1], 2 * np.array(second.coords[1]) - second.coords[0]
        )


def test_parcels_fill_the_cell_and_are_field_sized():
    plan = countryside._plan(2100, 7, 0, 0)
    parcels = countryside._parcels(plan, np.random.default_rng(0))
    assert sum(parcel.area for parcel in parcels) == pytest.approx(plan.quad.area)
    assert max(parcel.area for parcel in parcels) < 220_000


def test_cells_outside_the_scene_have_fields_and_no_houses():
    outside = countryside.cell(1024, 0, -1, 0)
    assert not outside.houses
    assert outside.surfaces


def test_the_ground_is_convex_and_touches_all_four_sides():
    ground = shapely.Polygon(countryside.ground_corners(1000))
    assert ground.bounds == (0, 0, 1000, 1000)
    assert ground.equals(ground.convex_hull)


@given(st.integers(128, 200_000))
def test_cells_are_as_many_as_fit_and_make_the_scene(size):
    count, side = countryside.count_of_cells(size), countryside.pitch(size)
    assert side >= countryside.LEAST_CELL
    assert count * side == pytest.approx(max(size, countryside.LEAST_CELL))
    assert count == 1 or size / (count + 1) < countryside.LEAST_CELL


def test_cells_near_a_rectangle_are_its_own_and_on_a_corner_all_four():
    def near(corner: int) -> list[countryside.Cell]:
        return list(countryside.cells_near(4200, 3, corner - 5, corner - 5, corner + 5, corner + 5))

    def at(row: int, col: int) -> countryside.Cell:
        return countryside.cell(4200, 3, row, col)

    inside, four = near(1575), near(2100)
    assert [id(cell) for cell in inside] == [id(at(1, 1))]
    assert [id(cell) for cell in four] == [id(at(*place)) for place in product((1, 2), (1, 2))]


def test_a_cell_reaches_no_further_than_cells_near_reckons():
    cell = countryside.cell(2100, 3, 0, 0)
    boxes = np.concatenate([cell.bounds, [tree.bounds for tree in cell.trees]])
    margin = countryside.STRAY * 1050 + 130
    assert boxes.min() > -margin
    assert boxes.max() < 1050 + margin
