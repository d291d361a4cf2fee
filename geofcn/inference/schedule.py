"""Schedule of an inference: row bands cut into tasks, and how many to have under way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from geofcn.core.windows import Window, ceil_div, origins, round_up
from geofcn.runtime import cores

# Pixels of the tasks under way, at the least.
AHEAD_PIXELS = 2**22


@dataclass(frozen=True)
class Task:
    """Some compute windows of one row band, next to each other.

    Attributes
    ----------
    band : int
        Number of the row band, from 0.
    window : Window
        The pixels that it computes; what a task is named by.
    """

    band: int
    window: Window

    def __str__(self) -> str:
        return str(self.window)


def task_width(scene_width: int, block_width: int, least: int, processes: int = 0) -> int:
    """Columns of a task, in pixels: more than asked for where tasks would decode the same blocks.

    Parameters
    ----------
    scene_width, block_width : int
        Columns of the scene, and of its blocks, in pixels. Of a striped scene the whole row band is
        one task, so that one task reads each strip and not every task of its row band.
    least : int
        Columns of a task at the least, and what its width is a multiple of.
    processes : int
        Processes of this machine, which have no cache in common: each gets an equal share.

    Examples
    --------
    >>> task_width(5000, 256, 1024)
    1024
    >>> task_width(5000, 256, 1024, processes=2)
    3072
    >>> task_width(5000, 5000, 1024)
    5120
    """
    if block_width == scene_width:
        return round_up(scene_width, least)
    return round_up(ceil_div(scene_width, processes), least) if processes else least


def tasks_ahead(scene_width: int, band_height: int, width: int, processes: int = 0) -> int:
    """How many tasks to have under way.

    Those of a row band, but at least AHEAD_PIXELS, one for each processor and two for each process.

    Parameters
    ----------
    scene_width : int
        Columns of the scene.
    band_height, width : int
        Rows and columns of a task, in pixels.
    processes : int
        Processes of this machine that compute.
    """
    tasks_of_a_band = len(origins(scene_width, width))
    return max(tasks_of_a_band, AHEAD_PIXELS // (width * band_height), cores(), 2 * processes)


def tasks_of(number: int, band: Window, width: int) -> Iterator[Task]:
    """Row band `number` cut into tasks of `width` columns.

    Examples
    --------
    >>> [str(task) for task in tasks_of(1, Window(512, 0, 512, 2500), 1024)][1:]
    ['rows 512-1023, columns 1024-2047', 'rows 512-1023, columns 2048-2499']
    """
    for col in origins(band.width, width):
        yield Task(number, Window(band.row, col, band.height, width).intersect(band))
