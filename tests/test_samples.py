import logging
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geofcn import samples
from geofcn.config import DEFAULT_RECIPE, SEED_RECIPE
from geofcn.errors import LabelsError
from geofcn.grid import Window, training_windows
from geofcn.labels import open_source
from geofcn.pixels import BLANK, HOUSE
from geofcn.samples import TileSet, held_out_blocks, read_tile, select

SEED8 = replace(SEED_RECIPE, tile=8, stride=8)
BANDS8 = replace(DEFAULT_RECIPE, tile=8, stride=8)


@pytest.fixture
def source(write_raster):
    """source(image, labels, **profile) -> Source."""

    def make(image, labels, nodata=None, labels_nodata=None, name="scene"):
        return open_source(
            write_raster(f"{name}.tif", image, nodata=nodata),
            write_raster(f"{name}-labels.tif", labels, nodata=labels_nodata),
        )

    return make


def some_houses(height, width, seed=0) -> np.ndarray:
    return (np.random.default_rng(seed).random((height, width)) < 0.2).astype(np.uint8)


# --- what a tile looks like ---


def test_the_seeds_padding_is_raw_zero_and_background(source):
    pair = source(np.full((2, 10, 9), 7, np.uint8), np.ones((10, 9), np.uint8))
    tile = read_tile([pair], SEED8, (0, Window(8, 8, 8, 8)))
    expected = np.zeros((8, 8), np.uint8)
    expected[:2, :1] = 1
    assert (tile.image == 7 * expected).all() and tile.image.shape == (2, 8, 8)
    assert (tile.labels == expected).all()
    assert tile.valid.all(), "to the seed, blank is a value like any other"


def test_the_seed_sees_blank_pixels_as_zeros_and_trusts_their_labels(source):
    image = np.full((1, 8, 8), 7, np.float32)
    image[0, 0] = np.nan
    image[0, 1] = -9999
    labels = np.zeros((8, 8), np.uint8)
    labels[0, :3] = 1
    tile = read_tile([source(image, labels, nodata=-9999)], SEED8, (0, Window(0, 0, 8, 8)))
    assert (tile.image[0, :2] == 0).all() and (tile.image[0, 2:] == 7).all()
    assert (tile.labels == labels).all()


def test_the_default_recipe_learns_nothing_where_it_is_blank(source):
    image = np.full((1, 10, 9), 7, np.uint8)
    image[0, 8] = 0
    labels = np.ones((10, 9), np.uint8)
    labels[9, 8] = 0
    tile = read_tile([source(image, labels, nodata=0)], BANDS8, (0, Window(8, 8, 8, 8)))
    expected = np.full((8, 8), BLANK)
    expected[1, 0] = 0
    assert (tile.labels == expected).all()
    assert tile.valid.sum() == 1 and tile.valid[1, 0]


def test_what_is_not_labelled_is_not_learnt(source):
    labels = np.zeros((8, 8), np.uint8)
    labels[:2] = 255
    pair = source(np.ones((1, 8, 8), np.uint8), labels, labels_nodata=255)
    for recipe in (SEED8, BANDS8):
        assert (read_tile([pair], recipe, (0, Window(0, 0, 8, 8))).labels == labels).all()


# --- which tiles are kept ---


def six_tiles():
    """2 x 3 tiles of 8 x 8: all blank, all blank with a house; half blank, a pixel more; full."""
    image = np.full((1, 16, 24), 50, np.uint8)
    labels = np.zeros((16, 24), np.uint8)
    image[:, :8, :8] = 0  # rows 0-7, columns 0-7: blank
    image[:, 8:, :8] = 0  # below: blank, with a house
    labels[9, 1] = 1
    image[:, :4, 8:16] = 0  # exactly half blank
    image[:, 8:12, 8:16] = 0  # half blank and one pixel more
    image[:, 12, 8] = 0
    labels[0, 16] = 1
    return image, labels


KEPT = [(8, 0), (0, 8), (0, 16), (8, 16)]


