"""Data loader: batches of shuffled, augmented tiles, prepared by threads ahead of the optimiser.

Order and augmentation depend on the random seed, the epoch and the tile alone: they are the same
for any number of threads, and for a training that goes on in the middle of an epoch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import groupby, pairwise

import numpy as np

from geofcn.core.pixels import Normalisation, contacts_and_known, houses_and_known
from geofcn.core.resampling import Ratio, area_sum
from geofcn.core.windows import Window, ceil_div
from geofcn.recipes import Recipe
from geofcn.runtime import cores
from geofcn.training.augment import AffineSample, colour_jitter, random_affine, random_hflip
from geofcn.training.layout import tile_layouts
from geofcn.training.tiles import SourceWindow, TileCache, TrainingTile
from geofcn.training.trainer import Batch

# Tiles are shuffled in regions of this many cells a side, so that few cells are decoded more than
# once an epoch however small a part of the scene fits in memory: those around a region.
REGION_CELLS = 6
# Prepared batches that wait for the optimiser, and tiles in them, at the least.
AHEAD_BATCHES, AHEAD_TILES = 4, 16
# A tile that is its window.
AS_IT_IS = AffineSample(0.0, 1.0, False)


def normalised_arrays(
    tile: TrainingTile, normalisation: Normalisation, block: int, contacts: bool = False
) -> list[np.ndarray]:
    """Normalised image and shares of what is labelled of a tile, as means of blocks.

    Parameters
    ----------
    tile : TrainingTile
        Of n x n pixels.
    normalisation : Normalisation
        Of the net's input.
    block : int
        Side of a block in pixels; it divides n.
    contacts : bool
        Whether contacts count.

    Returns
    -------
    list of float32 array
        (bands, n / block, n / block), and (n / block, n / block) of houses and of labelled pixels;
        with contacts, of these and of where they are known, too.
    """
    image = normalisation.area_means(tile.image, tile.valid, Ratio(block))
    masks = [*houses_and_known(tile.labels)]
    if contacts:
        masks += contacts_and_known(tile.labels)
    shares = (area_sum(mask, Ratio(block), np.uint16) / np.float32(block**2) for mask in masks)
    return [image, *shares]


def jitter_window(
    window: Window, side: int, stride: int, height: int, width: int, random: np.random.Generator
) -> Window:
    """Draw a window of `side` x `side` pixels near `window`.

    Its middle is off by up to half a stride along each axis.

    Parameters
    ----------
    window : Window
        A tile's.
    side, stride : int
        Pixels.
    height, width : int
        Of the scene, in pixels. The new window lies on it where it is large enough; else the
        window starts at its first row or column.
    random : numpy.random.Generator
        Where the draws come from.
    """
    shift = random.integers(-(stride // 2), stride // 2 + 1, size=2)
    rows, cols = (window.height - side) // 2 + shift
    row = max(0, min(window.row + int(rows), height - side))
    col = max(0, min(window.col + int(cols), width - side))
    return Window(row, col, side, side)


def _centred(source_window: SourceWindow, side: int) -> SourceWindow:
    """The window of `side` x `side` pixels with the same middle, as nearly as whole pixels can."""
    source, window = source_window
    margin = (window.height - side) // 2
    return SourceWindow(source, Window(window.row + margin, window.col + margin, side, side))


class BatchLoader:
    """All batches of a training, epoch by epoch.

    Parameters
    ----------
    tiles : TileCache
        Where tiles are read.
    windows : sequence of SourceWindow
        Of the tiles, in column order.
    normalisation : Normalisation
        Of the net's input.
    recipe : Recipe
        Batch size, order and augmentation.
    held_out : sequence of SourceWindow
        Windows to stay a tile's distance away from, wherever tiles are moved.
    threads : int, optional
        That prepare batches; default: one for each core.
    region_cells : int
        Side of the regions in which tiles are shuffled, in cells of `tiles`.
    """

    def __init__(
        self,
        tiles: TileCache,
        windows: Sequence[SourceWindow],
        normalisation: Normalisation,
        recipe: Recipe,
        held_out: Sequence[SourceWindow] = (),
        threads: int | None = None,
        region_cells: int = REGION_CELLS,
    ):
        self.tiles = tiles
        self.windows = windows
        self.recipe = recipe
        self.threads = threads or cores()
        self.region_cells = region_cells
        self._normalisation = normalisation
        self._layouts = tile_layouts(tiles.sources, recipe)
        self._held_out = held_out
        self._all_fit = tiles.total_bytes() <= tiles.budget

    def __len__(self) -> int:
        """Steps of an epoch."""
        return ceil_div(len(self.windows), self.recipe.batch)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Iterate over the batches of `epoch` (from 1), from number `start` (from 0) on."""
        size = self.recipe.batch
        groups = self.order(epoch)
        order = [number for group in groups for number in group]
        ahead = max(AHEAD_BATCHES, AHEAD_TILES // size)
        prefetch = self._prefetch([*groups, *self._start_of(epoch + 1)])
        with ThreadPoolExecutor(self.threads) as pool:
            pending: deque[Future[Batch]] = deque()
            try:
                for first in range(start * size, len(order), size):
                    numbers = order[first : first + size]
                    pending.append(pool.submit(self._batch, epoch, numbers))
                    for number in numbers:
                        for source_window in prefetch.get(number, ()):
                            pool.submit(self.tiles.load, source_window)
                    if len(pending) > ahead:
                        yield pending.popleft().result()
                while pending:
                    yield pending.popleft().result()
            finally:
                pool.shutdown(cancel_futures=True)

    def order(self, epoch: int) -> list[list[int]]:
        """Order of the tiles' numbers in `epoch` (from 1), in groups that fit in memory.

        Tiles are shuffled within a group. Where the cache does not hold all, a group is as many
        regions, drawn at random, as a third of it holds: with the group before and the one to come
        that is what is needed at a time.
        """
        if not self.recipe.shuffle:
            return [list(range(len(self.windows)))]
        random = np.random.default_rng([self.recipe.seed, epoch])
        if self._all_fit:
            return [random.permutation(len(self.windows)).tolist()]
        numbers = sorted(range(len(self.windows)), key=self._region)
        regions = [list(members) for _, members in groupby(numbers, key=self._region)]
        groups: list[list[int]] = []
        free_bytes = 0
        for index in random.permutation(len(regions)):
            source = self.windows[regions[index][0]].source
            region_bytes = self.region_cells**2 * self.tiles.cell_bytes(source)
            if not groups or region_bytes > free_bytes:
                groups.append([])
                free_bytes = self.tiles.budget // 3
            groups[-1] += regions[index]
            free_bytes -= region_bytes
        return [random.permutation(group).tolist() for group in groups]

    def _start_of(self, epoch: int) -> list[list[int]]:
        """The first group of an epoch, where there is one and it has to be decoded anew."""
        if self._all_fit or not self.recipe.shuffle or epoch > self.recipe.epochs:
            return []
        return self.order(epoch)[:1]

    def _region(self, number: int) -> tuple[int, int, int]:
        source, window = self.windows[number]
        side = self.region_cells * self.tiles.cell_size
        return source, window.row // side, window.col // side

    def _prefetch(self, groups: list[list[int]]) -> dict[int, list[SourceWindow]]:
        """The windows of the next group to decode while a tile is trained on, by its number."""
        return {
            current: [self.windows[number] for number in following[i :: len(group)]]
            for group, following in pairwise(groups)
            for i, current in enumerate(group)
        }

    def _batch(self, epoch: int, numbers: list[int]) -> Batch:
        tiles = [self._augmented(epoch, number) for number in numbers]
        return Batch(*(np.stack(arrays) for arrays in zip(*tiles, strict=True)))

    def _augmented(self, epoch: int, number: int) -> list[np.ndarray]:
        """The arrays of a Batch, of one tile as it is seen in an epoch."""
        source_window, recipe = self.windows[number], self.recipe
        upright = AffineSample(0.0, self._layouts[source_window.source].zoom, False)
        if recipe.augment == "none":
            return self._sampled(_centred(source_window, upright.side(recipe.tile)), upright)
        random = np.random.default_rng([recipe.seed, epoch, number])
        if recipe.augment == "all":
            sample = random_affine(recipe.tilt, random, upright.zoom)
            moved = self._jitter(source_window, sample.side(recipe.tile), random)
            if moved is not None:
                image, *labels = self._sampled(moved, sample)
                return [colour_jitter(image, random), *labels]
        side = upright.side(recipe.tile)
        moved = self._jitter(source_window, side, random) or _centred(source_window, side)
        arrays = self._sampled(moved, upright)
        if recipe.augment == "moves":
            return arrays
        image, *labels = random_hflip(arrays, random)
        return [colour_jitter(image, random), *labels]

    def _sampled(self, source_window: SourceWindow, sample: AffineSample) -> list[np.ndarray]:
        """The arrays of a Batch, of the tile that is sampled from a window."""
        tile = self.tiles.read(source_window)
        if sample != AS_IT_IS:
            arrays = sample.take([tile.image, tile.valid, tile.labels], self.recipe.tile)
            tile = TrainingTile(*arrays)
        contacts = self.recipe.contacts == "yes"
        return normalised_arrays(tile, self._normalisation, self.recipe.scale, contacts)

    def _jitter(
        self, source_window: SourceWindow, side: int, random: np.random.Generator
    ) -> SourceWindow | None:
        """Another window of `side` pixels near by; None where it meets what is scored."""
        source, window = source_window
        whole = self.tiles.sources[source].scene.window
        layout = self._layouts[source]
        moved = jitter_window(window, side, layout.stride, *whole.shape, random)
        near = moved.grow(layout.tile)
        if any(number == source and near.intersect(out).pixels for number, out in self._held_out):
            return None
        return SourceWindow(source, moved)
