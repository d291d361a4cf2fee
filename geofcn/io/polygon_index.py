"""An index of polygons on a scene: those near a window are found, however many there are.

A loose quadtree, as games have it (Ulrich, 2000): a polygon lies in the cell that holds its middle,
of the first level whose cells are as large as itself. So each is kept once, and a window finds it
in the cells that lie within half a cell.
"""

from __future__ import annotations

from collections import defaultdict
from math import floor, sqrt

import numpy as np
import shapely

from geofcn.core.windows import Window
from geofcn.io.polygon_store import NumberedPolygons, PolygonStore, Slot

# Side of the smallest cells in pixels, at least, and how many there are along a side, at most.
LEAST_CELL, CELLS = 512, 64
# Polygons that are put into cells at once.
SORTED_AT_ONCE = 65_536


class PolygonIndex:
    """Polygons that can be found by the pixels they cover.

    Parameters
    ----------
    height, width : int
        Of the scene, in pixels.
    """

    def __init__(self, height: int, width: int):
        self._cell = max(LEAST_CELL, sqrt(height * width) / CELLS)
        self._store = PolygonStore()
        self._slots: dict[tuple[int, int, int], list[Slot]] = defaultdict(list)
        self._waiting: list[tuple[NumberedPolygons, np.ndarray]] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, batch: NumberedPolygons, boxes: np.ndarray) -> None:
        """Take some polygons.

        Parameters
        ----------
        batch : NumberedPolygons
            In coordinates of any kind.
        boxes : (n, 4) array
            The pixels that they cover: first column, first row, last column, last row.
        """
        self._waiting.append((batch, boxes))
        self._count += len(batch)
        if sum(len(waiting) for waiting, _ in self._waiting) >= SORTED_AT_ONCE:
            self.finish()

    def finish(self) -> None:
        """To be called after the last polygons."""
        if not self._waiting:
            return
        batches, boxes = zip(*self._waiting, strict=True)
        self._waiting = []
        batch, keys = NumberedPolygons.joined(list(batches)), self._keys(np.concatenate(boxes))
        if not len(batch):
            return
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

    def near(self, window: Window) -> NumberedPolygons:
        """All polygons that touch a window, and some that lie near by, in order."""
        parts = [
            self._store.get(slot) for key in self._cells_near(window) for slot in self._slots[key]
        ]
        found = NumberedPolygons.joined(parts)
        return found.select(np.argsort(found.numbers))

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


def boxes_of(polygons: np.ndarray) -> np.ndarray:
    """Bounds of polygons, (n, 4): least x and y, greatest x and y."""
    return shapely.bounds(polygons).reshape(-1, 4)