def test_blank_tiles_are_thrown_away_unless_they_hold_a_house(source):
    selection = select([source(*six_tiles())], SEED8)
    assert [(w.row, w.col) for _, w in selection.places] == KEPT, "column order"
    assert selection.candidates == 6
    assert selection.house_share == 2 / (4 * 64)
    image, _ = six_tiles()
    mean = sum(image[:, r : r + 8, c : c + 8].astype(float) for r, c in KEPT) / 4
    np.testing.assert_allclose(selection.normalisation.mean, mean)


def test_the_default_recipe_takes_zeros_for_blank_too_when_it_chooses(source):
    selection = select([source(*six_tiles())], BANDS8)
    assert [(w.row, w.col) for _, w in selection.places] == KEPT
    values = np.concatenate([six_tiles()[0][0, r : r + 8, c : c + 8].ravel() for r, c in KEPT])
    np.testing.assert_allclose(selection.normalisation.mean, values.mean(), rtol=1e-6)
    np.testing.assert_allclose(selection.normalisation.scale, values.std(), rtol=1e-6)


def test_blank_values_do_not_enter_the_statistics(source):
    image, labels = six_tiles()
    selection = select([source(image, labels, nodata=0)], BANDS8)
    assert [(w.row, w.col) for _, w in selection.places] == KEPT[1:], "its house is blank: unknown"
    assert selection.normalisation.mean.item() == 50


def test_a_tile_without_any_label_is_thrown_away(source):
    labels = some_houses(8, 16)
    labels[:, :8] = 255
    pair = source(np.ones((1, 8, 16), np.uint8), labels, labels_nodata=255)
    for recipe in (SEED8, BANDS8):
        assert [w.col for _, w in select([pair], recipe).places] == [8]


@pytest.mark.parametrize("recipe", [SEED8, BANDS8])
def test_a_stride_that_does_not_divide_the_tile_reads_no_window_off_the_scene(source, recipe):
    # 257 pixels at a stride of 96 once asked for a window that starts at 288.
    pair = source(np.ones((1, 17, 17), np.uint8), some_houses(17, 17))
    selection = select([pair], replace(recipe, stride=6))
    assert selection.candidates == len(list(training_windows(17, 17, 8, 6)))


def test_several_sources_are_told_apart(source):
    pairs = [
        source(np.full((1, 8, 8), v, np.uint8), some_houses(8, 8, v), name=str(v)) for v in (10, 30)
    ]
    selection = select(pairs, SEED8)
    assert [number for number, _ in selection.places] == [0, 1]
    assert (selection.normalisation.mean == 20).all()


def test_progress_counts_every_candidate(source):
    seen = []

    class Bar:
        def __enter__(self):
            return self

        def __exit__(self, *exception):
            pass

        def advance(self, amount, **figures):
            seen.append(amount)

    select(
        [source(*six_tiles())],
        SEED8,
        progress=lambda what, total, unit: seen.append(total) or Bar(),
    )
    assert seen == [6] + [1] * 6


@pytest.mark.parametrize(
    ("labels", "message"),
    [(np.zeros((8, 8)), "no house"), (np.ones((8, 8)), "every pixel a house")],
)
def test_labels_of_one_class_are_refused(source, labels, message):
    pair = source(np.ones((1, 8, 8), np.uint8), labels.astype(np.uint8))
    with pytest.raises(LabelsError, match=rf"scene-labels\.tif.*{message}"):
        select([pair], SEED8)


def test_nothing_to_learn_is_refused(source):
    pair = source(np.zeros((1, 8, 8), np.uint8), some_houses(8, 8), nodata=0)
    with pytest.raises(LabelsError, match="labelled and not blank"):
        select([pair], BANDS8)


def test_swapped_classes_are_pointed_out(source, caplog):
    pair = source(np.ones((1, 8, 8), np.uint8), 1 - some_houses(8, 8))
    with caplog.at_level(logging.WARNING, "geofcn"):
        select([pair], SEED8)
    assert "swapped" in caplog.text


# --- validation blocks ---


