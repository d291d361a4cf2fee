"""geofcn.synthetic.pieces: quadrilaterals cut in two and drawn in, without losing ground."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofcn.synthetic.pieces import (
    Corner,
    cut,
    draw_in,
    has_all_sides,
    polygon_of,
    sides_of,
    turns_of,
)

TRAPEZIUM = [Corner(0, 0, 1), Corner(40, 0, 2), Corner(60, 30, 3), Corner(0, 30, 4)]
shares = st.floats(0.05, 0.95)


def test_sides_go_clockwise_with_the_inside_on_their_right():
    sides = sides_of(TRAPEZIUM)
    assert [side.length for side in sides] == pytest.approx([40, math.hypot(20, 30), 60, 30])
    assert [side.street for side in sides] == [1, 2, 3, 4]
    assert all(side.edge.across(25, 15) > 0 for side in sides)


def test_turns_are_the_angles_outside_and_make_one_round():
    turns = turns_of(TRAPEZIUM)
    assert turns == pytest.approx(
        [math.pi / 2, math.atan2(30, 20), math.pi - math.atan2(30, 20), math.pi / 2]
    )
    assert sum(turns) == pytest.approx(2 * math.pi)


@given(st.integers(0, 3), shares, shares)
def test_a_cut_leaves_two_pieces_without_gap_or_overlap_and_keeps_the_streets(first, start, stop):
    parts = cut(TRAPEZIUM, first, (start, stop), 9)
    whole = polygon_of(TRAPEZIUM)
    assert sum(polygon_of(part).area for part in parts) == pytest.approx(whole.area)
    for part in parts:
        assert polygon_of(part).difference(whole.buffer(1e-6)).is_empty
        assert sum(corner.street == 9 for corner in part) == 1
        assert all(turn < math.pi for turn in turns_of(part))


def test_a_square_drawn_in_loses_a_strip_along_each_side():
    square = [Corner(0, 0, 1), Corner(50, 0, 1), Corner(50, 50, 1), Corner(0, 50, 1)]
    inner = draw_in(square, [5, 10, 15, 20])
    assert polygon_of(inner).equals_exact(polygon_of([
        Corner(20, 5, 1), Corner(40, 5, 1), Corner(40, 35, 1), Corner(20, 35, 1),
    ]), 1e-9)  # fmt: skip
    assert has_all_sides(inner, square)


@pytest.mark.parametrize("depth", [20, 24, 26, 40])
def test_a_piece_drawn_in_too_far_is_told(depth):
    square = [Corner(0, 0, 1), Corner(50, 0, 1), Corner(50, 50, 1), Corner(0, 50, 1)]
    assert not has_all_sides(draw_in(square, [depth] * 4), square)
