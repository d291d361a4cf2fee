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
            yield band, _side_by_side(shards.load(n, inside.row, inside.bottom) for n in crossed)


def _side_by_side(parts: Iterable[Arrays]) -> Arrays:
    found = list(parts)
    if len(found) == 1:
        return found[0]
    return {name: np.concatenate([part[name] for part in found], axis=1) for name in found[0]}