@settings(max_examples=12)
@given(
    height=st.integers(20, 90),
    width=st.integers(20, 90),
    tile=st.sampled_from([6, 8]),
    fraction=st.sampled_from([0.05, 0.15, 0.4]),
    seed=st.integers(0, 3),
)
def test_held_out_blocks_keep_a_tile_of_distance_and_the_rest_is_trained_on(
    source, height, width, tile, fraction, seed
):
    labels = some_houses(height, width, seed)
    pair = source(np.ones((1, height, width), np.uint8), labels)
    recipe = replace(BANDS8, tile=tile, stride=tile // 2)
    held = held_out_blocks(pair, tile, fraction)
    owners = np.zeros((height, width), int)
    for block in held:
        assert block.row % tile == block.col % tile == 0
        assert block == block.clip(height, width) and block.pixels
        owners[block.slices] += 1
    assert owners.max() <= 1
    near = np.zeros((height, width), bool)
    for block in held:
        near[block.grow(tile).clip(height, width).slices] = True

    def is_free(window: Window) -> bool:
        inside = window.clip(height, width)
        kept = 2 * inside.pixels >= window.pixels or labels[inside.slices].any()
        return bool(kept) and not near[inside.slices].any()

    free = [w for w in training_windows(height, width, tile, tile // 2) if is_free(w)]
    if any(labels[w.slices].any() for w in free):
        selection = select([pair], recipe, [(0, block) for block in held])
        assert [window for _, window in selection.places] == free
    else:
        with pytest.raises(LabelsError):
            select([pair], recipe, [(0, block) for block in held])


def test_about_the_fraction_is_held_out(source):
    pair = source(np.ones((1, 320, 240), np.uint8), some_houses(320, 240))
    held = held_out_blocks(pair, 8, 0.15)
    share = sum(block.pixels for block in held) / (320 * 240)
    assert 0.1 < share < 0.2


def test_the_corner_most_like_its_scene_is_held_out(source):
    labels = np.zeros((64, 64), np.uint8)
    labels[:, 40:] = some_houses(64, 24) | 1  # houses on the right only ...
    labels[:24, :24] = np.arange(24) % 3 == 0  # ... and a third of the upper left corner
    held = held_out_blocks(source(np.ones((1, 64, 64), np.uint8), labels), 8, 0.15)
    assert held == [Window(0, 0, 24, 24)]


def test_blocks_of_another_scene_do_not_matter(source):
    pair = source(np.ones((1, 8, 8), np.uint8), some_houses(8, 8))
    assert len(select([pair], BANDS8, [(1, Window(0, 0, 8, 8))]).places) == 1


# --- the set of tiles ---


def forty_tiles(source):
    random = np.random.default_rng(0)
    pair = source(random.integers(1, 255, (2, 64, 40)).astype(np.uint8), some_houses(64, 40))
    return [pair], [(0, window) for window in training_windows(64, 40, 8, 8)]


def same(a, b) -> bool:
    return all(np.array_equal(getattr(a, f), getattr(b, f)) for f in ("image", "valid", "labels"))


@pytest.mark.parametrize("room", [0, 3_000, 2**20])
def test_tiles_are_the_same_kept_or_not_in_any_order(source, monkeypatch, room):
    monkeypatch.setattr(samples, "CACHE_BYTES", room)
    sources, places = forty_tiles(source)
    tiles = TileSet(sources, BANDS8, places)
    assert len(tiles) == 40
    random = np.random.default_rng(1)
    for order in (range(40), random.permutation(40).tolist(), [3, 3, 39, 0], []):
        found = list(tiles(order))
        assert len(found) == len(order)
        for number, tile in zip(order, found, strict=True):
            assert same(tile, read_tile(sources, BANDS8, places[number]))
    assert sum(tile.nbytes for tile in tiles._kept.values()) <= room


def test_tiles_that_fit_are_read_once(source, monkeypatch):
    sources, places = forty_tiles(source)
    tiles, reads = TileSet(sources, SEED8, places), []
    read = tiles._read
    monkeypatch.setattr(tiles, "_read", lambda place: reads.append(place) or read(place))
    for _ in range(3):
        assert (
            sum((tile.labels == HOUSE).sum() for tile in tiles(range(40)))
            == some_houses(64, 40).sum()
        )
    assert sorted(reads) == sorted(places)
