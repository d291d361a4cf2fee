"""geofcn.polygons.shared_walls: a wall in common is cleaned once, and stays one."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from touching_houses import components, expected_walls

from geofcn.polygons import shared_walls
from geofcn.polygons.chains import find_chains
from geofcn.polygons.convert import to_shapely
from geofcn.polygons.groups import HouseGroups, concatenate, group_houses, take
from geofcn.polygons.orthogonal_walls import square_chains
from geofcn.polygons.shared_walls import regularize_groups, simplify_chains
from geofcn.tracing.instances import WalledBand
from geofcn.tracing.walls import WalledSweep


def touching(label):
    """The houses of a mask with numbers that share walls, and their groups."""
    sweep, walls = WalledSweep(label.shape[1]), expected_walls(label)
    swept = [sweep.push(WalledBand(label > 0, None, *walls)), sweep.finish()]
    groups = list(group_houses([concatenate(swept)]))
    if not groups:
        return concatenate(swept), np.zeros(0, int)
    (found,) = groups
    walled = np.flatnonzero(found.group >= 0)
    return take(found.houses, walled), found.group[walled]


def simplify_walls(houses, group, tolerance):
    return regularize_groups(HouseGroups(houses, group), "simplify", tolerance)


def square_walls(houses, group, tolerance):
    return regularize_groups(HouseGroups(houses, group), "square", tolerance)


def terrace(angle: float, houses=4, size=200) -> np.ndarray:
    """A row of houses of 24 x 40 pixels, turned by an angle in degrees."""
    row, column = np.indices((size, size)) - size / 2
    turn = np.radians(angle)
    along = np.cos(turn) * column + np.sin(turn) * row
    across = np.cos(turn) * row - np.sin(turn) * column
    number = np.floor(along / 24 + houses / 2).astype(int)
    inside = (number >= 0) & (number < houses) & (np.abs(across) < 20)
    return np.where(inside, number + 1, 0)


def assert_coverage(polygons, group):
    assert shapely.is_valid(polygons).all()
    for number in np.unique(group):
        assert shapely.coverage_is_valid(polygons[group == number])


@st.composite
def towns(draw) -> np.ndarray:
    """Ragged houses that touch in all ways."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    coarse = random.integers(0, 4, draw(st.tuples(st.integers(2, 6), st.integers(2, 6))))
    values = np.kron(coarse, np.ones((draw(st.integers(2, 6)),) * 2, int))
    noise = random.random(values.shape) < draw(st.floats(0, 0.1))
    values[noise] = random.integers(0, 4, noise.sum())
    label = np.zeros(values.shape, int)
    for value in range(1, 4):
        found = components(values == value)
        label[found > 0] = found[found > 0] + label.max()
    return label


def test_a_wall_is_one_chain_of_two_rings():
    chains = find_chains(*touching(np.array([[1, 1, 2], [1, 1, 2]])))
    assert len(chains.first) - 1 == 3  # the outline of each house, and the wall
    wall = np.flatnonzero(np.bincount(chains.chain) == 2)
    assert sorted(chains.is_reversed[chains.chain == wall]) == [False, True]


@settings(max_examples=30)
@given(towns())
def test_chains_make_the_houses_again(label):
    houses, group = touching(label)
    polygons = find_chains(houses, group).polygons()
    expected = shapely.normalize(shapely.simplify(to_shapely(houses.polygons), 0))
    assert shapely.equals_exact(shapely.normalize(shapely.simplify(polygons, 0)), expected).all()
    assert_coverage(polygons, group)


def test_a_terrace_is_simplified_with_straight_common_walls():
    houses, group = touching(terrace(20))
    polygons, status = simplify_walls(houses, group, 1.5)
    assert len(polygons) == 4 and set(status) == {"simplified"}
    assert_coverage(polygons, group)
    assert shapely.get_num_coordinates(polygons).max() <= 8
    edges = shapely.intersection(polygons[:-1], polygons[1:])
    assert np.allclose(np.sort(shapely.length(edges)), 40, atol=2.5)


def test_a_house_within_another_shares_its_ring():
    label = np.ones((30, 30), int)
    label[10:20, 8:20] = 2
    polygons, _ = simplify_walls(*touching(label), 1.5)
    assert_coverage(polygons, np.zeros(2, int))
    assert shapely.area(polygons).sum() == 900


