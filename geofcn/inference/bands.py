"""Row bands of an inference, read out of the shards of the blocks that they cross."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeAlias

import numpy as np

from geofcn.core.windows import Window
from geofcn.inference.schedule import Layout
from geofcn.inference.shards import Arrays, Shards
from geofcn.runtime import give_back_freed_memory

Bands: TypeAlias = Iterator[tuple[Window, Arrays]]
"""Full-width row bands from a scene's first row to its last, each with its arrays by name."""


def read_bands(layout: Layout, shards: Shards, numbers: Iterable[int]) -> Bands:
    """The row bands of a scene, as soon as the blocks that they cross have their shards.

    Parameters
    ----------
    layout : Layout
        The scene's blocks.
    shards : Shards
        Where they are kept.
    numbers : iterable of int
        The numbers of all blocks in order, drawn row by row; what is drawn has its shard.
    """
    numbers = iter(numbers)
    for row in layout.rows():
        crossed = list(islice(numbers, layout.across))
        for band in layout.bands(row):
            if layout.across > 1:
                # What computing has freed, and bands of other sizes, lies scattered: of a wide
                # scene the next band would hardly find room in it.
                give_back_freed_memory()
            inside = band.relative_to(row)
            parts = [shards.load(number, inside.row, inside.bottom) for number in crossed]
            yield band, _side_by_side(parts)


def _side_by_side(parts: list[dict[str, np.ndarray]]) -> Arrays:
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts], axis=1) for name in parts[0]}
