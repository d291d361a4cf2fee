"""geofcn.core.displacement: edges of labels and of the image are laid onto each other."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from geofcn.core.displacement import LEAST_WINDOWS, agreement, best_displacement

REACH = 3


def by_hand(image, classes, known, reach):
    """The definition, pixel by pixel: squared derivatives across the outline."""

    def gradient(array, row, col):
        part = array[row - 1 : row + 2, col - 1 : col + 2].astype(float)
        smooth = np.array([1, 2, 1])
        return (
            smooth @ (part[:, 2] - part[:, 0]),
            smooth @ (part[2] - part[0]),
            known[row - 1 : row + 2, col - 1 : col + 2].all(),
        )

    rows, cols = classes.shape
    inner = [(r, c) for r in range(1, rows - 1) for c in range(1, cols - 1)]
    edges = {}
    for at in inner:
        found = [gradient(band * known, *at) for band in image]
        edges[at] = [(x, y) for x, y, counts in found if counts]
    tensors = np.zeros((3, rows, cols))
    for at in inner:
        for x, y in edges[at]:
            tensors[(slice(None), *at)] += x * x, x * y, y * y
    tensors -= tensors.mean(axis=(1, 2), keepdims=True)
    found = np.zeros((2 * reach + 1, 2 * reach + 1))
    for row in range(reach, rows - reach):
        for col in range(reach, cols - reach):
            x, y, counts = gradient(classes * known, row, col)
            length = np.hypot(x, y)
            if not counts or not length:
                continue
            for down, right in np.ndindex(found.shape):
                xx, xy, yy = tensors[:, row + down - reach, col + right - reach]
                found[down, right] += (xx * x * x + 2 * xy * x * y + yy * y * y) / length
    return found


@settings(max_examples=12)
@given(st.integers(0, 10**6), st.booleans())
def test_it_is_what_the_definition_says(seed, has_gaps):
    random = np.random.default_rng(seed)
    image = random.integers(0, 9, (2, 12, 13)).astype(np.float32)
    classes = random.integers(0, 2, (12, 13)).astype(np.float32)
    known = random.random((12, 13)) > (0.05 if has_gaps else -1)
    found = agreement(image, classes, known, REACH)
    np.testing.assert_allclose(found, by_hand(image, classes, known, REACH), atol=1e-6 * 9**4)


def windows(rows, cols, count=8, noise=20):
    """Houses in noise, their labels so many rows and columns off."""
    random = np.random.default_rng(0)
    for _ in range(count):
        classes = np.zeros((48, 48))
        top, left = random.integers(12, 20, 2)
        classes[top : top + 9, left : left + 12] = 1
        image = np.roll(classes, (rows, cols), (0, 1)) * 100 + random.normal(0, noise, (3, 48, 48))
        yield image, classes, np.ones((48, 48), bool)


@given(st.integers(-4, 4), st.integers(-4, 4))
@settings(max_examples=10)
def test_labels_that_lie_beside_the_houses_are_found_to_do_so(rows, cols):
    found = best_displacement([agreement(*parts, 6) for parts in windows(rows, cols)])
    assert abs(found.rows - rows) < 0.2 and abs(found.cols - cols) < 0.2
    assert found.spread < 0.2


def test_nothing_is_said_of_few_windows_of_noise_or_of_what_is_farther_off():
    agreements = [agreement(*parts, 6) for parts in windows(1, 1)]
    assert best_displacement(agreements[: LEAST_WINDOWS - 1]) is None
    assert best_displacement(agreements[:LEAST_WINDOWS]) is not None
    beyond = best_displacement([agreement(*parts, 2) for parts in windows(4, 0)])
    assert beyond is None or beyond.spread > 0.2
    random = np.random.default_rng(0)
    known = np.ones((48, 48), bool)
    noise = [
        agreement(random.normal(0, 1, (3, 48, 48)), classes, known, 6)
        for _, classes, _ in windows(0, 0)
    ]
    found = best_displacement(noise)
    assert found is None or found.spread > 1