def corners(polygon) -> np.ndarray:
    """The angles of a polygon at its vertices, in degrees from a right angle or a straight line."""
    steps = np.diff(polygon.exterior.coords, axis=0)
    angles = np.degrees(np.arctan2(*steps.T))
    return np.abs((np.diff(angles, append=angles[0]) + 45) % 90 - 45)


@pytest.mark.parametrize("angle", [0, 7, 20, 45])
def test_a_terrace_is_squared_with_one_front(angle):
    houses, group = touching(terrace(angle))
    polygons, status = square_walls(houses, group, 1.5)
    assert len(polygons) == 4 and set(status) == {"squared"}
    assert_coverage(polygons, group)
    assert max(corners(polygon).max() for polygon in polygons) < 1e-6
    whole = shapely.simplify(shapely.union_all(polygons), 1e-6)
    assert len(whole.exterior.coords) == 5
    assert np.allclose(shapely.area(polygons), houses.polygons.pixels, rtol=0.02)


@settings(max_examples=40)
@given(towns(), st.sampled_from([0.5, 1.5, 4]), st.sampled_from(["simplify", "square"]))
def test_cleaned_groups_are_coverages(label, tolerance, method):
    houses, group = touching(label)
    polygons, status = regularize_groups(HouseGroups(houses, group), method, tolerance)
    assert_coverage(polygons, group)
    assert set(status) <= {"raw", "simplified", "squared"}


@settings(max_examples=40)
@given(towns(), st.sampled_from(["simplify", "square"]))
def test_houses_beside_some_that_would_vanish_are_looked_at_as_well(label, method):
    """Two houses of a pixel each have no area once they are simplified."""
    both = np.pad(label, ((0, 0), (0, 5)))
    both[0, -2:] = label.max() + 1 + np.arange(2)
    houses, group = touching(both)
    cleaned, _ = regularize_groups(HouseGroups(houses, group), method, 4)
    assert_coverage(cleaned, group)


@settings(max_examples=30)
@given(towns(), st.sampled_from([1.5, 4]), st.integers(0, 2**32 - 1))
def test_houses_differ_by_no_more_than_what_is_removed_and_swept(label, tolerance, seed):
    """GEOS is asked for the area in common where this does not settle it only."""
    houses, group = touching(label)
    if not len(group):
        return
    chains, raw = find_chains(houses, group), to_shapely(houses.polygons)
    stays = simplify_chains(chains, raw, tolerance).stays
    removed = shared_walls._removed(chains, stays)
    simple = chains.select(stays).polygons()
    assert (differing(raw, simple) <= removed + 1e-6).all()
    squared = square_chains(chains, stays, tolerance)
    is_moved = squared.movable & (np.random.default_rng(seed).random(len(squared.movable)) < 0.8)
    moved = squared.at(is_moved)
    swept = squared.chains.sums_of_houses(squared.swept(is_moved))
    rings = np.bincount(moved.house[moved.ring_sizes() < 3], minlength=len(raw)) > 0
    if not rings.any():
        polygons = moved.polygons()
        sound = shapely.is_valid(polygons)
        assert (differing(raw, polygons) <= removed + swept + 1e-6)[sound].all()


def differing(first, second) -> np.ndarray:
    """Areas that are in one of two polygons only; of invalid ones too much or too little."""
    valid = shapely.is_valid(first) & shapely.is_valid(second)
    common = np.zeros(len(first), object)
    common[valid] = shapely.symmetric_difference(first[valid], second[valid])
    common[~valid] = shapely.Polygon()
    return shapely.area(common)


@settings(max_examples=20)
@given(towns(), st.sampled_from(["simplify", "square"]))
def test_a_group_does_not_depend_on_the_others(label, method):
    houses, group = touching(label)
    together, status = regularize_groups(HouseGroups(houses, group), method, 1.5)
    for number in np.unique(group):
        own = np.flatnonzero(group == number)
        groups = HouseGroups(take(houses, own), group[own])
        alone, own_status = regularize_groups(groups, method, 1.5)
        assert shapely.to_wkb(alone).tolist() == shapely.to_wkb(together[own]).tolist()
        assert own_status.tolist() == status[own].tolist()
