from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofcn.training.statistics import BandMoments, MeanImage


@given(
    cuts=st.lists(st.integers(0, 20), max_size=5),
    seed=st.integers(0, 1000),
    offset=st.sampled_from([0, 200, 60_000, 1e6]),
    dtype=st.sampled_from(["uint8", "uint16", "float32"]),
)
def test_moments_are_numpys_over_the_whole_however_it_is_split(cuts, seed, offset, dtype):
    random = np.random.default_rng(seed)
    limit = {"uint8": 255, "uint16": 65_535}.get(dtype, 1e7)
    image = (random.integers(0, 50, (2, 20, 5)) + offset).clip(0, limit).astype(dtype)
    valid = random.random((20, 5)) < 0.7
    total = BandMoments.of(image[:, :0], valid[:0])
    edges = [0, *sorted(cuts), 20]
    for top, bottom in pairwise(edges):
        total += BandMoments.of(image[:, top:bottom], valid[top:bottom])
    values = image[:, valid].astype(np.float64)
    assert total.count == valid.sum()
    np.testing.assert_allclose(total.mean, values.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(
        total.squares / total.count, values.var(axis=1), rtol=1e-6, atol=1e-6
    )
    normalisation = total.normalisation()
    spread = values.std(axis=1)
    np.testing.assert_allclose(normalisation.scale, np.where(spread > 0, spread, 1), rtol=1e-6)
    assert normalisation.mean.shape == (2, 1, 1)


def test_moments_by_hand():
    image = np.array([[[1, 2, 3, 99]], [[4, 4, 4, 99]]], np.uint8)
    moments = BandMoments.of(image, np.array([[True, True, True, False]]))
    assert (moments.count, moments.mean.tolist(), moments.squares.tolist()) == (3, [2, 4], [2, 0])
    normalisation = moments.normalisation()
    assert normalisation.scale == pytest.approx([np.sqrt(2 / 3), 1]), "a flat band is only shifted"
    assert normalisation.apply(image, None, 0, 0)[1, 0, 0] == 0


def test_blank_values_never_enter():
    image = np.array([[[5, np.nan, np.inf, 7]]], np.float32)
    moments = BandMoments.of(image, np.array([[True, False, False, True]]))
    assert (moments.count, moments.mean[0], moments.squares[0]) == (2, 6, 2)


def test_nothing_and_nothing_is_nothing():
    none = BandMoments.of(np.zeros((2, 3, 3), np.uint8), np.zeros((3, 3), bool))
    assert (none + none).count == 0
    assert np.isfinite((none + none).normalisation().scale).all()


def test_the_mean_image_by_hand():
    tiles = [np.full((1, 2, 2), 10, np.uint8), np.array([[[0, 20], [40, 255]]], np.uint8)]
    total = MeanImage.of(tiles[0]) + MeanImage.of(tiles[1])
    normalisation = total.normalisation()
    assert normalisation.mean.tolist() == [[[5, 15], [25, 132.5]]]
    assert normalisation.scale.tolist() == [1]
    # No division: values keep their units.
    assert normalisation.apply(tiles[1], None, 0, 0).tolist() == [[[-5, 5], [15, 122.5]]]


def test_the_mean_of_many_uint16_tiles_does_not_overflow():
    total = MeanImage.of(np.full((1, 1, 1), 65_535, np.uint16))
    for _ in range(999):
        total += MeanImage.of(np.full((1, 1, 1), 65_535, np.uint16))
    assert total.normalisation().mean.item() == 65_535
