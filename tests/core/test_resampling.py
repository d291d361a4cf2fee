"""geofcn.core.resampling: net pixels of p / q pixels, by whole numbers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofcn.core.resampling import DENOMINATORS, Ratio, area_sum, bilinear_sources, is_same

RATIOS = st.builds(Ratio, st.integers(1, 20), st.sampled_from(DENOMINATORS)).map(
    lambda ratio: Ratio.near(ratio.number)
)


@given(st.floats(1 / 8, 64))
def test_a_ratio_is_near_in_lowest_terms_with_the_least_denominator(value):
    ratio = Ratio.near(value)
    assert math.gcd(ratio.p, ratio.q) == 1 and ratio.q in DENOMINATORS
    smaller = [q for q in DENOMINATORS if q < ratio.q]
    assert not any(is_same(max(1, round(value * q)) / q, value) for q in smaller)
    assert abs(ratio.number - value) <= 1 / 2 / ratio.q
    # From one net pixel on, eighths are near enough.
    assert is_same(ratio.number, value) or value < 5 / 4


@given(RATIOS)
def test_whole_groups_there_and_back(ratio):
    assert ratio.to_net(3 * ratio.p) == 3 * ratio.q
    assert ratio.to_scene(3 * ratio.q) == 3 * ratio.p
    assert Ratio.near(ratio.number) == ratio
    assert eval(str(ratio)) == ratio.number
    assert Ratio.parse(str(ratio)) == ratio


@pytest.mark.parametrize("text", ["", "steep", "0", "3/0", "-4", "1.5", "4 ", "1/2/3", "9" * 400])
def test_what_is_no_ratio_is_none(text):
    assert Ratio.parse(text) is None


def test_block_sums_by_hand():
    image = np.arange(16, dtype=np.uint8).reshape(1, 4, 4)
    assert (area_sum(image, Ratio(2), np.uint16) == [[[10, 18], [42, 50]]]).all()
    assert (area_sum(image, Ratio(4), np.uint16) == 120).all()
    assert (area_sum(image, Ratio(1), np.float32) == image).all()
    bright = np.full((3, 16, 16), 255, np.uint8)
    assert (area_sum(bright, Ratio(16), np.uint16) == 256 * 255).all(), "as far as uint16 goes"


def test_a_net_pixel_narrower_than_a_pixel_has_its_value():
    image = np.array([[1, 2], [3, 4]], np.uint8)
    assert (area_sum(image, Ratio(1, 2), np.uint16) == np.kron(image, np.ones((2, 2)))).all()


@given(
    ratio=RATIOS,
    rows=st.integers(1, 4),
    cols=st.integers(1, 4),
    bands=st.integers(1, 2),
    dtype=st.sampled_from([np.uint32, np.float32]),
    seed=st.integers(0, 99),
)
def test_sums_are_those_of_pixels_repeated_q_times(ratio, rows, cols, bands, dtype, seed):
    random = np.random.default_rng(seed)
    image = random.integers(0, 256, (bands, rows * ratio.p, cols * ratio.p)).astype(np.uint8)
    fine = image.repeat(ratio.q, axis=1).repeat(ratio.q, axis=2).astype(np.int64)
    blocks = fine.reshape(bands, rows * ratio.q, ratio.p, cols * ratio.q, ratio.p)
    sums = area_sum(image, ratio, dtype)
    assert sums.dtype == dtype
    assert (sums == blocks.sum(axis=(2, 4))).all()


@given(ratio=RATIOS, groups=st.integers(2, 5), seed=st.integers(0, 99))
def test_sums_do_not_depend_on_where_a_window_starts(ratio, groups, seed):
    image = np.random.default_rng(seed).random((groups * ratio.p, 2 * ratio.p)).astype(np.float32)
    whole = area_sum(image, ratio, np.float32)
    part = area_sum(image[ratio.p :], ratio, np.float32)
    assert (part == whole[ratio.q :]).all()


@given(ratio=RATIOS, groups=st.integers(1, 5))
def test_bilinear_sources_are_the_middles_of_pixels(ratio, groups):
    length = groups * ratio.q
    lower, upper, share = bilinear_sources(ratio, length)
    middles = (np.arange(groups * ratio.p) + 0.5) / ratio.number - 0.5
    position = lower * (1 - share) + upper * share
    np.testing.assert_allclose(position, middles.clip(0, length - 1), atol=1e-5)
    assert share.min() >= 0 and share.max() < 1
    assert (share == np.tile(share[: ratio.p], groups)).all(), "the same in each group"


@pytest.mark.parametrize(("one", "other", "same"), [(1, 1.05, True), (1.06, 1, False)])
def test_resolutions_are_the_same_up_to_five_percent(one, other, same):
    assert is_same(one, other) is is_same(other, one) is same
