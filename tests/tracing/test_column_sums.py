"""Sums over polygons from their edges: tables down the columns, against numpy's own sums."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofcn.tracing.column_sums import (
    FIXED_POINT,
    column_sums,
    sum_tables,
    sum_type,
    sums_along,
)

VALUES = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], np.uint8)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("bool", np.int64),
        ("uint8", np.int64),
        ("int16", np.int64),
        ("float32", np.float64),
        ("float64", np.float64),
    ],
)
def test_integers_are_summed_as_integers_and_floats_as_floats(dtype, expected):
    assert sum_type(np.dtype(dtype)) is expected


@pytest.mark.parametrize("dtype", ["complex64", "U3", "datetime64[s]", "O"])
def test_other_values_are_refused(dtype):
    with pytest.raises(ValueError, match="not of integers or floats"):
        sum_type(np.dtype(dtype))


# --- tables ---


@given(
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    dtype=st.sampled_from(["bool", "uint8", "int16", "uint16", "int64"]),
    seed=st.integers(0, 99),
)
def test_a_table_is_the_running_sum_of_each_column(height, width, dtype, seed):
    layer = np.random.default_rng(seed).integers(0, 30_000, (height, width)).astype(dtype)
    table = column_sums(layer)
    assert table.shape == (height + 1, width)
    assert (table[0] == 0).all()
    assert (table[1:] == np.cumsum(layer, axis=0, dtype=np.int64)).all()


@pytest.mark.parametrize("height", [1, 2, 257, 258, 300])
def test_the_narrow_type_holds_the_largest_sum(height):
    table = column_sums(np.full((height, 2), 255, np.uint8))
    assert table.dtype.itemsize < 8
    assert table[-1].tolist() == [255 * height] * 2


def test_a_table_of_valid_values_is_enough_where_all_are_valid():
    all_valid = np.ones((3, 3), bool)
    for valid in (None, all_valid):
        (table,) = sum_tables(VALUES, valid, slice(1, 3))
        assert table.tolist() == [[0, 0, 0], [4, 5, 6], [11, 13, 15]]


def test_values_that_are_not_valid_count_as_0_and_the_valid_ones_are_counted():
    valid = np.ones((3, 3), bool)
    valid[1, 0] = valid[2, 2] = False
    sums, counts = sum_tables(VALUES, valid, slice(1, 3))
    assert sums.tolist() == [[0, 0, 0], [0, 5, 6], [7, 13, 6]]
    assert counts.tolist() == [[0, 0, 0], [0, 1, 1], [1, 2, 1]]
    # Rows in which all are valid need one table only.
    assert len(sum_tables(VALUES, valid, slice(0, 1))) == 1


def test_floats_are_summed_in_fixed_point():
    (table,) = sum_tables(np.array([[0.5], [0.25], [1.0]], np.float32), None, slice(0, 3))
    assert (table.ravel() / FIXED_POINT).tolist() == [0, 0.5, 0.75, 1.75]


@pytest.mark.parametrize("value", [-0.1, 1.1, np.nan, np.inf])
def test_floats_beyond_0_to_1_are_refused_unless_they_are_not_valid(value):
    values = np.array([[0.5, value]])
    with pytest.raises(ValueError, match="between 0 and 1"):
        sum_tables(values, None, slice(0, 1))
    sums, counts = sum_tables(values, np.array([[True, False]]), slice(0, 1))
    assert sums[1].tolist() == [FIXED_POINT // 2, 0]
    assert counts[1].tolist() == [1, 0]


# --- sums along edges ---


def test_an_edge_to_the_west_counts_negative():
    table = column_sums(VALUES)
    line, tail, head = np.array([1, 2, 3, 0]), np.array([0, 3, 1, 0]), np.array([3, 1, 2, 3])
    (sums,) = sums_along([table], line, tail, head)
    assert sums.tolist() == [1 + 2 + 3, -(2 + 5) - (3 + 6), 2 + 5 + 8, 0]
    assert sums_along([], line, tail, head) == []


@given(
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    seed=st.integers(0, 999),
    density=st.floats(0, 1),
)
def test_edges_add_up_to_the_sum_of_the_foreground(height, width, seed, density):
    """Green's theorem: from all edges, each below or above one pixel of the foreground."""
    random = np.random.default_rng(seed)
    mask = random.random((height, width)) < density
    values = random.integers(0, 256, (height, width)).astype(np.uint8)
    padded = np.pad(mask, ((1, 1), (0, 0))).astype(int)
    line, column = np.nonzero(padded[:-1] != padded[1:])
    runs_east = padded[line, column] == 1  # foreground above
    tail, head = column + ~runs_east, column + runs_east
    (sums,) = sums_along([column_sums(values)], line, tail, head)
    assert sums.sum() == values[mask].sum(dtype=np.int64)
