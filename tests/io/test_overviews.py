import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from geofcn.core.pixels import BACKGROUND, BLANK, HOUSE
from geofcn.io.overviews import halve_floats, halve_mask, halve_quantised, pad_to_even

SHAPES = st.tuples(st.integers(1, 6), st.integers(1, 6))
EVEN_SHAPES = SHAPES.map(lambda shape: (2 * shape[0], 2 * shape[1]))


def quads(array: np.ndarray):
    """Index of each reduced pixel, and the four pixels it is made of."""
    for index in np.ndindex(array.shape[0] // 2, array.shape[1] // 2):
        row, col = index
        yield index, array[2 * row : 2 * row + 2, 2 * col : 2 * col + 2].ravel()


# --- odd sides ---


@given(arrays.arrays(np.uint8, SHAPES))
def test_an_odd_side_gets_its_last_row_or_column_twice(array):
    padded = pad_to_even(array)
    rows, cols = array.shape
    assert padded.shape == (rows + rows % 2, cols + cols % 2)
    for row, col in np.ndindex(padded.shape):
        assert padded[row, col] == array[min(row, rows - 1), min(col, cols - 1)]


def test_even_sides_are_not_copied():
    array = np.zeros((2, 4))
    assert pad_to_even(array) is array


# --- masks ---


def test_thin_houses_stay_in_an_overview_and_blank_wins_by_three():
    cells = {
        (1, 1, 0, 0): HOUSE,
        (1, 0, 0, 0): BACKGROUND,
        (1, 1, 255, 255): HOUSE,
        (1, 255, 255, 255): BLANK,
        (0, 255, 255, 0): BACKGROUND,
        (255, 255, 255, 0): BLANK,
        (1, 1, 1, 1): HOUSE,
    }
    for cell, expected in cells.items():
        assert halve_mask(np.array(cell, np.uint8).reshape(2, 2)).item() == expected, cell


@given(arrays.arrays(np.uint8, EVEN_SHAPES, elements=st.sampled_from([0, 1, 255])))
def test_a_mask_is_halved_by_counting_houses_and_blank_pixels(mask):
    halved = halve_mask(mask)
    assert halved.dtype == np.uint8
    for index, four in quads(mask):
        houses, blanks = (four == HOUSE).sum(), (four == BLANK).sum()
        expected = BLANK if blanks >= 3 else HOUSE if houses >= 2 else BACKGROUND
        assert halved[index] == expected


# --- probabilities ---


def test_reduced_probabilities_are_means_of_what_is_known():
    assert halve_quantised(np.array([[254, 254], [254, 254]], np.uint8)).item() == 254
    assert halve_quantised(np.array([[10, 255], [20, 255]], np.uint8)).item() == 15
    assert halve_quantised(np.full((2, 2), 255, np.uint8)).item() == 255
    assert halve_floats(np.array([[0.5, np.nan], [1, np.nan]], np.float32)).item() == 0.75
    assert np.isnan(halve_floats(np.full((2, 2), np.nan, np.float32)).item())


@given(arrays.arrays(np.uint8, EVEN_SHAPES, elements=st.sampled_from([0, 1, 127, 253, 254, 255])))
def test_quantised_means_are_rounded_down_and_leave_out_blank_pixels(quantised):
    halved = halve_quantised(quantised)
    assert halved.dtype == np.uint8
    for index, four in quads(quantised):
        known = [int(value) for value in four if value != BLANK]
        assert halved[index] == (sum(known) // len(known) if known else BLANK)


probabilities = st.one_of(st.just(np.nan), st.floats(0, 1, width=32))


@given(arrays.arrays(np.float32, EVEN_SHAPES, elements=probabilities))
def test_float_means_leave_out_nan(values):
    halved = halve_floats(values)
    assert halved.dtype == np.float32
    for index, four in quads(values):
        known = four[~np.isnan(four)].astype(float)
        if len(known):
            assert halved[index] == pytest.approx(known.mean(), abs=1e-6)
            assert 0 <= halved[index] <= 1
        else:
            assert np.isnan(halved[index])
