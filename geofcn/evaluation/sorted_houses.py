"""Houses sorted from top to bottom, however many: an external merge sort.

Runs of houses are sorted in memory and kept on disk in blocks; then the runs pass by side by side,
a block of each in memory at a time (Knuth, The Art of Computer Programming, volume 3, 5.4).
"""

from __future__ import annotations

from collections import deque
from math import inf

import numpy as np
import shapely

from geofcn.core.geodesy import Ground
from geofcn.evaluation.area import Area
from geofcn.io.polygon_store import NumberedPolygons, PolygonStore, Slot

# Houses that are sorted at once, and of which a block of each run is in memory at a time.
RUN, BLOCK = 65_536, 512


class SortedHouses:
    """Houses of one side of an evaluation, in any order at first, then from top to bottom.

    The top of a house is its greatest y.

    Parameters
    ----------
    ground : Ground, optional
        Measures areas; default: the coordinates are metres.
    min_area : float
        Smaller houses are left out, in square metres.
    area : Area, optional
        Houses that do not lie in it are left out.

    Attributes
    ----------
    bounds : (4,) array
        Least x and y, greatest x and y of all houses; infinite where there is none.
    repeated : int
        Houses taken so far that were there before, to the last digit, and count once.
    """

    def __init__(
        self, ground: Ground | None = None, min_area: float = 0, area: Area | None = None
    ) -> None:
        self._ground, self._min_area, self._area = ground or Ground(None), min_area, area
        self._store = PolygonStore()
        self._waiting: list[NumberedPolygons] = []
        self._runs: list[_Run] = []
        self._count = 0
        self.repeated = 0
        self.bounds = np.array([inf, inf, -inf, -inf])

    def __len__(self) -> int:
        return self._count

    def add(self, houses: NumberedPolygons) -> None:
        """Take some houses."""
        if self._min_area > 0:
            areas, _ = self._ground.measure(houses.polygons)
            houses = houses.select(areas >= self._min_area)
        if self._area is not None:
            houses = houses.select(self._area.holds(houses.polygons))
        if not len(houses):
            return
        self._count += len(houses)
        west, south, east, north = shapely.total_bounds(houses.polygons)
        self.bounds[:2] = np.minimum(self.bounds[:2], (west, south))
        self.bounds[2:] = np.maximum(self.bounds[2:], (east, north))
        self._waiting.append(houses)
        if sum(map(len, self._waiting)) >= RUN:
            self.finish()

    def finish(self) -> None:
        """To be called after the last of them, and before the first is taken."""
        houses = NumberedPolygons.joined(self._waiting)
        self._waiting = []
        houses = houses.select(np.lexsort((houses.numbers, -tops(houses.polygons))))
        slots = deque(
            self._store.put(houses.select(slice(start, start + BLOCK)))
            for start in range(0, len(houses), BLOCK)
        )
        self._runs.append(_Run(self._store, slots))

    @property
    def line(self) -> float:
        """How far down all houses are at hand: `take` must get as far, or further up."""
        return max((run.line for run in self._runs), default=-inf)

    def take(self, line: float) -> NumberedPolygons:
        """All houses whose top lies on a line or above, and which were not taken before.

        Of those that are there twice, whose tops are the same, the one with the best score counts.
        """
        houses = NumberedPolygons.joined([part for run in self._runs for part in run.take(line)])
        single = houses.select(_first_of_equals(houses))
        self.repeated += len(houses) - len(single)
        return single


class _Run:
    """A sorted run, a block of which is in memory at a time."""

    def __init__(self, store: PolygonStore, slots: deque[Slot]):
        self._store, self._slots = store, slots
        self._load()

    def _load(self) -> None:
        self._block = NumberedPolygons.joined([])
        if self._slots:
            self._block = self._store.get(self._slots.popleft())
        self._tops = tops(self._block.polygons)

    @property
    def line(self) -> float:
        return float(self._tops[-1]) if self._slots else -inf

    def take(self, line: float) -> list[NumberedPolygons]:
        parts = []
        while len(self._block):
            count = int(np.searchsorted(-self._tops, -line, side="right"))
            parts.append(self._block.select(slice(0, count)))
            self._block = self._block.select(slice(count, None))
            self._tops = self._tops[count:]
            if len(self._block):
                break
            self._load()
        return parts


def _first_of_equals(houses: NumberedPolygons) -> np.ndarray:
    """Which houses differ from all others, or have the best score of their equals, by number."""
    boxes = shapely.bounds(houses.polygons).reshape(-1, 4)
    _, box, count = np.unique(boxes, axis=0, return_inverse=True, return_counts=True)
    is_alone = count[box.reshape(-1)] == 1
    # Only those of one box can be equal.
    others = np.flatnonzero(~is_alone)
    order = np.lexsort((houses.numbers[others], worst_last(houses.scores[others])))
    first: dict[bytes, int] = {}
    for i, key in zip(others[order], _outlines(houses.polygons[others[order]]), strict=True):
        first.setdefault(key, i)
    chosen = np.concatenate([np.flatnonzero(is_alone), np.array([*first.values()], int)])
    return chosen[np.argsort(houses.numbers[chosen])]


def _outlines(polygons: np.ndarray) -> list[bytes]:
    """What is equal for equal polygons, wherever their rings begin."""
    return list(shapely.to_wkb(shapely.normalize(polygons), byte_order=1))


def worst_last(scores: np.ndarray) -> np.ndarray:
    """What sorts scores from the best to the worst, and NaN last."""
    return np.nan_to_num(-scores, nan=inf)


def tops(polygons: np.ndarray) -> np.ndarray:
    """The greatest y of each polygon, (n,)."""
    return shapely.bounds(polygons).reshape(-1, 4)[:, 3]
