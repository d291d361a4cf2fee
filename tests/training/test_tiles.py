from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geofcn.core.pixels import BLANK
from geofcn.core.windows import Window
from geofcn.errors import SceneError
from geofcn.training.tiles import SourceWindow, TileCache

padded = partial(TileCache, zero_padding=True)


def some_houses(height, width, seed=0) -> np.ndarray:
    return (np.random.default_rng(seed).random((height, width)) < 0.2).astype(np.uint8)


def same(a, b) -> bool:
    return all(np.array_equal(getattr(a, f), getattr(b, f)) for f in ("image", "valid", "labels"))


# --- what a tile looks like ---


def test_padding_in_the_exercise_is_raw_zero_and_background(source):
    pair = source(np.full((2, 10, 9), 7, np.uint8), np.ones((10, 9), np.uint8))
    tile = padded([pair]).read(SourceWindow(0, Window(8, 8, 8, 8)))
    expected = np.zeros((8, 8), np.uint8)
    expected[:2, :1] = 1
    assert (tile.image == 7 * expected).all() and tile.image.shape == (2, 8, 8)
    assert (tile.labels == expected).all()
    assert tile.valid.all(), "in the exercise, blank is a value like any other"


def test_the_exercise_sees_blank_pixels_as_zeros_and_trusts_their_labels(source):
    image = np.full((1, 8, 8), 7, np.float32)
    image[0, 0] = np.nan
    image[0, 1] = -9999
    labels = np.zeros((8, 8), np.uint8)
    labels[0, :3] = 1
    tile = padded([source(image, labels, nodata=-9999)]).read(SourceWindow(0, Window(0, 0, 8, 8)))
    assert (tile.image[0, :2] == 0).all() and (tile.image[0, 2:] == 7).all()
    assert (tile.labels == labels).all()


def test_the_default_recipe_learns_nothing_where_it_is_blank(source):
    image = np.full((1, 10, 9), 7, np.uint8)
    image[0, 8] = 0
    labels = np.ones((10, 9), np.uint8)
    labels[9, 8] = 0
    tile = TileCache([source(image, labels, nodata=0)]).read(SourceWindow(0, Window(8, 8, 8, 8)))
    expected = np.full((8, 8), BLANK)
    expected[1, 0] = 0
    assert (tile.labels == expected).all()
    assert tile.valid.sum() == 1 and tile.valid[1, 0]


def test_what_is_not_labelled_is_not_learnt(source):
    labels = np.zeros((8, 8), np.uint8)
    labels[:2] = 255
    pair = source(np.ones((1, 8, 8), np.uint8), labels, labels_nodata=255)
    for tiles in (padded([pair]), TileCache([pair])):
        assert (tiles.read(SourceWindow(0, Window(0, 0, 8, 8))).labels == labels).all()


# --- cells ---


@pytest.fixture
def noisy(source):
    """A source of 70 x 50 pixels."""
    random = np.random.default_rng(0)
    return source(random.integers(1, 255, (2, 70, 50)).astype(np.uint8), some_houses(70, 50))


@settings(max_examples=30)
@given(
    row=st.integers(-20, 69), col=st.integers(-20, 49), height=st.integers(21, 60),
    width=st.integers(21, 60), cells=st.sampled_from([1, 3, 100]),
)  # fmt: skip
def test_any_window_is_as_if_it_were_read_at_once(noisy, row, col, height, width, cells):
    source_window = SourceWindow(0, Window(row, col, height, width))
    tiles = TileCache([noisy], budget=cells * 16 * 16 * 4, cell_size=16)
    expected = tiles.read_once(source_window)
    for _ in range(2):
        assert same(tiles.read(source_window), expected)
    assert len(tiles._cells) <= cells
    inside = np.zeros((height, width), bool)
    inside[max(0, -row) : 70 - row, max(0, -col) : 50 - col] = True
    assert (expected.valid == inside).all()
    assert (expected.labels[~inside] == BLANK).all() and (expected.image[:, ~inside] == 0).all()


def test_threads_decode_a_cell_once_and_read_the_same(noisy, monkeypatch):
    tiles, decoded = TileCache([noisy], cell_size=16), []
    decode = tiles._decode
    monkeypatch.setattr(tiles, "_decode", lambda *cell: decoded.append(cell) or decode(*cell))
    source_windows = [
        SourceWindow(0, Window(r, c, 20, 20)) for r in range(0, 60, 5) for c in range(0, 40, 5)
    ] * 3
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(tiles.read, source_windows))
    assert len(decoded) == len(set(decoded)) == 5 * 4
    assert all(
        same(tile, tiles.read(source_window))
        for source_window, tile in zip(source_windows, read, strict=True)
    )


def test_forgotten_cells_are_decoded_again(noisy, monkeypatch):
    tiles, decoded = TileCache([noisy], cell_size=16), []
    decode = tiles._decode
    monkeypatch.setattr(tiles, "_decode", lambda *cell: decoded.append(cell) or decode(*cell))
    source_window = SourceWindow(0, Window(0, 0, 8, 8))
    before = tiles.read(source_window)
    tiles.forget()
    assert same(before, tiles.read(source_window)) and len(decoded) == 2


def test_a_cell_that_cannot_be_read_is_tried_again(noisy, monkeypatch):
    tiles, tries = TileCache([noisy], cell_size=16), []
    decode = tiles._decode

    def fails_once(*cell):
        tries.append(cell)
        if len(tries) == 1:
            raise SceneError("scene.tif: unplugged")
        return decode(*cell)

    monkeypatch.setattr(tiles, "_decode", fails_once)
    source_window = SourceWindow(0, Window(0, 0, 8, 8))
    with pytest.raises(SceneError, match="unplugged"):
        tiles.read(source_window)
    assert tiles.read(source_window).valid.all() and len(tries) == 2
