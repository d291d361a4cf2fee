import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofcn.training import augment
from geofcn.training.augment import (
    ZOOM,
    AffineSample,
    colour_jitter,
    random_affine,
    random_hflip,
)


def test_labels_follow_the_image_when_it_is_mirrored():
    random = np.random.default_rng(0)
    labels = np.arange(12, dtype=np.float32).reshape(3, 4)
    image = np.stack([labels + 10, labels * 2 + 50])
    first_rows = set()
    for _ in range(20):
        flipped, classes = random_hflip([image, labels], random)
        assert (flipped[0] == classes + 10).all() and (flipped[1] == classes * 2 + 50).all()
        first_rows.add(tuple(classes[0]))
    assert first_rows == {(0, 1, 2, 3), (3, 2, 1, 0)}


# --- affine samples ---


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("quarters", range(4))
def test_a_quarter_turn_takes_every_pixel_once(quarters, mirrored):
    array = np.arange(2 * 49).reshape(2, 7, 7)
    sample = AffineSample(quarters * math.pi / 2, 1.0, mirrored)
    assert sample.side(7) == 7
    (taken,) = sample.take([array], 7)
    straight = array[..., ::-1] if mirrored else array
    assert any((taken == np.rot90(straight, k, (1, 2))).all() for k in (quarters, -quarters))


def test_zoomed_out_every_second_pixel_is_taken():
    sample = AffineSample(0.0, 2.0, False)
    assert sample.side(4) == 7
    (taken,) = sample.take([np.arange(49).reshape(7, 7)], 4)
    assert taken.tolist() == [[0, 2, 4, 6], [14, 16, 18, 20], [28, 30, 32, 34], [42, 44, 46, 48]]


@given(
    angle=st.floats(-7, 7), zoom=st.floats(0.5, 2), mirrored=st.booleans(), size=st.integers(1, 40)
)
def test_a_tile_is_the_nearest_pixels_of_its_turned_grid(angle, zoom, mirrored, size):
    sample = AffineSample(angle, zoom, mirrored)
    side = sample.side(size)
    rows, cols = np.mgrid[:side, :side].astype(float)
    labels = rows * side + cols
    taken_rows, taken_cols, taken = sample.take([rows, cols, labels], size)
    assert (taken == taken_rows * side + taken_cols).all(), "arrays stay together"
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    x = -x if mirrored else x
    for indices, expected in (
        (taken_rows, math.cos(angle) * y + math.sin(angle) * x),
        (taken_cols, math.cos(angle) * x - math.sin(angle) * y),
    ):
        assert np.abs(indices - (side - 1) / 2 - zoom * expected).max() <= 0.5 + 1e-4


def test_samples_are_of_every_size_and_leave_the_sun_where_it_is():
    random, tilt = np.random.default_rng(0), math.pi / 4
    samples = [random_affine(45, random) for _ in range(400)]
    angles = [sample.angle for sample in samples]
    assert -tilt <= min(angles) < -0.9 * tilt and 0.9 * tilt < max(angles) <= tilt
    # What is in the north stays there rather than in the west or east, mirrored or not.
    north = np.zeros((25, 25))
    north[4, 12] = 1
    for angle in (-0.9 * tilt, 0.9 * tilt):
        for mirror in (False, True):
            sample = AffineSample(angle, 1.0, mirror)
            margin = (sample.side(25) - 25) // 2
            (taken,) = sample.take([np.pad(north, margin)], 25)
            row, col = np.argwhere(taken)[0]
            assert 12 - row > abs(col - 12)
    sizes = [math.log(sample.zoom) for sample in samples]
    assert -ZOOM <= min(sizes) < -0.9 * ZOOM and 0.9 * ZOOM < max(sizes) <= ZOOM
    assert 150 < sum(sample.mirrored for sample in samples) < 250


# --- light ---


def test_another_light_is_one_affine_map_of_all_pixels():
    random = np.random.default_rng(0)
    image = random.normal(size=(3, 5, 7)).astype(np.float32)
    pixels = np.concatenate([image.reshape(3, -1), np.ones((1, 35))])
    for _ in range(20):
        relit = colour_jitter(image, random)
        assert relit.dtype == np.float32 and not np.array_equal(relit, image)
        fitted, *_ = np.linalg.lstsq(pixels.T, relit.reshape(3, -1).T)
        assert np.abs(fitted.T @ pixels - relit.reshape(3, -1)).max() < 1e-5


def test_one_band_keeps_the_order_of_its_values():
    random = np.random.default_rng(0)
    image = random.normal(size=(1, 5, 7)).astype(np.float32)
    for _ in range(20):
        assert (colour_jitter(image, random).ravel().argsort() == image.ravel().argsort()).all()


def test_colours_are_lost_now_and_then(monkeypatch):
    monkeypatch.setattr(augment, "MIX", 0.0)
    monkeypatch.setattr(augment, "TINT", 0.0)
    random = np.random.default_rng(0)
    image = random.normal(size=(3, 5, 7)).astype(np.float32)
    grey = [np.ptp(colour_jitter(image, random), axis=0).max() < 1e-5 for _ in range(400)]
    assert 0.5 * augment.GREY < np.mean(grey) < 2 * augment.GREY


def test_blank_stays_blank_and_the_input_is_left_alone():
    random = np.random.default_rng(1)
    image = np.ones((3, 8, 8), np.float32)
    image[:, 2:4, 1] = 0
    image[0, 7, 7] = 0  # one band only: not blank
    before = image.copy()
    for _ in range(50):
        assert ((colour_jitter(image, random) == 0).all(axis=0) == (image == 0).all(axis=0)).all()
    assert (image == before).all()
