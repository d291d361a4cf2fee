"""Polygons kept aside while a file is worked on: in memory while they are few, else on disk."""

from __future__ import annotations

import tempfile
import threading
from dataclasses import dataclass

import numpy as np
import shapely

from geofcn.errors import OutputError

# What is kept in memory, in bytes; more goes to a file without a name in the temporary folder
# (TMPDIR), which is gone when this process is.
IN_MEMORY = 64 * 2**20


@dataclass(frozen=True)
class NumberedPolygons:
    """Some polygons.

    Attributes
    ----------
    polygons : (n,) array
        Shapely Polygons, none of them empty.
    scores : (n,) array
        How sure each is, NaN where that is not known.
    numbers : (n,) int array
        Their places in the order in which they came.
    """

    polygons: np.ndarray
    scores: np.ndarray
    numbers: np.ndarray

    def __len__(self) -> int:
        return len(self.polygons)

    @classmethod
    def joined(cls, parts: list[NumberedPolygons]) -> NumberedPolygons:
        """Several as one."""
        if not parts:
            return cls(np.zeros(0, object), np.zeros(0), np.zeros(0, np.int64))
        return cls(
            np.concatenate([part.polygons for part in parts]),
            np.concatenate([part.scores for part in parts]),
            np.concatenate([part.numbers for part in parts]),
        )

    def select(self, chosen: np.ndarray | slice) -> NumberedPolygons:
        """Those chosen by a boolean array, an index array or a slice."""
        return NumberedPolygons(self.polygons[chosen], self.scores[chosen], self.numbers[chosen])


@dataclass(frozen=True, slots=True)
class Slot:
    """Where some polygons lie in a store, and how many polygons, rings and points they are."""

    offset: int
    polygons: int
    rings: int
    points: int


class PolygonStore:
    """Keeps polygons, some at a time, and gives them back bit for bit; threads may share it."""

    def __init__(self) -> None:
        # It is closed with the store.
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY, prefix="geofcn-")  # noqa: SIM115
        self._lock = threading.Lock()

    def put(self, batch: NumberedPolygons) -> Slot:
        """Keep some polygons.

        Raises
        ------
        OutputError
            Where the temporary folder has no room.
        """
        _, points, (rings, polygons) = shapely.to_ragged_array(batch.polygons)
        arrays = (
            batch.scores.astype(np.float64),
            batch.numbers.astype(np.int64),
            polygons.astype(np.int64),
            rings.astype(np.int64),
            points.astype(np.float64),
        )
        try:
            with self._lock:
                offset = self._file.seek(0, 2)
                for array in arrays:
                    self._file.write(array.tobytes())
        except OSError as error:
            raise OutputError(
                f"{tempfile.gettempdir()}: no polygon can be kept there ({error.strerror}); make "
                "room, or name another temporary folder by TMPDIR."
            ) from error
        return Slot(offset, len(batch), len(rings) - 1, len(points))

    def get(self, slot: Slot) -> NumberedPolygons:
        """The polygons that were kept there."""
        counts = slot.polygons, slot.polygons, slot.polygons + 1, slot.rings + 1, 2 * slot.points
        with self._lock:
            self._file.seek(slot.offset)
            content = self._file.read(8 * sum(counts))
        ends = np.cumsum(counts)
        scores, numbers, polygons, rings, points = (
            np.frombuffer(content, kind, count, 8 * (end - count))
            for kind, count, end in zip("dqqqd", counts, ends, strict=True)
        )
        shapes = shapely.from_ragged_array(
            shapely.GeometryType.POLYGON, points.reshape(-1, 2), (rings, polygons)
        )
        return NumberedPolygons(shapes, scores, numbers)
