"""Training tiles: which ones, what they look like, and how they reach the optimiser.

Tiles are read window by window by dask's tasks; what fits a stated budget is kept decoded, so that
later epochs of a small scene do not read it again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from geofcn.config import Recipe
from geofcn.errors import LabelsError
from geofcn.flow import stream
from geofcn.grid import Window, blocks, training_windows
from geofcn.labels import Source
from geofcn.pixels import BACKGROUND, BLANK, HOUSE, Normalisation, is_kept, pad_to
from geofcn.progress import Progress, silent
from geofcn.stats import BandMoments, MeanImage

CACHE_BYTES = 512 * 2**20
# Validation blocks are laid out anew in every cell of this many tiles a side.
CELL_TILES = 16

log = logging.getLogger("geofcn")


@dataclass(frozen=True)
class Tile:
    """image (bands, W, W) raw, valid (W, W) boolean, labels (W, W) uint8 with 255 for unknown."""

    image: np.ndarray
    valid: np.ndarray
    labels: np.ndarray

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self.image.nbytes + self.valid.nbytes + self.labels.nbytes


def with_zero_padding(tile: Tile) -> Tile:
    """The tile as the seed sees it: blank pixels are raw zeros like any other, and background."""
    image = np.where(tile.valid, tile.image, tile.image.dtype.type(0))
    labels = np.where(~tile.valid & (tile.labels == BLANK), np.uint8(BACKGROUND), tile.labels)
    return Tile(image, np.ones_like(tile.valid), labels)


def without_blank(tile: Tile) -> Tile:
    """The tile with nothing to learn where it is blank."""
    return Tile(tile.image, tile.valid, np.where(tile.valid, tile.labels, np.uint8(BLANK)))


def _padded(source: Source, window: Window, size: int) -> Tile:
    """The window as a `size` x `size` tile, blank and unlabelled beyond the scene's edge."""
    inside = window.clip(source.scene.height, source.scene.width)
    image, valid = source.scene.read(inside)
    labels = source.labels.read(inside)
    return Tile(
        pad_to(image, size, size),
        pad_to(valid, size, size, False),
        pad_to(labels, size, size, BLANK),
    )


def read_tile(sources: Sequence[Source], recipe: Recipe, place: tuple[int, Window]) -> Tile:
    """The tile at `place`, (number of the source, window), as the recipe wants it."""
    number, window = place
    tile = _padded(sources[number], window, recipe.tile)
    return with_zero_padding(tile) if recipe.normalise == "image" else without_blank(tile)


@dataclass(frozen=True)
class Selection:
    """What one streamed pass over all tiles found.

    places         (number of the source, window) of the tiles to train on, in column order
    candidates     how many tiles there were
    house_share    houses among the labelled pixels of the kept tiles, 0 to 1
    normalisation  of the kept tiles
    """

    places: tuple[tuple[int, Window], ...]
    candidates: int
    house_share: float
    normalisation: Normalisation


def select(
    sources: Sequence[Source],
    recipe: Recipe,
    held_out: Sequence[tuple[int, Window]] = (),
    progress: Progress = silent,
) -> Selection:
    """Choose the training tiles and take their statistics, in one pass.

    A tile is thrown away when it is more than half blank and holds no house, when nothing in it is
    labelled, or when it comes within a tile of a `held_out` window of its source. Raises
    LabelsError where that leaves nothing to learn.
    """
    blocked = _cells_near(held_out, recipe.tile)
    places = [
        (number, window)
        for number, source in enumerate(sources)
        for window in training_windows(
            source.scene.height, source.scene.width, recipe.tile, recipe.stride
        )
        if blocked.isdisjoint(_cells(number, window, recipe.tile))
    ]
    kept, statistic, houses, labelled = [], None, 0, 0
    with progress("choosing tiles", len(places), "tiles") as step:
        tiles = stream(partial(read_tile, sources, recipe), places)
        for place, tile in zip(places, tiles, strict=True):
            step.advance(1)
            known = np.count_nonzero(tile.labels != BLANK)
            if not known or not is_kept(tile.image, tile.valid, tile.labels):
                continue
            kept.append(place)
            labelled += known
            houses += np.count_nonzero(tile.labels == HOUSE)
            part = _statistic(recipe, tile)
            statistic = part if statistic is None else statistic + part
    share = houses / labelled if labelled else 0.0
    _refuse_one_class(sources, share, labelled)
    return Selection(tuple(kept), len(places), share, statistic.normalisation())


