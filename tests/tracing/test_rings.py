"""Rings of finished outlines: linked, split where they touch themselves, closed, in order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofcn.tracing.column_sums import FIXED_POINT
from geofcn.tracing.rings import Polygons, assemble
from geofcn.tracing.segments import CORNER, ROW_SHIFT, Segments, mark_saddle

# Edges as ((column, row) of the tail, of the head), along their outlines.
PIXEL = [((1, 0), (0, 0)), ((0, 1), (1, 1))]
# # # #   One outline, which touches itself at (2, 2): the tails of its third and last edge.
# # . #
# # # .
TOUCHING = [
    ((3, 0), (0, 0)),
    ((0, 3), (2, 3)),
    ((2, 2), (1, 2)),
    ((1, 1), (2, 1)),
    ((2, 2), (3, 2)),
]


def corners_of(edges, column=0, row=0) -> np.ndarray:
    """Corners of edges, moved by (column, row)."""
    columns, rows = np.array(edges, CORNER).reshape(-1, 2).T
    return (rows + row << ROW_SHIFT) + columns + column


def outlines(polygons: Polygons) -> list[list[list[tuple[int, int]]]]:
    rings = [
        [tuple(corner) for corner in ring.tolist()]
        for ring in np.split(polygons.coords, polygons.rings[1:-1])
    ]
    bounds = zip(polygons.polygons[:-1], polygons.polygons[1:], strict=True)
    return [rings[first:last] for first, last in bounds]


def segments_of(*rings: np.ndarray, component=None) -> Segments:
    """A segment for each ring."""
    number = np.arange(len(rings))
    component = number if component is None else np.array(component)
    size = np.array([len(ring) for ring in rings])
    return Segments(np.concatenate(rings), size, number, component)


def totals_of(*pixels: int) -> np.ndarray:
    """(p, 4): the corners do not matter here; sums are 10 times the pixels."""
    return np.array([[0, count, 10 * count, count] for count in pixels], np.int64)


def test_a_pixel_begins_and_ends_at_its_upper_left_corner():
    polygons = assemble(segments_of(corners_of(PIXEL, 5, 7)), totals_of(1), np.int64)
    assert outlines(polygons) == [[[(5, 7), (5, 8), (6, 8), (6, 7), (5, 7)]]]
    assert polygons.coords.dtype == np.int32
    assert (polygons.pixels.tolist(), polygons.sums.tolist(), polygons.counts.tolist()) == (
        [1],
        [10],
        [1],
    )


def test_sums_of_floats_come_out_of_fixed_point():
    totals = np.array([[4, 1, FIXED_POINT // 4, 1]])
    polygons = assemble(segments_of(corners_of(PIXEL)), totals, np.float64)
    assert polygons.sums.dtype == np.float64
    assert polygons.sums.tolist() == [0.25]


def test_holes_follow_their_exterior_in_the_order_of_their_starts():
    frame = [((7, 0), (0, 0)), ((0, 3), (7, 3))]
    hole = [((0, 0), (1, 0)), ((1, 1), (0, 1))]
    left, right = corners_of(hole, 1, 1), corners_of(hole, 5, 1)
    segments = segments_of(right, corners_of(frame), left, component=[0, 0, 0])
    (rings,) = outlines(assemble(segments, totals_of(19), np.int64))
    assert [ring[0] for ring in rings] == [(0, 0), (1, 1), (5, 1)]
    assert rings[1] == [(1, 1), (2, 1), (2, 2), (1, 2), (1, 1)]


def test_polygons_come_by_last_row_then_first_column_then_start():
    tall = [((1, 0), (0, 0)), ((0, 3), (1, 3))]
    segments = segments_of(
        corners_of(PIXEL, 9, 2), corners_of(PIXEL, 4, 0), corners_of(tall, 6, 0),
        corners_of(PIXEL, 2, 2),
    )  # fmt: skip
    polygons = assemble(segments, totals_of(1, 2, 3, 4), np.int64)
    assert [rings[0][0] for rings in outlines(polygons)] == [(4, 0), (2, 2), (6, 0), (9, 2)]
    assert polygons.pixels.tolist() == [2, 4, 3, 1]
    assert polygons.sums.tolist() == [20, 40, 30, 10]


EXTERIOR = [(0, 0), (0, 3), (2, 3), (2, 2), (3, 2), (3, 0), (0, 0)]
HOLE = [(1, 1), (2, 1), (2, 2), (1, 2), (1, 1)]


@given(
    cuts=st.sets(st.integers(1, 4)),
    turn=st.integers(0, 4),
    order=st.permutations(range(6)),
)
def test_a_ring_that_touches_itself_is_split_however_it_is_cut_into_segments(cuts, turn, order):
    corners = corners_of(TOUCHING)
    corners[[4, 8]] = mark_saddle(corners[[4, 8]])
    edges = np.roll(corners.reshape(-1, 2), -2 * turn)
    pieces = np.split(edges, sorted(cuts))
    numbers = [number for number in order if number < len(pieces)]  # where each piece is stored
    place = np.argsort(numbers)
    successor = np.empty(len(pieces), np.int64)
    successor[numbers] = np.roll(numbers, -1)
    segments = Segments(
        np.concatenate([pieces[i].ravel() for i in place]),
        np.array([pieces[i].size for i in place]),
        successor,
        np.zeros(len(pieces), np.int64),
    )
    assert outlines(assemble(segments, totals_of(7), np.int64)) == [[EXTERIOR, HOLE]]


def test_a_saddle_of_two_components_is_left_alone():
    # Both corners are marked: while the pixels were open they might have become one component.
    pixels = [corners_of(PIXEL), corners_of(PIXEL, 1, 1)]
    pixels[0][3] = mark_saddle(pixels[0][3])
    pixels[1][1] = mark_saddle(pixels[1][1])
    polygons = assemble(segments_of(*pixels), totals_of(1, 1), np.int64)
    assert [len(rings) for rings in outlines(polygons)] == [1, 1]
    assert outlines(polygons)[1] == [[(1, 1), (1, 2), (2, 2), (2, 1), (1, 1)]]


@pytest.mark.parametrize(
    ("sum_type", "dtype"), [(None, "int64"), (np.int64, "int64"), (np.float64, "float64")]
)
def test_nothing_is_of_the_types_of_something(sum_type, dtype):
    nothing = assemble(segments_of(np.zeros(0, CORNER)), totals_of(), sum_type)
    assert len(nothing) == 0
    assert nothing.sums.dtype == dtype
    assert nothing.rings.tolist() == nothing.polygons.tolist() == [0]
    something = assemble(segments_of(corners_of(PIXEL)), totals_of(1), sum_type)
    for name in ("coords", "rings", "polygons", "pixels", "sums", "counts"):
        assert getattr(nothing, name).dtype == getattr(something, name).dtype, name


def test_parts_are_joined_in_order():
    parts = [
        assemble(segments_of(corners_of(PIXEL, column)), totals_of(pixels), np.int64)
        for column, pixels in ((5, 1), (3, 2))
    ]
    parts.insert(1, Polygons.nothing(np.int64))
    polygons = Polygons.concatenate(parts)
    assert len(polygons) == 2
    assert outlines(polygons) == [*outlines(parts[0]), *outlines(parts[2])]
    assert polygons.pixels.tolist() == [1, 2]
    assert polygons.sums.tolist() == [10, 20]
    assert Polygons.concatenate(parts[:1]) is parts[0]


def test_parts_have_about_so_many_corners_and_no_polygon_is_divided():
    # Three pixels of 5 corners each; the second one has a hole, of 5 more.
    sizes, polygons = np.full(4, 5), np.array([0, 1, 3, 4])
    rings, numbers = np.append(0, np.cumsum(sizes)), np.arange(3)
    whole = Polygons(np.arange(40).reshape(-1, 2), rings, polygons, numbers, numbers, numbers)
    parts = list(whole.parts(10))
    assert [part.pixels.tolist() for part in parts] == [[0, 1], [2]]
    assert [part.rings.tolist() for part in parts] == [[0, 5, 10, 15], [0, 5]]
    assert [part.polygons.tolist() for part in parts] == [[0, 1, 3], [0, 1]]
    assert [len(part) for part in whole.parts(1)] == [1, 1, 1]
    assert outlines(Polygons.concatenate(parts)) == outlines(whole)
    assert not list(Polygons.nothing(None).parts(10))
