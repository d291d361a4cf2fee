"""An index of polygons on a scene: those near a window are found, however many there are.

A loose quadtree, as games have it (Ulrich, 2000): a polygon lies in the cell that holds its middle,
of the first level whose cells are as large as itself. So each is kept once, and a window finds it
in the cells that lie within half a cell.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from math import floor, sqrt

import numpy as np

from geofcn.core.windows import Window
from geofcn.io.polygon_store import NumberedPolygons, PolygonStore, Slot

# Side of the smallest cells in pixels, at least, and how many there are along a side, at most.
LEAST_CELL, CELLS = 512, 64
# Polygons that are put into cells at once.
SORTED_AT_ONCE = 131_072


class PolygonIndex:
    """Polygons that can be found by the pixels they cover.

    Parameters
    ----------
    height, width : int
        Of the scene, in pixels.
    boxes : callable
        The pixels that polygons cover, (n, 4): first column, first row, last column, last row.
    """

    def __init__(self, height: int, width: int, boxes: Callable[[np.ndarray], np.ndarray]):
        self._boxes = boxes
        self._cell = max(LEAST_CELL, sqrt(height * width) / CELLS)
        self._store = PolygonStore()
        self._slots: dict[tuple[int, int, int], list[Slot]] = defaultdict(list)
        self._waiting: list[NumberedPolygons] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, batch: NumberedPolygons) -> None:
        """Take some polygons."""
        self._waiting.append(batch)
        self._count += len(batch)
        if sum(map(len, self._waiting)) >= SORTED_AT_ONCE:
            self.finish()

    def finish(self) -> None:
        """To be called after the last polygons."""
        batch = NumberedPolygons.joined(self._waiting)
        self._waiting = []
        if not len(batch):
            return
        keys = self._keys(self._boxes(batch.polygons))
        order = np.lexsort(keys.T[::-1])
        cells, starts = np.unique(keys[order], axis=0, return_index=True)
        for cell, chosen in zip(cells.tolist(), np.split(order, starts[1:]), strict=True):
            self._slots[tuple(cell)].append(self._store.put(batch.select(chosen)))

    def _keys(self, boxes: np.ndarray) -> np.ndarray:
        """Level, row and column of the cell of each box, (n, 3) int."""
        size = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
        level = np.ceil(np.log2(np.maximum(size / self._cell, 1))).astype(np.int64)
        middle = (boxes[:, :2] + boxes[:, 2:]) / 2
        col, row = np.floor(middle / (self._cell * 2.0**level)[:, None]).astype(np.int64).T
        return np.column_stack([level, row, col])

    def touching(self, window: Window, margin: int = 0) -> NumberedPolygons:
        """The polygons whose box comes within `margin` pixels of a window, in order."""
        window = window.grow(margin)
        found = NumberedPolygons.joined(
            [self._in_cell(key, window) for key in self._cells_near(window)]
        )
        return found.select(np.argsort(found.numbers))

    def _in_cell(self, key: tuple[int, int, int], window: Window) -> NumberedPolygons:
        every = NumberedPolygons.joined([self._store.get(slot) for slot in self._slots[key]])
        left, top, right, bottom = self._boxes(every.polygons).T
        touches = (left <= window.right) & (right >= window.col)
        touches &= (top <= window.bottom) & (bottom >= window.row)
        return every.select(touches)

    def _cells_near(self, window: Window) -> list[tuple[int, int, int]]:
        keys = []
        for level in {level for level, _, _ in self._slots}:
            side = self._cell * 2.0**level
            first = floor(window.row / side - 0.5), floor(window.col / side - 0.5)
            last = floor(window.bottom / side + 0.5), floor(window.right / side + 0.5)
            keys += [
                (level, row, col)
                for row in range(first[0], last[0] + 1)
                for col in range(first[1], last[1] + 1)
                if (level, row, col) in self._slots
            ]
        return keys
