from dataclasses import replace

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from geofcn.core.pixels import BLANK, CONTACT, HOUSE, Normalisation
from geofcn.core.windows import Window, training_windows
from geofcn.io.labels import open_labelled_scene
from geofcn.recipes import DEFAULT, EXERCISE
from geofcn.training.augment import ZOOM, AffineSample
from geofcn.training.loader import BatchLoader, jitter_window, normalised_arrays
from geofcn.training.tiles import SourceWindow, TileCache, TrainingTile

PLAIN = Normalisation(np.zeros((3, 1, 1), np.float32), np.ones(3, np.float32))
SHUFFLED = replace(DEFAULT, scale=1, tile=8, stride=8, augment="none", batch=4)
VARIED = replace(SHUFFLED, augment="all", scale=4)


@pytest.fixture
def numbered(write_raster):
    """A source whose 3 x 2 tiles of 8 x 8 are told apart by their value: 1 to 6, row by row."""
    values = np.kron(np.arange(1, 7).reshape(3, 2), np.ones((8, 8))).astype(np.uint8)
    labels = np.zeros((24, 16), np.uint8)
    labels[::8, ::8] = 1
    return open_labelled_scene(
        write_raster("n.tif", np.repeat(values[None], 3, axis=0)), write_raster("l.tif", labels)
    )


@pytest.fixture
def large(write_raster):
    """A source of 96 x 96 noisy pixels."""
    random = np.random.default_rng(0)
    image = random.integers(1, 255, (3, 96, 96)).astype(np.uint8)
    labels = (random.random((96, 96)) < 0.2).astype(np.uint8)
    return open_labelled_scene(write_raster("s.tif", image), write_raster("l.tif", labels))


def batches_of(source, recipe, held_out=(), budget=None, threads=None, normalisation=PLAIN):
    scene = source.scene
    windows = training_windows(scene.height, scene.width, recipe.tile, recipe.stride)
    # Cells of 8 pixels, and regions of 16: small scenes have many, too.
    tiles = TileCache([source], recipe.normalise == "image", budget, cell_size=8)
    chosen = [SourceWindow(0, window) for window in windows]
    return BatchLoader(tiles, chosen, normalisation, recipe, held_out, threads, region_cells=2)


def values_of(batches, epoch, start=0) -> list[int]:
    return [int(i[0].max()) for batch in batches.epoch(epoch, start) for i in batch.images]


def test_in_the_exercise_tiles_come_in_column_order_in_every_epoch(numbered):
    recipe = replace(EXERCISE, tile=8, stride=8)
    for epoch in (1, 2):
        assert values_of(batches_of(numbered, recipe), epoch) == [1, 3, 5, 2, 4, 6]


def test_shuffling_depends_on_seed_and_epoch_alone(numbered):
    orders = {
        (seed, epoch): values_of(batches_of(numbered, replace(SHUFFLED, seed=seed)), epoch)
        for seed in (1, 2)
        for epoch in (1, 2, 3)
    }
    assert all(sorted(order) == [1, 2, 3, 4, 5, 6] for order in orders.values())
    assert len({tuple(order) for order in orders.values()}) > 3
    assert orders[1, 2] == values_of(batches_of(numbered, replace(SHUFFLED, seed=1)), 2)


def test_a_batch_is_normalised_images_and_shares(numbered):
    recipe = replace(EXERCISE, tile=8, stride=8, batch=4)
    mean = Normalisation(np.full((3, 8, 8), 2, np.float32), np.ones(3, np.float32))
    batches = batches_of(numbered, recipe, normalisation=mean)
    assert len(batches) == 2
    first, second = batches.epoch(1)
    assert first.images.shape == (4, 3, 8, 8) and second.images.shape == (2, 3, 8, 8)
    arrays = (first.images, first.houses, first.known)
    assert {array.dtype for array in arrays} == {np.dtype(np.float32)}
    assert first.contacts is first.contacts_known is None
    assert [image.mean() for image in first.images] == [-1, 1, 3, 0]
    assert first.houses.sum() == 4 and first.houses[:, 0, 0].all() and first.known.all()


