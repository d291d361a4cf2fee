"""Overlaps of two sets of polygons."""

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import Point, box

from geofcn.evaluation import overlaps as module
from geofcn.evaluation.overlaps import overlaps


def test_shares_by_hand():
    """Of two overlapping houses of 4 and 12 m2, 3 m2 are common."""
    found = overlaps(np.array([box(0, 0, 4, 1)]), np.array([box(1, 0, 5, 3), box(9, 9, 10, 10)]), 1)
    assert (found.p.tolist(), found.t.tolist()) == ([0], [0])
    assert (found.iou[0], found.p_share[0], found.t_share[0]) == (3 / 13, 3 / 4, 3 / 12)


def test_what_neither_matches_nor_holds_is_left_out():
    found = overlaps(np.array([box(0, 0, 4, 1)]), np.array([box(2, 0, 6, 1)]), 0.5)
    assert len(found.p) == 0
    assert len(overlaps(np.zeros(0, object), np.array([box(0, 0, 1, 1)]), 0.5).p) == 0


@pytest.fixture
def comb():
    """A block of 120 houses that became one, with courtyards, and the houses, 1 m off."""
    columns = [box(10 * x, 0, 10 * x + 8, 79) for x in range(15)]
    rows = [box(0, 10 * y, 149, 10 * y + 3) for y in range(8)]
    houses = [box(10 * x + 1, 10 * y, 10 * x + 9, 10 * y + 8) for x in range(15) for y in range(8)]
    return shapely.union_all(columns + rows), np.array(houses, object)


def test_a_large_polygon_is_looked_at_in_pieces_that_add_up(comb, monkeypatch):
    block, houses = comb
    circle = Point(75, 40).buffer(60, quad_segs=300)
    large = np.array([block, circle, shapely.convex_hull(block)])
    whole = overlaps(large, houses, 0.5)
    monkeypatch.setattr(module, "PIECE", 16)
    pieces, owner = module._pieces(large)
    assert shapely.get_num_coordinates(pieces).max() <= 16
    assert np.bincount(owner, shapely.area(pieces)) == pytest.approx(shapely.area(large))
    parted = overlaps(large, houses, 0.5)
    assert (parted.p.tolist(), parted.t.tolist()) == (whole.p.tolist(), whole.t.tolist())
    for name in ("iou", "p_share", "t_share"):
        assert getattr(parted, name) == pytest.approx(getattr(whole, name), rel=1e-9)
    assert np.bincount(whole.p)[0] == 120


@given(st.integers(0, 2**32 - 1))
def test_pieces_are_few_and_cover_their_polygon_whatever_it_is(seed):
    random = np.random.default_rng(seed)
    angle = np.sort(random.random(200)) * 2 * np.pi
    radius = 1 + 30 * random.random(200)
    star = shapely.Polygon(np.column_stack([np.cos(angle), np.sin(angle)]) * radius[:, None])
    star = max(shapely.get_parts(shapely.make_valid(star)), key=lambda part: part.area)
    polygons = np.array([star, star.envelope])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PIECE", 32)
        pieces, owner = module._pieces(polygons)
    assert shapely.get_num_coordinates(pieces).max() <= 32
    assert np.bincount(owner, shapely.area(pieces)) == pytest.approx(shapely.area(polygons))
