import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofcn.core.pixels import (
    BACKGROUND,
    BLANK,
    CONTACT,
    CONTACT_UNKNOWN,
    HOUSE,
    Normalisation,
    classify,
    classify_quantised,
    houses_and_known,
    is_kept,
    nonblank_values,
    pad_to,
    picture_of,
    quantise,
)
from geofcn.core.resampling import Ratio

ALL_VALID = np.ones((4, 4), bool)


def image_with_zeros(count: int, bands: int = 3) -> np.ndarray:
    """(bands, 4, 4) of ones with `count` zero VALUES."""
    image = np.ones(bands * 16, np.uint8)
    image[:count] = 0
    return image.reshape(bands, 4, 4)


# --- the blank rule: 3 bands of 16 pixels are 48 values, half of them 24 ---


def tile_is_kept(image: np.ndarray, valid: np.ndarray, houses: int = 0) -> bool:
    return is_kept(int(nonblank_values(image, valid).sum()), image.size, houses)


def test_a_tile_exactly_half_blank_is_kept():
    assert tile_is_kept(image_with_zeros(24), ALL_VALID)


def test_a_tile_one_value_more_than_half_blank_is_thrown_away():
    assert not tile_is_kept(image_with_zeros(25), ALL_VALID)


def test_a_blank_tile_with_a_house_is_kept():
    assert tile_is_kept(image_with_zeros(25), ALL_VALID, houses=1)
    assert tile_is_kept(image_with_zeros(48), ~ALL_VALID, houses=1)


def test_values_are_counted_not_pixels():
    # Band 0 is black everywhere: a third of the values, though no pixel is 0 in every band.
    image = image_with_zeros(16)
    assert (nonblank_values(image, ALL_VALID) == 2).all()
    assert tile_is_kept(image, ALL_VALID)


def test_a_pixel_the_raster_calls_blank_is_blank_in_every_band():
    valid = ALL_VALID.copy()
    valid[0, 0] = False
    values = nonblank_values(image_with_zeros(0), valid)
    assert values[0, 0] == 0 and values.sum() == 3 * 15
    valid[:2] = False
    assert tile_is_kept(image_with_zeros(0), valid), "exactly half"
    valid[2, 0] = False
    assert not tile_is_kept(image_with_zeros(0), valid)


@given(st.integers(0, 16), st.integers(0, 2**16 - 1))
def test_the_rule_is_more_than_half_of_the_values(zeros, bits):
    valid = np.array([bits >> i & 1 for i in range(16)], bool).reshape(4, 4)
    image = image_with_zeros(zeros, bands=1)
    blank = sum(not valid[r, c] or image[0, r, c] == 0 for r in range(4) for c in range(4))
    assert tile_is_kept(image, valid) == (blank <= 8)


@given(
    size=st.sampled_from([1, 2, 4, 5, 8, 10]), seed=st.integers(0, 99),
    period=st.sampled_from([1, 3]),
    dtype=st.sampled_from(["uint8", "uint16", "float32"]), blank=st.booleans(),
    row=st.integers(0, 9), col=st.integers(0, 9),
)  # fmt: skip
def test_block_means_are_those_of_the_normalised_image(size, seed, period, dtype, blank, row, col):
    random = np.random.default_rng(seed)
    image = random.integers(0, 255, (2, 3 * size, 2 * size)).astype(dtype)
    valid = random.random(image.shape[1:]) < (0.7 if blank else 2)
    if dtype == "float32":
        image[:, ~valid] = np.nan
    mean = random.uniform(50, 150, (2, period, period)).astype(np.float32)
    normalisation = Normalisation(mean, np.array([3, 70], np.float32))
    pixels = normalisation.apply(image, valid, row, col)
    expected = pixels.reshape(2, 3, size, 2, size).mean(axis=(2, 4))
    means = normalisation.area_means(image, valid, Ratio(size), row, col)
    assert means.dtype == np.float32
    np.testing.assert_allclose(means, expected, atol=2e-5 * 255 / 3, rtol=1e-5)


