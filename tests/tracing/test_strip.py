"""One strip: edges, cycles, components and chains, by hand and against plain loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofcn.tracing.column_sums import column_sums
from geofcn.tracing.permutations import Cycles
from geofcn.tracing.segments import ROW_SHIFT, Frontier, is_saddle, unmark_saddle
from geofcn.tracing.strip import (
    Parts,
    Strip,
    changes,
    corners_of,
    find_components,
    find_edges,
    find_verticals,
    mark_saddles,
    sum_by_component,
)


def drawn(*rows: str) -> np.ndarray:
    return np.array([[pixel == "#" for pixel in row] for row in rows], np.int8)


def opened(*rows: str) -> Strip:
    """The strip of the rows of a drawing, with nothing above it."""
    pixels = drawn(*rows)
    return Strip.open(np.zeros(pixels.shape[1], np.int8), pixels, Frontier.nothing())


def below(above: str, *rows: str) -> Strip:
    """The strip of some rows below a row that is one run of foreground, the first of the mask.

    That run's outline is chain 0 and segment 0, of component 0: its two corners lie above.
    """
    (run,) = drawn(above)
    crossing, none = changes(run), np.zeros(1, np.int64)
    pixels = int(run.sum())
    totals = np.array([[2, pixels, 10 * pixels, pixels]])
    frontier = Frontier(crossing, np.zeros(2, np.int64), none, none, none, none, totals)
    return Strip.open(run, drawn(*rows), frontier)


def cycles_of(strip: Strip) -> Cycles:
    return Cycles.find(find_verticals(strip).successor)


def labels_of(strip: Strip) -> np.ndarray:
    return find_components(strip, find_verticals(strip), cycles_of(strip))


@st.composite
def masks(draw) -> np.ndarray:
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    density = draw(st.floats(0.1, 0.9))
    return np.random.default_rng(draw(st.integers(0, 10**6))).random(shape) < density


def closed(mask: np.ndarray) -> Strip:
    """The strip of a whole mask, with a blank row at its end."""
    pixels = np.pad(mask, ((0, 1), (0, 0))).astype(np.int8)
    return Strip.open(np.zeros(mask.shape[1], np.int8), pixels, Frontier.nothing())


# --- edges ---


def test_edges_by_hand():
    edges = opened("#..", ".#.", ".##").edges
    assert len(edges) == 4
    assert edges.line.tolist() == [0, 1, 1, 2]
    assert edges.east.tolist() == [False, True, False, False]
    assert edges.tail.tolist() == [1, 0, 2, 3]
    assert edges.head.tolist() == [0, 1, 1, 2]
    assert edges.saddle.tolist() == [1]


@given(masks(), st.data())
def test_edges_lie_where_foreground_and_background_meet(mask, data):
    above = np.array([data.draw(st.booleans()) for _ in mask[0]])
    edges = find_edges(above.astype(np.int8), mask.astype(np.int8))
    rows = np.vstack([above, mask]).astype(int)
    difference = np.zeros(mask.shape, int)
    for line, left, right, east in zip(
        edges.line, edges.left, edges.right, edges.east, strict=True
    ):
        assert left < right
        difference[line, left:right] += 1 if east else -1
    assert (difference == rows[:-1] - rows[1:]).all()
    # Edges are as long as can be, in reading order.
    places = list(zip(edges.line.tolist(), edges.left.tolist(), strict=True))
    assert places == sorted(places)
    ends = list(zip(edges.line.tolist(), edges.right.tolist(), strict=True))
    meet = [edge for edge in range(len(edges) - 1) if ends[edge] == places[edge + 1]]
    assert edges.saddle.tolist() == meet
    assert (edges.east[edges.saddle] != edges.east[edges.saddle + 1]).all()


@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_changes_bound_the_runs(row):
    runs = changes(np.array(row, np.int8)).reshape(-1, 2)
    covered = np.zeros(len(row), int)
    for begin, end in runs:
        covered[begin:end] += 1
    assert covered.tolist() == [int(pixel) for pixel in row]
    assert (runs[1:, 0] > runs[:-1, 1]).all(), "a run is as long as can be"


# --- items and cycles ---


def test_gates_come_first_then_chains_then_edges():
    strip = below("###", "#.#")
    assert (strip.gates, strip.first_edge, len(strip)) == (2, 3, 4)
    assert strip.border.tolist() == [0, 1, 2, 3]
    assert strip.tail.tolist() == [0, 2, 0, 1]
    assert strip.head.tolist() == [1, 3, 0, 2]
    assert strip.line.tolist() == [1, 1, 0, 0]


def test_vertical_edges_by_hand():
    # Down column 0 from the chain to gate 0; up column 1 from gate 0 to the edge; down column 2
    # from the edge to gate 1; up column 3 from gate 1 to the chain.
    verticals = find_verticals(below("###", "#.#"))
    assert verticals.column.tolist() == [0, 1, 2, 3]
    assert verticals.top.tolist() == [-1, 0, 0, -1]
    assert verticals.item.tolist() == [2, 3, 3, 2]
    assert verticals.successor.tolist() == [3, 2, 0, 1]


@pytest.mark.parametrize(
    ("rows", "cycles"),
    [(("#.", ".#", ".."), [[0, 1], [2, 3]]), ((".#", "#.", ".."), [[0, 2], [1, 3]])],
)
def test_pixels_that_touch_at_a_corner_have_an_outline_each(rows, cycles):
    outlines = cycles_of(opened(*rows))
    assert [part.tolist() for part in np.split(outlines.order, outlines.start[1:])] == cycles


@given(masks())
def test_a_head_leads_to_a_tail_in_the_same_column(mask):
    strip = Strip.open(np.zeros(mask.shape[1], np.int8), mask.astype(np.int8), Frontier.nothing())
    successor = find_verticals(strip).successor
    assert sorted(successor.tolist()) == list(range(len(strip)))
    assert (strip.head == strip.tail[successor]).all()
    assert (strip.line != strip.line[successor]).all()


# --- components ---


def test_a_hole_belongs_to_the_component_around_it():
    strip = opened("#####", "#...#", "#.#.#", "#...#", "#####", ".....")
    assert len(cycles_of(strip).start) == 3
    labels = labels_of(strip)
    assert labels.tolist() == [0, 0, 2], "the outside, its hole, the pixel within"


def test_a_hole_under_the_border_belongs_to_what_lies_above():
    strip = below("###", "#.#", "###", "...")
    assert labels_of(strip).tolist() == [0, 0, 0], "what was open, its chain's cycle, the hole"


def flood(mask: np.ndarray) -> list[int]:
    """The sizes of the 4-connected components, sorted."""
    left, sizes = set(zip(*(axis.tolist() for axis in np.nonzero(mask)), strict=True)), []
    while left:
        reached, size = [left.pop()], 0
        while reached:
            row, column = reached.pop()
            size += 1
            around = {(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)}
            reached += left & around
            left -= around
        sizes.append(size)
    return sorted(sizes)


@given(masks())
def test_components_are_those_of_a_flood(mask):
    strip = closed(mask)
    if not len(strip):
        assert not mask.any()
        return
    labels = labels_of(strip)
    totals = sum_by_component(strip, cycles_of(strip), labels, [])
    roots = labels == np.arange(len(labels))
    assert sorted(totals[roots, 1].tolist()) == flood(mask)
    assert (totals[~roots] == 0).all()
    assert totals[:, 0].sum() == 2 * len(strip.edges)


# --- sums ---


def test_sums_go_on_from_those_of_the_frontier():
    strip = below("###", "#.#")
    arguments = strip, cycles_of(strip), labels_of(strip)
    corners_and_pixels = sum_by_component(*arguments, [])[:, :2]
    assert corners_and_pixels.tolist() == [[4, 5], [0, 0]]
    values = column_sums(np.array([[5, 7, 9]], np.uint8))
    assert sum_by_component(*arguments, [values])[0].tolist() == [4, 5, 30 + 5 + 9, 3 + 2]
    valid = column_sums(np.array([[True, True, False]]))
    assert sum_by_component(*arguments, [values, valid])[0].tolist() == [4, 5, 44, 3 + 1]


# --- corners and saddles ---


def test_corners_are_tail_and_head_of_each_edge():
    strip = opened("##", "#.")
    corners = corners_of(strip.edges, 100)
    assert (corners >> ROW_SHIFT).tolist() == [[100, 100], [101, 101]]
    assert (corners - (corners >> ROW_SHIFT << ROW_SHIFT)).tolist() == [[2, 0], [1, 2]]


@pytest.mark.parametrize(
    ("rows", "end"), [(("#.", ".#"), 1), ((".#", "#."), 0)], ids=["heads meet", "tails meet"]
)
@pytest.mark.parametrize(
    ("labels", "is_open", "marked"),
    [
        ((0, 0), (False, False), True),
        ((0, 1), (True, True), True),
        ((0, 1), (True, False), False),
        ((0, 1), (False, True), False),
        ((0, 1), (False, False), False),
    ],
)
def test_a_saddle_is_marked_if_its_pixels_are_or_may_become_one_component(
    rows, end, labels, is_open, marked
):
    edges = opened(*rows).edges
    assert edges.saddle.tolist() == [1]
    plain = corners_of(edges, 0)
    corners = plain.copy()
    mark_saddles(corners, edges, np.array([labels[0], *labels]), np.array(is_open))
    expected = np.zeros((3, 2), bool)
    expected[1:, end] = marked
    assert (is_saddle(corners) == expected).all()
    assert (np.where(expected, unmark_saddle(corners), corners) == plain).all()
    assert len(set(plain[1:, end].tolist())) == 1, "both lie on one point"


# --- chains ---


def test_parts_and_chains_by_hand():
    # Gate 0, the edge (segment 1), gate 1, the chain from above (segment 0).
    strip = below("###", "#.#")
    parts = Parts.of(strip, cycles_of(strip), 1)
    assert parts.item.tolist() == [0, 3, 1, 2]
    assert parts.length.tolist() == [1, 1, 1, 1]
    assert parts.is_gate.tolist() == [True, False, True, False]
    assert parts.is_run.tolist() == [False, True, False, False]
    assert parts.follower.tolist() == [1, 2, 3, 0]
    assert parts.start.tolist() == [0]
    assert [segments.tolist() for segments in parts.links()] == [[], []]
    chain, first, last = parts.chains()
    # Chain 0 leads from gate 0 through segment 1 to gate 1, chain 1 through segment 0 back.
    assert chain.tolist() == [1, 0, 0, 1]
    assert first.tolist() == last.tolist() == [1, 0]


def test_a_chain_that_goes_on_without_a_gate_is_linked_to_the_new_segment():
    # The gate, the edge (segment 5), the chain from above (segment 0).
    strip = below("##", "#.")
    parts = Parts.of(strip, cycles_of(strip), 5)
    assert [segments.tolist() for segments in parts.links()] == [[5], [0]]
    chain, first, last = parts.chains()
    assert (chain.tolist(), first.tolist(), last.tolist()) == ([0, 0], [5], [0])


def test_an_outline_that_is_finished_is_a_segment_linked_to_nothing():
    strip = opened(".#.", "...")
    parts = Parts.of(strip, cycles_of(strip), 0)
    assert parts.is_run.tolist() == [True]
    assert parts.length.tolist() == [2]
    assert [segments.tolist() for segments in parts.links()] == [[], []]
    assert [array.tolist() for array in parts.chains()] == [[], [], []]


def test_an_outline_that_closes_is_linked_both_ways():
    strip = below("##", "..")
    parts = Parts.of(strip, cycles_of(strip), 1)
    after = dict(zip(*(segments.tolist() for segments in parts.links()), strict=True))
    assert after == {0: 1, 1: 0}
