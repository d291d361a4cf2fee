"""Training tiles from any number of scenes of any size, in bounded memory.

Scenes are decoded in square cells, each once for all the tiles that overlap it; as many cells as a
stated budget holds are kept, the least recently used ones go.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Lock
from typing import NamedTuple

import numpy as np

from geofcn.core.pixels import BACKGROUND, BLANK
from geofcn.core.windows import Window, blocks
from geofcn.io.labels import LabelledScene

# Decoded cells that are kept.
CACHE_BYTES = 192 * 2**20
# Side of a decoded cell, in pixels: a few of GDAL's blocks.
CELL_SIZE = 512


class SourceWindow(NamedTuple):
    """A window of one of several labelled scenes.

    Attributes
    ----------
    source : int
        Number of the scene, from 0.
    window : Window
        In its pixels.
    """

    source: int
    window: Window


@dataclass(frozen=True)
class TrainingTile:
    """Pixels and labels of a window of a scene.

    Attributes
    ----------
    image : (bands, rows, columns) array
        Raw values, of the scene's dtype.
    valid : (rows, columns) bool array
        Where it is not blank.
    labels : (rows, columns) uint8 array
        0 background, 1 house, 255 unknown.
    """

    image: np.ndarray
    valid: np.ndarray
    labels: np.ndarray


def with_zero_padding(tile: TrainingTile) -> TrainingTile:
    """The tile as in the exercise: blank pixels are valid zeros, and background if unlabelled."""
    image = np.where(tile.valid, tile.image, tile.image.dtype.type(0))
    labels = np.where(~tile.valid & (tile.labels == BLANK), np.uint8(BACKGROUND), tile.labels)
    return TrainingTile(image, np.ones_like(tile.valid), labels)


def without_blank(tile: TrainingTile) -> TrainingTile:
    """The tile with labels unknown where it is blank: there is nothing to learn."""
    return TrainingTile(tile.image, tile.valid, np.where(tile.valid, tile.labels, np.uint8(BLANK)))


class TileCache:
    """Reads windows of scenes as tiles, and keeps what it decoded; safe in threads.

    Parameters
    ----------
    sources : sequence of LabelledScene
        The scenes, with one number and dtype of bands.
    zero_padding : bool
        Whether blank pixels are as `with_zero_padding` says; else as `without_blank` does.
    budget : int, optional
        Bytes of decoded cells to keep; default: CACHE_BYTES.
    cell_size : int
        Side of a decoded cell, in pixels.
    """

    def __init__(
        self,
        sources: Sequence[LabelledScene],
        zero_padding: bool = False,
        budget: int | None = None,
        cell_size: int = CELL_SIZE,
    ):
        self.sources = sources
        self.budget = CACHE_BYTES if budget is None else budget
        self.cell_size = cell_size
        self._rule = with_zero_padding if zero_padding else without_blank
        self._cells: OrderedDict[tuple[int, Window], Future[TrainingTile]] = OrderedDict()
        self._lock = Lock()

    def read(self, source_window: SourceWindow) -> TrainingTile:
        """Read the tile at `source_window`; beyond the scene's edge it is blank, unlabelled."""
        number, window = source_window
        tile = self._empty(source_window)
        for cell in self._cells_of(source_window):
            _copy(self._decoded(number, cell), cell, tile, window)
        return tile

    def read_once(self, source_window: SourceWindow) -> TrainingTile:
        """Read the tile at `source_window`, with nothing kept of it."""
        number, window = source_window
        tile = self._empty(source_window)
        inside = window.clip(*self.sources[number].scene.window.shape)
        _copy(self._decode(number, inside), inside, tile, window)
        return tile

    def load(self, source_window: SourceWindow) -> None:
        """Decode what `source_window` needs, ahead of its use."""
        for cell in self._cells_of(source_window):
            self._decoded(source_window.source, cell)

    def forget(self) -> None:
        """Let go of all decoded cells."""
        with self._lock:
            self._cells.clear()

    def total_bytes(self) -> int:
        """Bytes of all cells of all sources."""
        return sum(
            self.cell_bytes(number) * len(list(blocks(source.scene.window, self.cell_size)))
            for number, source in enumerate(self.sources)
        )

    def cell_bytes(self, number: int) -> int:
        """Bytes of one decoded cell of a source."""
        scene = self.sources[number].scene
        return self.cell_size**2 * (len(scene.bands) * np.dtype(scene.dtype).itemsize + 2)

    def _empty(self, source_window: SourceWindow) -> TrainingTile:
        number, window = source_window
        scene = self.sources[number].scene
        pixel = np.zeros((len(scene.bands), 1, 1), scene.dtype)
        beyond = self._rule(
            TrainingTile(pixel, np.zeros((1, 1), bool), np.full((1, 1), np.uint8(BLANK)))
        )
        return TrainingTile(
            np.zeros((len(scene.bands), *window.shape), scene.dtype),
            np.full(window.shape, beyond.valid[0, 0]),
            np.full(window.shape, beyond.labels[0, 0]),
        )

    def _cells_of(self, source_window: SourceWindow) -> Iterator[Window]:
        number, window = source_window
        whole = self.sources[number].scene.window.shape
        inside = window.clip(*whole)
        side = self.cell_size
        for row in range(inside.row // side * side, inside.bottom, side):
            for col in range(inside.col // side * side, inside.right, side):
                yield Window(row, col, side, side).clip(*whole)

    def _decoded(self, number: int, cell: Window) -> TrainingTile:
        """A cell, decoded by the first thread that asks for it; the others wait."""
        key = number, cell
        with self._lock:
            is_first = key not in self._cells
            if is_first:
                self._cells[key] = Future()
            future = self._cells[key]
            self._cells.move_to_end(key)
        if is_first:
            self._fill(key, future)
        return future.result()

    def _fill(self, key: tuple[int, Window], future: Future[TrainingTile]) -> None:
        try:
            future.set_result(self._decode(*key))
        except BaseException as error:
            with self._lock:
                self._cells.pop(key, None)
            future.set_exception(error)
            return
        with self._lock:
            capacity = max(1, self.budget // self.cell_bytes(key[0]))
            # One that is still being decoded may go, too: who waits for it has its future.
            while len(self._cells) > capacity:
                self._cells.popitem(last=False)

    def _decode(self, number: int, window: Window) -> TrainingTile:
        source = self.sources[number]
        return self._rule(TrainingTile(*source.scene.read(window), source.labels.read(window)))


def _copy(source: TrainingTile, at: Window, target: TrainingTile, window: Window) -> None:
    """Copy the pixels that a tile at `at` shares with one at `window`."""
    common = at.intersect(window)
    in_source, in_target = common.relative_to(at).slices, common.relative_to(window).slices
    target.image[:, *in_target] = source.image[:, *in_source]
    target.valid[in_target] = source.valid[in_source]
    target.labels[in_target] = source.labels[in_source]
