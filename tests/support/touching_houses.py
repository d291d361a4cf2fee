"""What a mask with contacts is made of, pixel by pixel: an oracle, and random masks."""

import numpy as np
from hypothesis import strategies as st

from geofcn.tracing.instances import REACH


def components(pixels) -> np.ndarray:
    """Numbers from 1 of 4-connected pixels, pixel by pixel."""
    label = np.zeros(pixels.shape, int)
    for number, start in enumerate(zip(*np.nonzero(pixels), strict=True), 1):
        stack = [start]
        while stack:
            row, col = stack.pop()
            inside = 0 <= row < len(pixels) and 0 <= col < pixels.shape[1]
            if inside and pixels[row, col] and not label[row, col]:
                label[row, col] = number
                stack += [(row - 1, col), (row, col - 1), (row, col + 1), (row + 1, col)]
    return label


def labelled(houses, contacts, reach=REACH) -> np.ndarray:
    """The number of each pixel's house, as the module's docstring defines it; 0: background."""
    label = components(houses & ~contacts)
    for _ in range(reach):
        before = np.pad(label, 1)
        for row, col in zip(*np.nonzero(houses & (label == 0)), strict=True):
            up, left, right, down = (
                before[row, col + 1],
                before[row + 1, col],
                before[row + 1, col + 2],
                before[row + 2, col + 1],
            )
            label[row, col] = up or left or right or down
    left = components(houses & (label == 0))
    return np.where(left > 0, left + label.size, label)


def expected_walls(label) -> tuple[np.ndarray, np.ndarray]:
    beside, above = np.zeros((2, *label.shape), bool)
    beside[:, 1:] = (label[:, 1:] != label[:, :-1]) & (label[:, 1:] > 0) & (label[:, :-1] > 0)
    above[1:] = (label[1:] != label[:-1]) & (label[1:] > 0) & (label[:-1] > 0)
    return beside, above


@st.composite
def masks(draw) -> tuple[np.ndarray, np.ndarray]:
    """Houses, and contacts inside of them and out."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.tuples(st.integers(1, 20), st.integers(1, 12)))
    return random.random(shape) < draw(st.floats(0.5, 1)), random.random(shape) < draw(
        st.floats(0, 0.8)
    )