def test_blocks_by_hand():
    image = np.arange(16, dtype=np.uint8).reshape(1, 4, 4)
    valid, labels = np.ones((4, 4), bool), np.zeros((4, 4), np.uint8)
    valid[0, 0] = False
    labels[0] = [BLANK, 1, 1, 1]
    plain = Normalisation(np.full((1, 1, 1), 2, np.float32), np.ones(1, np.float32))
    means, houses, known = normalised_arrays(TrainingTile(image, valid, labels), plain, 2)
    # The blank pixel is 0 after normalisation and counts as such.
    assert means[0, 0, 0] == (0 + (1 - 2) + (4 - 2) + (5 - 2)) / 4
    assert (houses == [[0.25, 0.5], [0, 0]]).all()
    assert (known == [[0.75, 1], [1, 1]]).all()


def test_moved_tiles_are_parts_of_the_scene_as_it_lies(large):
    recipe = replace(SHUFFLED, augment="moves")
    image, _ = large.scene.read(large.scene.window)
    parts = {
        image[:, row : row + 8, col : col + 8].tobytes() for row in range(89) for col in range(89)
    }
    batches = batches_of(large, recipe)
    moved = [tile.astype(np.uint8) for batch in batches.epoch(1) for tile in batch.images]
    assert all(tile.tobytes() in parts for tile in moved)
    as_they_are = {image[:, *window.slices].tobytes() for _, window in batches.windows}
    assert sum(tile.tobytes() in as_they_are for tile in moved) < len(moved) / 4


@pytest.mark.parametrize("factor", [2, 3])
def test_tiles_of_a_scene_of_smaller_pixels_are_seen_at_the_resolution_of_the_first(
    numbered, write_raster, factor
):
    """The same scene with each pixel as `factor` x `factor` smaller ones: the same tiles."""
    grid = {"transform": numbered.scene.transform * Affine.scale(1 / factor)}
    scene, whole = numbered.scene, numbered.scene.window
    image, labels = scene.read(whole)[0], numbered.labels.read(whole)
    fine = open_labelled_scene(
        write_raster("f.tif", image.repeat(factor, 1).repeat(factor, 2), **grid),
        write_raster("fl.tif", labels.repeat(factor, 0).repeat(factor, 1), **grid),
    )
    windows = [
        SourceWindow(0, Window(8, 0, 8, 8)),
        SourceWindow(1, Window(8 * factor, 0, 8 * factor, 8 * factor)),
    ]
    batches = BatchLoader(TileCache([numbered, fine]), windows, PLAIN, SHUFFLED)
    (batch,) = batches.epoch(1)
    for array in (batch.images, batch.houses, batch.known):
        assert (array[0] == array[1]).all()
    assert batch.houses.sum() == 2
    moves = BatchLoader(batches.tiles, windows[1:], PLAIN, replace(SHUFFLED, augment="moves"))
    every = BatchLoader(batches.tiles, windows[1:], PLAIN, replace(VARIED, scale=1))
    for moving in (moves, every):
        assert [batch.images.shape for batch in moving.epoch(1)] == [(1, 3, 8, 8)]


# --- epochs that go on, threads, memory ---


def equal(a, b) -> bool:
    return all(
        np.array_equal(x, y) for x, y in zip(vars(a).values(), vars(b).values(), strict=True)
    )


@pytest.mark.parametrize("budget", [1, 40 * 8 * 8 * 5, None])
@pytest.mark.parametrize("start", [0, 5])
def test_an_epoch_is_the_same_for_any_threads_and_goes_on_anywhere(large, budget, start):
    expected = list(batches_of(large, VARIED, budget=budget).epoch(3))
    assert len(expected) == len(batches_of(large, VARIED)) == 36
    for threads in (1, 3):
        batches = batches_of(large, VARIED, budget=budget, threads=threads)
        rest = list(batches.epoch(3, start))
        assert all(map(equal, rest, expected[start:])) and len(rest) == 36 - start
    assert not equal(expected[0], next(batches_of(large, VARIED, budget=budget).epoch(4)))


def test_a_cell_is_decoded_once_an_epoch_however_little_fits(large, monkeypatch):
    # Three groups of 9 regions of 2 x 2 cells, of 36 regions.
    batches = batches_of(large, SHUFFLED, budget=3 * 36 * 8 * 8 * 5 + 100)
    decoded, decode = [], batches.tiles._decode
    monkeypatch.setattr(batches.tiles, "_decode", lambda *c: decoded.append(c) or decode(*c))
    assert [len(group) for group in batches.order(1)] == [36] * 4
    assert sum(len(batch.images) for batch in batches.epoch(1)) == 144
    assert len(decoded) == len(set(decoded)) == 144
    assert len(batches.tiles._cells) <= 108


