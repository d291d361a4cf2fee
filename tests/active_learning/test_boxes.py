"""geofcn.active_learning.boxes: what is expected of boxes, whatever the bands they come in."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofcn.active_learning.boxes import box_bands, expected_boxes, most_wrong
from geofcn.core.pixels import BLANK
from geofcn.core.windows import Window, row_bands

# Four boxes of 2 x 2 and two that the right edge cuts off; in steps of 254.
QUANTISED = np.array(
    [
        [0, 127, 254, 254, 100],
        [254, 0, 254, 204, 255],
        [0, 0, 255, 255, 54],
        [0, 50, 255, 255, 0],
    ],
    np.uint8,
)
MAP = np.array(
    [
        [1, 1, 1, 1, 0],
        [1, 0, 0, 255, 1],
        [0, 0, 1, 1, 0],
        [0, 0, 1, 1, 255],
    ],
    np.uint8,
)


def in_bands(quantised, classes, side, windows):
    bands = (
        (window, quantised[window.slices], None if classes is None else classes[window.slices])
        for window in windows
    )
    return list(expected_boxes(bands, *quantised.shape, side))


def test_what_is_expected_of_six_boxes():
    found = in_bands(QUANTISED, None, 2, row_bands(4, 5, 2))
    assert [box.number for box in found] == [1, 2, 3, 4, 5, 6]
    assert found[2].window == Window(0, 4, 2, 1)
    assert [254 * box.wrong for box in found] == pytest.approx([127, 50, 100, 50, 0, 54])
    assert [254 * box.houses for box in found] == pytest.approx([381, 966, 100, 50, 0, 54])
    assert {box.reason for box in found} == {"uncertain"}


def test_a_map_that_is_contradicted_counts_as_far_as_the_model_is_certain():
    found = in_bands(QUANTISED, MAP, 2, row_bands(4, 5, 2))
    # In the first box the map has a house that the model does not see, and one at p = 1/2, where
    # the model calls background; in the second it misses one of p = 1.
    assert [254 * box.wrong for box in found] == pytest.approx([381, 304, 100, 50, 0, 54])
    assert [254 * box.contradicted for box in found] == pytest.approx([381, 254, 0, 0, 0, 0])
    reasons = [box.reason for box in found]
    assert reasons == ["map", "map", "uncertain", "uncertain", "uncertain", "uncertain"]


@given(st.data())
def test_the_sums_are_those_of_the_whole_raster_however_it_is_cut(data):
    height, width, side = (data.draw(st.integers(1, 12)) for _ in range(3))
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    quantised = random.integers(0, 256, (height, width), np.uint8)
    classes = random.choice(np.uint8([0, 1, 255]), (height, width))
    rows = data.draw(st.integers(1, side))
    windows = [
        Window(top + row.row, 0, row.height, width)
        for top in range(0, height, side)
        for row in row_bands(min(side, height - top), width, rows)
    ]
    p, known = quantised / 254, quantised != BLANK
    differs = known & (classes != BLANK) & ((p > 0.5) != (classes == 1))
    wrong = np.where(known, np.where(differs, np.maximum(p, 1 - p), np.minimum(p, 1 - p)), 0)
    found = in_bands(quantised, classes, side, windows)
    assert sum(box.window.pixels for box in found) == height * width
    for box in found:
        at = box.window.slices
        assert box.wrong == pytest.approx(wrong[at].sum())
        assert box.contradicted == pytest.approx(wrong[at][differs[at]].sum())
        assert box.houses == pytest.approx(np.where(known, p, 0)[at].sum())
    assert found == in_bands(quantised, classes, side, box_bands(height, width, side))


def test_the_most_wrong_come_first_and_of_equal_ones_the_upper():
    found = in_bands(QUANTISED, None, 2, row_bands(4, 5, 2))
    assert [box.number for box in most_wrong(found, 4)] == [1, 3, 6, 2]
    assert len(most_wrong(found, 99)) == 5, "nothing can be wrong in the fifth"
