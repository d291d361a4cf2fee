import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from geofcn.core.contacts import Contacts, touching

INSTANCES = hnp.arrays(
    np.int32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 3)
)


def by_hand(instances, reach):
    """The definition, pixel by pixel."""
    near = np.zeros(instances.shape, bool)
    for row, col in np.ndindex(instances.shape):
        rows, cols = (slice(max(0, at - reach), at + reach + 1) for at in (row, col))
        near[row, col] = len(set(instances[rows, cols].ravel().tolist()) - {0}) > 1
    return near


@given(INSTANCES, st.integers(1, 4))
def test_a_contact_is_near_two_houses(instances, reach):
    assert (touching(instances, reach) == by_hand(instances, reach)).all()


@given(INSTANCES, st.integers(1, 3), st.data())
def test_any_window_that_is_grown_by_the_reach_gives_the_same(instances, reach, data):
    rows, cols = instances.shape
    top, left = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, cols - 1))
    first, start = max(0, top - reach), max(0, left - reach)
    window = touching(instances[first : top + 1 + reach, start : left + 1 + reach], reach)
    assert window[top - first, left - start] == touching(instances, reach)[top, left]


def test_a_house_alone_has_no_contact_and_a_gap_counts_by_its_width():
    assert not touching(np.array([[0, 5, 5, 5, 0]]), 2).any()
    gap = np.array([[1, 1, 1, 0, 0, 0, 2, 2, 2]])
    assert touching(gap, 2).astype(int).tolist() == [[0, 0, 0, 0, 1, 0, 0, 0, 0]]
    assert not touching(gap, 1).any()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.uint32, np.int64])
def test_the_highest_numbers_of_a_type_are_told_apart(dtype):
    highest = np.iinfo(dtype).max
    assert touching(np.array([[highest, highest - 1]], dtype), 1).all()
    assert not touching(np.array([[highest, highest, 0, 0]], dtype), 1).any()


def test_contacts_are_found_from_the_threshold_on():
    found = Contacts(3, 0.3).found(np.float32([0.2, 0.3, 0.9]))
    assert found.tolist() == [False, True, True]