def test_the_next_epoch_starts_with_cells_that_are_decoded(large):
    recipe = replace(SHUFFLED, epochs=2)
    for epoch, ready in ((1, True), (2, False)):
        batches = batches_of(large, recipe, budget=3 * 36 * 8 * 8 * 5 + 100)
        list(batches.epoch(epoch))
        first = {batches.windows[number] for number in batches.order(epoch + 1)[0]}
        assert (first <= set(batches.tiles._cells)) == ready


def test_what_fits_is_shuffled_as_a_whole(large):
    batches = batches_of(large, SHUFFLED, budget=144 * 8 * 8 * 5)
    (order,) = batches.order(1)
    assert sorted(order) == list(range(144))
    regions = [batches._region(number) for number in order[:36]]
    assert len(set(regions)) > 18, "from everywhere"


def test_an_error_of_a_thread_is_raised(large, monkeypatch):
    batches = batches_of(large, SHUFFLED)

    def broken(number, cell):
        raise OSError("unplugged")

    monkeypatch.setattr(batches.tiles, "_decode", broken)
    with pytest.raises(OSError, match="unplugged"):
        list(batches.epoch(1))


# --- moved tiles ---


@given(
    side=st.integers(10, 34), row=st.integers(0, 30), col=st.integers(0, 30),
    height=st.integers(20, 90), width=st.integers(20, 90), seed=st.integers(0, 99),
)  # fmt: skip
def test_a_moved_window_is_near_and_on_the_scene(side, row, col, height, width, seed):
    window = Window(row * 2, col * 2, 16, 16)
    moved = jitter_window(window, side, 8, height, width, np.random.default_rng(seed))
    assert moved.height == moved.width == side
    for start, old, length in ((moved.row, window.row, height), (moved.col, window.col, width)):
        assert start == 0 or 0 < start <= length - side
        if 0 < start < length - side:
            assert abs(start + side / 2 - old - 8) <= 5


def test_moved_tiles_keep_a_tiles_distance_from_what_is_scored(large):
    block = Window(0, 0, 32, 32)
    free, near = SourceWindow(0, Window(48, 48, 8, 8)), SourceWindow(0, Window(32 + 8, 0, 8, 8))
    batches = batches_of(large, VARIED, held_out=[SourceWindow(0, block)])
    moved = {
        source_window: {
            batches._jitter(source_window, 11, np.random.default_rng(n)) for n in range(200)
        }
        for source_window in (free, near)
    }
    assert None not in moved[free] and len(moved[free]) > 50
    assert None in moved[near] and len(moved[near]) > 5
    for _, window in filter(None, moved[free] | moved[near]):
        assert window.intersect(block.grow(8)).pixels == 0
    elsewhere = batches_of(large, VARIED, held_out=[SourceWindow(1, block)])
    assert all(elsewhere._jitter(near, 11, np.random.default_rng(n)) for n in range(200))


def test_nothing_near_what_is_scored_is_read(large, monkeypatch):
    block = Window(0, 0, 32, 32)
    batches = batches_of(large, VARIED, held_out=[SourceWindow(0, block)])
    batches.windows = [SourceWindow(0, Window(40, col, 8, 8)) for col in range(0, 88, 8)]
    sides, read = set(), batches.tiles.read

    def watched(source_window):
        assert source_window.window.intersect(block.grow(8)).pixels == 0
        sides.add(source_window.window.height)
        return read(source_window)

    monkeypatch.setattr(batches.tiles, "read", watched)
    for epoch in range(1, 21):
        for batch in batches.epoch(epoch):
            assert batch.images.shape[2:] == (2, 2)
    assert 8 in sides and max(sides) > 8 * np.exp(ZOOM)
    assert max(sides) <= AffineSample(np.pi / 4, np.exp(ZOOM), False).side(8)


def test_a_net_that_tells_where_houses_meet_is_given_where_they_do():
    classes = np.uint8([[0, 1], [HOUSE | CONTACT, CONTACT]]).repeat(4, 0).repeat(4, 1)
    tile = TrainingTile(np.zeros((3, 8, 8), np.uint8), np.ones((8, 8), bool), classes)
    image, houses, known, contacts, contacts_known = normalised_arrays(tile, PLAIN, 4, True)
    assert houses.tolist() == [[0, 1], [1, 0]] and contacts.tolist() == [[0, 0], [1, 1]]
    assert known.all() and contacts_known.all() and len(image) == 3
    assert len(normalised_arrays(tile, PLAIN, 4)) == 3