@given(
    ratio=st.sampled_from([Ratio(3, 2), Ratio(7, 4), Ratio(1, 2), Ratio(5, 8), Ratio(17, 8)]),
    dtype=st.sampled_from(["uint8", "uint16", "float32"]),
    blank=st.booleans(),
    seed=st.integers(0, 99),
)
def test_area_means_are_those_of_the_image_in_smaller_pixels(ratio, dtype, blank, seed):
    """Each pixel as q x q pixels, and a net pixel the mean of p x p of these."""
    random = np.random.default_rng(seed)
    image = random.integers(0, 255, (2, 3 * ratio.p, 2 * ratio.p)).astype(dtype)
    valid = random.random(image.shape[1:]) < (0.7 if blank else 2)
    if dtype == "float32":
        image[:, ~valid] = np.nan
    mean = random.uniform(50, 150, (2, 1, 1)).astype(np.float32)
    normalisation = Normalisation(mean, np.array([3, 70], np.float32))
    fine = np.kron(normalisation.apply(image, valid, 0, 0), np.ones((ratio.q, ratio.q)))
    rows, cols = (side // ratio.p for side in fine.shape[1:])
    expected = fine.reshape(2, rows, ratio.p, cols, ratio.p).mean(axis=(2, 4))
    means = normalisation.area_means(image, valid, ratio)
    assert means.dtype == np.float32
    np.testing.assert_allclose(means, expected, atol=2e-5 * 255 / 3, rtol=1e-5)


# --- normalisation ---


def test_the_mean_image_repeats_from_the_scenes_origin():
    mean = np.array([[[1, 2], [3, 4]]], np.float32)
    normalisation = Normalisation(mean, np.ones(1, np.float32))
    out = normalisation.apply(np.zeros((1, 3, 3), np.uint8), None, 0, 0)
    assert (-out[0]).tolist() == [[1, 2, 1], [3, 4, 3], [1, 2, 1]]
    # A window that starts at row 3, column 5 is at row 1, column 1 of the period.
    out = normalisation.apply(np.zeros((1, 2, 2), np.uint8), None, 3, 5)
    assert (-out[0]).tolist() == [[4, 3], [2, 1]]


@given(
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    period=st.integers(1, 5),
    data=st.data(),
)
def test_a_window_is_normalised_as_the_whole_is(height, width, period, data):
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    row, col = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    image = random.integers(0, 255, (2, height, width)).astype(np.uint8)
    valid = random.random((height, width)) < 0.8
    normalisation = Normalisation(
        random.random((2, period, period), np.float32), np.array([1, 3], np.float32)
    )
    whole = normalisation.apply(image, valid, 0, 0)
    part = normalisation.apply(image[:, row:, col:], valid[row:, col:], row, col)
    assert (part == whole[:, row:, col:]).all()


def test_mean_and_deviation_per_band_by_hand():
    normalisation = Normalisation(
        np.array([[[10]], [[20]]], np.float32), np.array([2, 5], np.float32)
    )
    image = np.array([[[12, 8]], [[20, 30]]], np.uint8)
    assert normalisation.bands == 2
    assert normalisation.apply(image, None, 0, 0).tolist() == [[[1, -1]], [[0, 2]]]


def test_the_input_is_left_alone():
    image = np.ones((1, 2, 2), np.float32)
    Normalisation(np.ones((1, 1, 1), np.float32), np.ones(1, np.float32)).apply(
        image, np.zeros((2, 2), bool), 0, 0
    )
    assert (image == 1).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("poison", ["nan", "inf", "-inf", "min", "max"])
def test_a_blank_pixel_is_zero_in_every_band_whatever_it_held(dtype, poison):
    limits = np.finfo(dtype)
    value = {"min": limits.min, "max": limits.max}.get(poison) or float(poison)
    image = np.full((3, 2, 2), 7, dtype)
    image[1, 0, 1] = value
    valid = np.isfinite(image).all(axis=0)
    valid[0, 1] = False
    normalisation = Normalisation(np.full((3, 2, 2), 5, np.float32), np.full(3, 0.5, np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = normalisation.apply(image, valid, 0, 0)
    assert out.dtype == np.float32
    assert (out[:, 0, 1] == 0).all()
    assert (out[:, valid] == 4).all()


# --- padding and classes ---


def test_padding_goes_to_the_right_and_to_the_bottom():
    assert pad_to(np.array([[1, 2]]), 2, 3).tolist() == [[1, 2, 0], [0, 0, 0]]
    assert pad_to(np.array([[1]], np.uint8), 1, 2, BLANK).tolist() == [[1, 255]]
    assert pad_to(np.ones((3, 2, 2), np.uint8), 4, 5).shape == (3, 4, 5)
    assert pad_to(np.ones((1, 1), np.uint8), 2, 2).dtype == np.uint8
    assert not pad_to(np.ones((1, 1), bool), 2, 2, False)[1].any()


def test_houses_are_known_and_blank_is_not():
    labels = np.array([[BACKGROUND, HOUSE], [BLANK, CONTACT]], np.uint8)
    houses, known = houses_and_known(labels)
    assert houses.tolist() == [[False, True], [False, False]]
    whatever_is_known_of_contacts = HOUSE | CONTACT | CONTACT_UNKNOWN
    assert houses_and_known(np.full((1, 1), whatever_is_known_of_contacts, np.uint8))[0].all()
    assert known.tolist() == [[True, True], [False, True]]
    assert houses.dtype == known.dtype == bool


def test_a_probability_exactly_at_the_threshold_is_a_house():
    below = np.nextafter(np.float32(0.3), np.float32(0))
    probability = np.array([[0.3, below, 0.9]], np.float32)
    mask = classify(probability, np.array([[True, True, False]]), 0.3)
    assert mask.dtype == np.uint8
    assert mask.tolist() == [[HOUSE, BACKGROUND, BLANK]]


@pytest.mark.parametrize("step", [1, 100, 254])
def test_quantised_probabilities_are_cut_where_they_themselves_are(step):
    quantised = np.arange(256, dtype=np.uint8)
    mask = classify_quantised(quantised, (step - 0.5) / 254)
    assert mask.tolist() == [0] * step + [1] * (255 - step) + [BLANK]


def test_blank_stays_blank_at_threshold_zero():
    mask = classify(np.zeros((1, 2), np.float32), np.array([[True, False]]), 0.0)
    assert mask.tolist() == [[HOUSE, BLANK]]


def test_quantised_probabilities_end_at_254_and_blank_is_255():
    probability = np.array([[0, 1, 0.5, 1 / 254, 0.49 / 254, 0.51 / 254, 0]], np.float32)
    valid = np.array([[True] * 6 + [False]])
    assert quantise(probability, valid).tolist() == [[0, 254, 127, 1, 0, 1, 255]]


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=30))
def test_a_quantised_probability_is_off_by_half_a_step_at_the_most(values):
    probability = np.array([values], np.float32)
    steps = quantise(probability, np.ones_like(probability, bool))
    assert steps.max() <= 254
    assert np.abs(steps / 254 - probability).max() <= 0.5 / 254 + 1e-7


@pytest.mark.parametrize("bands", [1, 2, 3, 4, 8])
def test_a_picture_has_three_colours_whatever_the_bands(bands):
    image = np.arange(bands * 6).reshape(bands, 2, 3).astype(np.uint8)
    picture = picture_of(image)
    assert picture.shape == (2, 3, 3) and picture.dtype == np.uint8
    expected = image[:3] if bands >= 3 else image[[0, 0, 0]]
    assert (picture == np.moveaxis(expected, 0, -1)).all()


def test_deep_pixels_are_stretched_between_their_percentiles():
    image = np.linspace(1000, 9000, 300).reshape(3, 10, 10).astype(np.uint16)
    picture = picture_of(image)
    assert picture.min() == 0 and picture.max() == 255
    assert 100 < picture.mean() < 155


@pytest.mark.parametrize("value", [np.nan, np.inf, 5.0])
def test_flat_and_missing_pixels_are_shown(value):
    with np.errstate(all="raise"):
        assert picture_of(np.full((1, 4, 4), value, np.float32)).shape == (4, 4, 3)
