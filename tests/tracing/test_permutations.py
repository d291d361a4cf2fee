"""Cycles, forests and ragged arrays against plain loops."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from geofcn.tracing.permutations import (
    Cycles,
    exchange,
    find_roots,
    followers,
    interleave,
    offsets,
    spans,
    stable_argsort,
    unite,
)

permutations = st.integers(1, 60).flatmap(lambda n: st.permutations(range(n)))


def walk(successor):
    """The cycles of a permutation, each from its least item on, in the order of these."""
    cycles, visited = [], set()
    for item in range(len(successor)):
        cycle = []
        while item not in visited:
            visited.add(item)
            cycle.append(item)
            item = successor[item]
        if cycle:
            cycles.append(cycle)
    return cycles


@given(permutations)
def test_cycles_are_those_of_a_walk(successor):
    cycles = Cycles.find(np.array(successor))
    expected = walk(successor)
    assert [part.tolist() for part in np.split(cycles.order, cycles.start[1:])] == expected
    assert all(cycles.of[item] == number for number, cycle in enumerate(expected) for item in cycle)


def test_no_items_have_no_cycles():
    cycles = Cycles.find(np.zeros(0, np.int64))
    assert len(cycles.order) == len(cycles.start) == len(cycles.of) == 0


@given(permutations)
def test_followers_go_round_each_cycle(successor):
    cycles = Cycles.find(np.array(successor))
    after = followers(cycles.start, len(successor))
    assert cycles.order[after].tolist() == [successor[item] for item in cycles.order]


@given(st.data(), st.integers(1, 40))
def test_the_least_of_all_that_are_joined_is_their_root(data, number):
    node = st.integers(0, number - 1)
    pairs = data.draw(st.lists(st.tuples(node, node), max_size=60))
    a, b = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    groups = [{item} for item in range(number)]
    for first, second in pairs:
        united = groups[first] | groups[second]
        for item in united:
            groups[item] = united
    assert unite(np.arange(number), a, b).tolist() == [min(group) for group in groups]


@given(st.data(), st.integers(1, 40))
def test_the_root_is_where_the_parents_end(data, number):
    parent = [data.draw(st.integers(0, node)) for node in range(number)]
    roots = []
    for node in range(number):
        while parent[node] != node:
            node = parent[node]
        roots.append(node)
    assert find_roots(np.array(parent)).tolist() == roots


@given(st.lists(st.integers(0, 9)))
def test_offsets_bound_the_parts_of_a_ragged_array(sizes):
    bounds = offsets(np.array(sizes, np.int64))
    assert bounds[0] == 0
    assert np.diff(bounds).tolist() == sizes


def test_interleaved_arrays_take_turns():
    assert interleave(np.array([1, 3]), np.array([2, 4])).tolist() == [1, 2, 3, 4]


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 5))))
def test_spans_count_on_from_each_beginning(pairs):
    begin, size = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    expected = [first + step for first, count in pairs for step in range(count)]
    assert spans(begin, size).tolist() == expected


@given(st.lists(st.integers(0, 2**32 - 1) | st.integers(0, 3)))
def test_sorting_by_digits_is_a_stable_sort(keys):
    keys = np.array(keys, dtype=np.int64)
    assert stable_argsort(keys).tolist() == np.argsort(keys, kind="stable").tolist()


def test_exchanged_items_change_places():
    assert exchange(np.array([[0, 4], [2, 1]]), 5).tolist() == [2, 4, 0, 3, 1]