def _cells(number: int, window: Window, size: int) -> Iterator[tuple[int, int, int]]:
    """The cells of `size` x `size` pixels that a window of source `number` touches."""
    for row in range(window.row // size, (window.bottom - 1) // size + 1):
        for col in range(window.col // size, (window.right - 1) // size + 1):
            yield number, row, col


def _cells_near(held_out: Sequence[tuple[int, Window]], size: int) -> set[tuple[int, int, int]]:
    """The cells of the held-out blocks, which are made of whole ones, and those around them."""
    return {cell for number, block in held_out for cell in _cells(number, block.grow(size), size)}


def _statistic(recipe: Recipe, tile: Tile) -> MeanImage | BandMoments:
    if recipe.normalise == "image":
        return MeanImage.of(tile.image)
    return BandMoments.of(tile.image, tile.valid)


def _refuse_one_class(sources: Sequence[Source], share: float, labelled: int) -> None:
    name = ", ".join(source.labels.path for source in sources)
    if not labelled:
        raise LabelsError(
            f"{name}: no tile of the scene is both labelled and not blank; check that labels and "
            "scene overlap, or use a smaller --tile."
        )
    if share == 0:
        raise LabelsError(f"{name}: the labels hold no house on the scene; check values and CRS.")
    if share == 1:
        raise LabelsError(f"{name}: the labels call every pixel a house; check their values.")
    if share > 0.5:
        log.warning(
            "%s: %.0f %% of the pixels are houses; are house and background swapped?",
            name,
            100 * share,
        )


def held_out_blocks(source: Source, tile: int, fraction: float) -> list[Window]:
    """Blocks of a scene to validate on: about `fraction` of it, as few and as square as possible.

    The scene is cut into cells of up to 16 x 16 tiles. Each gives up one of its corners: the one
    whose share of houses is nearest to the whole cell's, for scores that stand for the scene.
    Blocks start on multiples of `tile`.
    """
    chosen = []
    for cell in blocks(source.scene.window, CELL_TILES * tile):
        height = _side(cell.height, tile, fraction)
        width = _side(cell.width, tile, fraction)
        if height >= cell.height or width >= cell.width:
            continue
        corners = [
            Window(row, col, height, width).intersect(cell)
            for row in (cell.row, _last_start(cell.row, cell.height, height, tile))
            for col in (cell.col, _last_start(cell.col, cell.width, width, tile))
        ]
        wanted = _house_share(source, cell)
        shares = [_house_share(source, corner) for corner in corners]
        if max(shares) > 0:
            chosen.append(corners[int(np.argmin([abs(share - wanted) for share in shares]))])
    return chosen


def _side(length: int, tile: int, fraction: float) -> int:
    """Whole tiles nearest to a side of `fraction`'s square root of `length`; at least one."""
    return max(1, round(length * fraction**0.5 / tile)) * tile


def _last_start(start: int, length: int, side: int, tile: int) -> int:
    """The first pixel of the last `side` pixels, moved back onto a multiple of `tile`."""
    return start + (length - side) // tile * tile


def _house_share(source: Source, window: Window) -> float:
    """Houses among the labelled pixels of a window, 0 to 1, read in pieces."""
    houses = labelled = 0
    for piece in blocks(window, 1024):
        labels = source.labels.read(piece)
        houses += np.count_nonzero(labels == HOUSE)
        labelled += np.count_nonzero(labels != BLANK)
    return houses / labelled if labelled else 0.0


class TileSet:
    """The chosen tiles in any order, any number of times, of bounded memory."""

    def __init__(self, sources: Sequence[Source], recipe: Recipe, places: Sequence):
        self.places = places
        self._read = partial(read_tile, sources, recipe)
        self._kept: dict[int, Tile] = {}
        self._room = CACHE_BYTES

    def __len__(self) -> int:
        return len(self.places)

    def __call__(self, order: Sequence[int]) -> Iterator[Tile]:
        """Yield the tiles of the given numbers, in that order."""
        if len(self._kept) == len(self.places):
            yield from (self._kept[number] for number in order)
            return
        for number, tile in zip(order, stream(self._fetch, order), strict=True):
            if number not in self._kept and tile.nbytes <= self._room:
                self._kept[number] = tile
                self._room -= tile.nbytes
            yield tile

    def _fetch(self, number: int) -> Tile:
        return self._kept.get(number) or self._read(self.places[number])
