"""Row bands cut into tasks, and how many of them to have under way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from geofcn.core.windows import Window, ceil_div, origins, round_up
from geofcn.runtime import cores

# Pixels of the tasks under way, at the least.
AHEAD_PIXELS = 2**22


@dataclass(frozen=True)
class Task:
    """Some compute windows of one row band, next to each other."""

    band: int
    window: Window

    def __str__(self) -> str:
        return str(self.window)


def task_width(scene_width: int, block_width: int, least: int, processes: int = 0) -> int:
    """Columns of a task: `least`, but more where tasks would decode what others decode as well.

    Parameters
    ----------
    scene_width, block_width : int
        Columns of the scene, and of its blocks, in pixels. Of a striped scene the whole row band is
        one task, so that one task reads each strip and not every task of its row band.
    least : int
        Columns of a task at the least, and what its width is a multiple of.
    processes : int
        Processes of this machine, which have no cache in common: each gets an equal share.
    """
    if block_width == scene_width:
        return round_up(scene_width, least)
    return round_up(ceil_div(scene_width, processes), least) if processes else least


def tasks_ahead(scene_width: int, band_height: int, width: int, processes: int = 0) -> int:
    """How many tasks of `width` columns to have under way: a row band's, but at least AHEAD_PIXELS,
    one for each processor, and two for each process.
    """
    band = len(origins(scene_width, width))
    return max(band, AHEAD_PIXELS // (width * band_height), cores(), 2 * processes)


def tasks_of(number: int, band: Window, width: int) -> Iterator[Task]:
    """Row band `number` cut into tasks of `width` columns."""
    for col in origins(band.width, width):
        yield Task(number, Window(band.row, col, band.height, width).intersect(band))
