from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geofcn.core.windows import Window
from geofcn.io.opening import open_scene
from geofcn.recipes import DEFAULT, EXERCISE
from geofcn.training import survey as survey_module
from geofcn.training.sampling import select
from geofcn.training.survey import Counts, load_survey, save_survey, survey
from geofcn.training.tiles import TileCache

EXERCISE8 = replace(EXERCISE, tile=8, stride=8)
BANDS8 = replace(DEFAULT, tile=8, stride=8)


def some_houses(height, width, seed=0) -> np.ndarray:
    return (np.random.default_rng(seed).random((height, width)) < 0.2).astype(np.uint8)


# --- counts ---


def test_a_window_holds_the_sum_of_its_cells():
    counts = Counts(4, *np.arange(3 * 6).reshape(3, 2, 3))
    assert counts.over(Window(0, 0, 8, 12)) == (15, 51, 87)
    assert counts.over(Window(4, 4, 4, 8)) == (4 + 5, 10 + 11, 16 + 17)
    # The last cell reaches beyond the scene's edge, where the window ends.
    assert counts.over(Window(4, 8, 3, 2)) == (5, 11, 17)


def test_the_share_of_houses_is_that_of_the_labelled_pixels():
    counts = Counts(4, *np.array([[[0, 0]], [[4, 0]], [[16, 0]]]))
    assert counts.house_share(Window(0, 0, 4, 8)) == 0.25
    assert counts.house_share(Window(0, 4, 4, 4)) == 0, "nothing is labelled"


@settings(max_examples=25)
@given(
    height=st.integers(9, 50),
    width=st.integers(9, 50),
    tile=st.sampled_from([6, 8, 12]),
    stride=st.sampled_from([2, 4, 6]),
    seed=st.integers(0, 5),
)
def test_cells_hold_what_numpy_counts_in_them(source, height, width, tile, stride, seed):
    random = np.random.default_rng(seed)
    image = random.integers(0, 4, (2, height, width)).astype(np.uint8)
    labels = random.choice(np.array([0, 1, 255], np.uint8), (height, width))
    labels[0, :2] = [0, 1]
    pair = source(image, labels, nodata=3, labels_nodata=255)
    image, valid = open_scene(pair.scene.path).read(pair.scene.window)
    known = valid & (labels != 255)
    (counts,) = survey(TileCache([pair]), replace(BANDS8, tile=tile, stride=stride)).counts
    assert counts.cell == np.gcd(tile, stride)
    masks = ((image != 0) & valid).sum(axis=0), (labels == 1) & known, known
    for array, mask in zip((counts.values, counts.houses, counts.known), masks, strict=True):
        for row, col in np.ndindex(array.shape):
            rows, cols = (slice(i * counts.cell, (i + 1) * counts.cell) for i in (row, col))
            assert array[row, col] == mask[rows, cols].sum()
        assert array.sum() == mask.sum()


def test_in_the_exercise_blank_pixels_are_labelled(source):
    image = np.full((1, 8, 8), 7, np.uint8)
    image[0, 0] = 0
    pair = source(image, np.ones((8, 8), np.uint8), nodata=0)
    (counts,) = survey(TileCache([pair], zero_padding=True), EXERCISE8).counts
    assert (counts.values, counts.houses, counts.known) == (56, 64, 64)
    (counts,) = survey(TileCache([pair]), BANDS8).counts
    assert (counts.values, counts.houses, counts.known) == (56, 56, 56)


# --- moments ---


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_statistics_are_numpys_over_all_pixels_that_are_not_blank(source, monkeypatch, dtype):
    monkeypatch.setattr(survey_module, "SURVEYED", 16)
    random = np.random.default_rng(0)
    image = random.integers(0, 255, (2, 53, 37)).astype(dtype)
    pairs = [
        source(image + dtype(number), some_houses(53, 37), nodata=7, name=str(number))
        for number in (0, 1)
    ]
    tiles = TileCache(pairs)
    normalisation = select(tiles, BANDS8, survey(tiles, BANDS8)).normalisation
    whole = np.concatenate([image + dtype(n) for n in (0, 1)], axis=1).reshape(2, -1)
    valid = np.concatenate([open_scene(p.scene.path).read(p.scene.window)[1] for p in pairs])
    values = whole.reshape(2, -1)[:, valid.ravel()].astype(float)
    np.testing.assert_allclose(normalisation.mean[:, 0, 0], values.mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(normalisation.scale, values.std(axis=1), rtol=1e-6)


# --- files ---


def test_a_survey_is_kept_for_the_next_training(source, tmp_path):
    random = np.random.default_rng(0)
    tiles = TileCache(
        [
            source(random.integers(0, 9, (2, 20, 30)).astype(np.uint8), some_houses(20, 30), name=n)
            for n in ("a", "b")
        ]
    )
    made = survey(tiles, BANDS8)
    path = tmp_path / "s.npz"
    save_survey(path, "key", made)
    loaded = load_survey(path, "key")
    assert loaded.moments.count == made.moments.count
    assert (loaded.moments.mean == made.moments.mean).all()
    assert (loaded.moments.squares == made.moments.squares).all()
    for a, b in zip(loaded.counts, made.counts, strict=True):
        assert a.cell == b.cell and (a.houses == b.houses).all() and (a.values == b.values).all()
        assert (a.known == b.known).all()
    assert load_survey(path, "another") is None
    assert load_survey(tmp_path / "none.npz", "key") is None
    content = path.read_bytes()
    path.write_bytes(content[:100])
    assert load_survey(path, "key") is None
    for place in range(0, len(content), 9):
        path.write_bytes(content[:place] + bytes([content[place] ^ 8]) + content[place + 1 :])
        found = load_survey(path, "key")
        # Of what says when a file was packed nothing depends.
        assert found is None or (found.moments.mean == made.moments.mean).all()
