import logging
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geofcn.core.pixels import BLANK
from geofcn.core.windows import Window, training_windows
from geofcn.errors import LabelsError
from geofcn.recipes import DEFAULT, EXERCISE
from geofcn.training.sampling import held_out_blocks, point_out_corners, select
from geofcn.training.survey import survey
from geofcn.training.tiles import SourceWindow, TileCache

EXERCISE8 = replace(EXERCISE, tile=8, stride=8)
BANDS8 = replace(DEFAULT, tile=8, stride=8)


def some_houses(height, width, seed=0) -> np.ndarray:
    return (np.random.default_rng(seed).random((height, width)) < 0.2).astype(np.uint8)


def choose(sources, recipe, held_out=(), **options):
    """The selection as a training makes it."""
    tiles = TileCache(sources, recipe.normalise == "image")
    return select(tiles, recipe, survey(tiles, recipe), held_out, **options)


def blocks_of(source, tile, fraction) -> list[Window]:
    recipe = replace(BANDS8, tile=tile, stride=tile // 2, validate_fraction=fraction)
    statistics = survey(TileCache([source]), recipe)
    return [window for _, window in held_out_blocks([source], statistics, recipe)]


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


CORNERS = [(8, 0), (0, 8), (0, 16), (8, 16)]


def test_blank_tiles_are_thrown_away_unless_they_hold_a_house(source):
    selection = choose([source(*six_tiles())], EXERCISE8)
    assert [(w.row, w.col) for _, w in selection.windows] == CORNERS, "column order"
    assert selection.candidates == 6
    assert selection.house_share == 2 / (4 * 64)
    image, _ = six_tiles()
    mean = sum(image[:, r : r + 8, c : c + 8].astype(float) for r, c in CORNERS) / 4
    np.testing.assert_allclose(selection.normalisation.mean, mean)


def test_the_default_recipe_takes_zeros_for_blank_too_when_it_chooses(source):
    selection = choose([source(*six_tiles())], BANDS8)
    assert [(w.row, w.col) for _, w in selection.windows] == CORNERS


@settings(max_examples=15)
@given(
    height=st.integers(9, 60),
    width=st.integers(9, 60),
    tile=st.sampled_from([6, 8]),
    stride=st.sampled_from([2, 3, 4, 6]),
    seed=st.integers(0, 5),
)
def test_tiles_are_chosen_as_if_each_were_looked_at(source, height, width, tile, stride, seed):
    random = np.random.default_rng(seed)
    image = random.integers(0, 3, (2, height, width)).astype(np.uint8)
    image[:, : height // 2, : width // 2] = 0
    labels = (random.random((height, width)) < 0.02).astype(np.uint8)
    labels[random.random((height, width)) < 0.5] = 255
    labels[:6, :6] = [0, 1] * 3
    pair = source(image, labels, labels_nodata=255)
    for recipe in (
        replace(EXERCISE8, tile=tile, stride=stride),
        replace(BANDS8, tile=tile, stride=stride),
    ):
        tiles = TileCache([pair], recipe.normalise == "image")
        expected = []
        for window in training_windows(height, width, tile, stride):
            read = tiles.read(SourceWindow(0, window))
            blank = ((read.image == 0) | ~read.valid).sum()
            is_kept = (read.labels == 1).any() or blank <= read.image.size / 2
            if is_kept and (read.labels != BLANK).any():
                expected.append((0, window))
        assert list(choose([pair], recipe).windows) == expected


def test_blank_values_do_not_enter_the_statistics(source):
    image, labels = six_tiles()
    selection = choose([source(image, labels, nodata=0)], BANDS8)
    assert [(w.row, w.col) for _, w in selection.windows] == CORNERS[1:], (
        "its house is blank: unknown"
    )
    assert selection.normalisation.mean.item() == 50


def test_a_tile_without_any_label_is_thrown_away(source):
    labels = some_houses(8, 16)
    labels[:, :8] = 255
    pair = source(np.ones((1, 8, 16), np.uint8), labels, labels_nodata=255)
    for recipe in (EXERCISE8, BANDS8):
        assert [w.col for _, w in choose([pair], recipe).windows] == [8]


@pytest.mark.parametrize("recipe", [EXERCISE8, BANDS8])
def test_a_stride_that_does_not_divide_the_tile_reads_no_window_off_the_scene(source, recipe):
    # 257 pixels at a stride of 96 once asked for a window that starts at 288.
    pair = source(np.ones((1, 17, 17), np.uint8), some_houses(17, 17))
    selection = choose([pair], replace(recipe, stride=6))
    assert selection.candidates == len(list(training_windows(17, 17, 8, 6)))


def test_several_sources_are_told_apart(source):
    pairs = [
        source(np.full((1, 8, 8), v, np.uint8), some_houses(8, 8, v), name=str(v)) for v in (10, 30)
    ]
    selection = choose(pairs, EXERCISE8)
    assert [number for number, _ in selection.windows] == [0, 1]
    assert (selection.normalisation.mean == 20).all()


def test_progress_counts_every_pixel_and_tile(source):
    amounts = []

    class Bar:
        def __enter__(self):
            return self

        def __exit__(self, *exception):
            pass

        def advance(self, amount, **figures):
            amounts.append(amount)

    tiles = TileCache([source(*six_tiles())], zero_padding=True)

    def progress(what, total, unit):
        amounts.append(total)
        return Bar()

    select(tiles, EXERCISE8, survey(tiles, EXERCISE8, progress), progress=progress)
    assert amounts == [16 * 24, 16 * 24, 4] + [1] * 4, (
        "pixels looked at, then tiles of the mean image"
    )


@pytest.mark.parametrize(
    ("labels", "message"),
    [(np.zeros((8, 8)), "no house"), (np.ones((8, 8)), "every pixel a house")],
)
def test_labels_of_one_class_are_refused(source, labels, message):
    pair = source(np.ones((1, 8, 8), np.uint8), labels.astype(np.uint8))
    with pytest.raises(LabelsError, match=rf"scene-labels\.tif.*{message}"):
        choose([pair], EXERCISE8)


def test_nothing_to_learn_is_refused(source):
    pair = source(np.zeros((1, 8, 8), np.uint8), some_houses(8, 8), nodata=0)
    with pytest.raises(LabelsError, match="labelled and not blank"):
        choose([pair], BANDS8)


def test_swapped_classes_are_pointed_out(source, caplog):
    pair = source(np.ones((1, 8, 8), np.uint8), 1 - some_houses(8, 8))
    with caplog.at_level(logging.WARNING, "geofcn"):
        choose([pair], EXERCISE8)
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
    held_out = blocks_of(pair, tile, fraction)
    owners = np.zeros((height, width), int)
    for block in held_out:
        assert block.row % tile == block.col % tile == 0
        assert block == block.clip(height, width) and block.pixels
        owners[block.slices] += 1
    assert owners.max() <= 1
    near = np.zeros((height, width), bool)
    for block in held_out:
        near[block.grow(tile).clip(height, width).slices] = True

    def is_free(window: Window) -> bool:
        inside = window.clip(height, width)
        is_kept = 2 * inside.pixels >= window.pixels or labels[inside.slices].any()
        return bool(is_kept) and not near[inside.slices].any()

    free = [
        window for window in training_windows(height, width, tile, tile // 2) if is_free(window)
    ]
    if any(labels[window.slices].any() for window in free):
        selection = choose([pair], recipe, [SourceWindow(0, block) for block in held_out])
        assert [window for _, window in selection.windows] == free
    else:
        with pytest.raises(LabelsError):
            choose([pair], recipe, [SourceWindow(0, block) for block in held_out])


def test_about_the_fraction_is_held_out(source):
    pair = source(np.ones((1, 320, 240), np.uint8), some_houses(320, 240))
    held_out = blocks_of(pair, 8, 0.15)
    share = sum(block.pixels for block in held_out) / (320 * 240)
    assert 0.1 < share < 0.2


def test_the_corner_most_like_its_scene_is_held_out(source):
    labels = np.zeros((64, 64), np.uint8)
    labels[:, 40:] = some_houses(64, 24) | 1  # houses on the right only ...
    labels[:24, :24] = np.arange(24) % 3 == 0  # ... and a third of the upper left corner
    held_out = blocks_of(source(np.ones((1, 64, 64), np.uint8), labels), 8, 0.15)
    assert held_out == [Window(0, 0, 24, 24)]


def test_blocks_of_another_scene_do_not_matter(source):
    pair = source(np.ones((1, 8, 8), np.uint8), some_houses(8, 8))
    assert len(choose([pair], BANDS8, [SourceWindow(1, Window(0, 0, 8, 8))]).windows) == 1


# --- houses of one corner ---


def corners_of(pair, caplog) -> str:
    caplog.clear()
    point_out_corners([pair], survey(TileCache([pair]), BANDS8))
    return caplog.text


def test_houses_of_one_corner_only_are_pointed_out(source, caplog):
    """Once such labels trained on no houses elsewhere, without a word."""
    labels = np.zeros((64, 64), np.uint8)
    labels[2:6, 2:6] = labels[10:14, 18:22] = 1
    image = np.ones((1, 64, 64), np.uint8)
    text = corners_of(source(image, labels), caplog)
    assert "all of its houses lie in 9.4 % of" in text and "--area" in text
    labels[40, 40] = 1
    assert corners_of(source(image, labels, name="spread"), caplog) == ""


def test_what_is_unlabelled_or_blank_is_no_part_of_the_scene(source, caplog):
    labels = np.full((64, 64), 255, np.uint8)
    labels[:16, :24] = 0
    labels[2:6, 2:6] = 1
    image = np.ones((1, 64, 64), np.uint8)
    assert corners_of(source(image, labels, labels_nodata=255), caplog) == ""
    image[:, 16:] = 0
    image[:, :, 24:] = 0
    labels[labels == 255] = 0
    assert corners_of(source(image, labels, nodata=0, name="blank"), caplog) == ""
    assert corners_of(source(image, 0 * labels, name="none"), caplog) == ""
