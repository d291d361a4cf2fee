"""Segments of outlines and their store: what is put in comes out by components, renumbered."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from geofcn.tracing.segments import (
    COORDINATE,
    CORNER,
    ROW_SHIFT,
    Frontier,
    Segments,
    SegmentStore,
    is_saddle,
    mark_saddle,
    unmark_saddle,
)

rows_and_columns = st.lists(st.tuples(*[st.integers(0, 2**31 - 1)] * 2), min_size=1)


def integers(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


# --- corners ---


@given(rows_and_columns)
def test_a_corner_lies_in_memory_as_column_and_row(pairs):
    rows, columns = np.array(pairs, CORNER).T
    corners = rows << ROW_SHIFT | columns
    assert corners.view(COORDINATE).reshape(-1, 2).tolist() == [[col, row] for row, col in pairs]
    assert (corners >> ROW_SHIFT == rows).all()


@given(rows_and_columns)
def test_corners_sort_by_row_then_column(pairs):
    rows, columns = np.array(pairs, CORNER).T
    order = np.argsort(rows << ROW_SHIFT | columns, kind="stable")
    assert [pairs[i] for i in order] == sorted(pairs)


@given(rows_and_columns)
def test_corners_of_saddles_can_be_told_and_unmarked(pairs):
    rows, columns = np.array(pairs, CORNER).T
    corners = rows << ROW_SHIFT | columns
    marked = mark_saddle(corners)
    assert is_saddle(marked).all()
    assert not is_saddle(corners).any()
    assert (unmark_saddle(marked) == corners).all()


# --- segments ---


def test_chosen_segments_are_renumbered():
    segments = Segments(
        corners=integers(10, 11, 20, 21, 22, 23, 30, 31, 40, 41),
        size=integers(2, 4, 2, 2),
        successor=integers(0, 3, 2, 1),
        component=integers(7, 8, 7, 8),
    )
    chosen = segments.select(np.array([False, True, False, True]))
    assert chosen.corners.tolist() == [20, 21, 22, 23, 40, 41]
    assert chosen.size.tolist() == [4, 2]
    assert chosen.successor.tolist() == [1, 0]
    assert chosen.component.tolist() == [8, 8]


# --- the store ---


def frontier(first, last, component) -> Frontier:
    """A frontier that knows chains and components; its other arrays do not matter to the store."""
    return Frontier(
        crossing=integers(*range(2 * len(first))),
        chain=integers(*range(2 * len(first))),
        first=integers(*first),
        last=integers(*last),
        owner=np.zeros(len(first), np.int64),
        component=integers(*component),
        totals=np.zeros((len(component), 4), np.int64),
    )


def no_links() -> tuple[np.ndarray, np.ndarray]:
    return integers(), integers()


def test_new_components_are_numbered_on():
    store = SegmentStore()
    assert store.add_components(integers(), integers(0, 1, 0)).tolist() == [0, 1, 0]
    assert store.components == 2
    # Component 1 is known, and united with nothing; labels 1 and 2 are new.
    assert store.add_components(integers(1), integers(0, 1, 2, 0)).tolist() == [1, 2, 3, 1]
    assert store.components == 4


def test_what_is_finished_leaves_and_the_rest_is_renumbered():
    store = SegmentStore()
    store.add_components(integers(), integers(0, 1, 2))
    store.add_segments(
        integers(10, 11, 20, 21, 22, 23, 30, 31, 12, 13),
        integers(2, 4, 2, 2),
        integers(0, 1, 2, 0),
        (integers(0, 3), integers(3, 0)),
    )
    assert (store.segments, store.held, store.ripe) == (4, 10, 0)
    totals = np.array([[2, 5, 50, 5], [4, 9, 90, 9]])
    store.finish_components(integers(2, 0), totals)
    assert store.ripe == 6

    segments, taken, left = store.take_finished(frontier([1], [1], [1]))
    assert taken.tolist() == totals.tolist()
    assert segments.corners.tolist() == [10, 11, 30, 31, 12, 13]
    assert segments.size.tolist() == [2, 2, 2]
    assert segments.successor.tolist() == [2, 1, 0]
    assert segments.component.tolist() == [1, 0, 1], "in the order of their totals"
    assert (left.first.tolist(), left.last.tolist(), left.component.tolist()) == ([0], [0], [0])
    assert (store.segments, store.components, store.held, store.ripe) == (1, 1, 4, 0)

    # What is left is finished later, with what is linked to it.
    store.add_components(left.component, integers(0))
    store.add_segments(integers(24, 25), integers(2), integers(0), (integers(0, 1), integers(1, 0)))
    store.finish_components(integers(0), np.array([[6, 8, 0, 0]]))
    segments, taken, _ = store.take_finished(frontier([], [], []))
    assert segments.corners.tolist() == [20, 21, 22, 23, 24, 25]
    assert segments.successor.tolist() == [1, 0]
    assert taken.tolist() == [[6, 8, 0, 0]]
    assert store.held == store.segments == 0


def test_the_segments_of_united_components_leave_together():
    store = SegmentStore()
    store.add_components(integers(), integers(0, 1, 2))
    corners, size = integers(10, 11, 20, 21, 30, 31), integers(2, 2, 2)
    store.add_segments(corners, size, integers(0, 1, 2), no_links())
    # The frontier knows them as 0, 1 and 2; the last is one with the first.
    assert store.add_components(integers(0, 1, 2), integers(0, 1, 0)).tolist() == [0, 1, 0]
    store.finish_components(integers(0), np.array([[4, 2, 0, 0]]))
    segments, _, _ = store.take_finished(frontier([1], [1], [1]))
    assert segments.corners.tolist() == [10, 11, 30, 31]
    assert segments.component.tolist() == [0, 0]


def test_nothing_in_nothing_out():
    store = SegmentStore()
    store.finish_components(integers(), np.zeros((0, 4), np.int64))
    store.add_segments(np.zeros(0, CORNER), integers(), integers(), no_links())
    segments, totals, left = store.take_finished(Frontier.nothing())
    assert len(segments.corners) == len(segments.size) == len(totals) == len(left.first) == 0
    assert totals.shape == left.totals.shape == (0, 4)
