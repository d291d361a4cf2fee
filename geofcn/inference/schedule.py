"""Row bands cut into tasks, and how many of them to have under way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from geofcn.core.windows import Window, origins, round_up
from geofcn.inference.job import Job
from geofcn.io.scene import Scene
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


def task_width(scene: Scene, width: int, processes: int = 0) -> int:
    """Columns of a task: `width`, but more where tasks would decode what others decode as well.

    The scene's where it is striped, so that one task reads each strip and not every task of its row
    band; an equal share for each of `processes` of this machine, which have no cache in common.
    """
    if scene.block_shape[1] == scene.width:
        return round_up(scene.width, width)
    return round_up(-(-scene.width // processes), width) if processes else width


def tasks_ahead(job: Job, width: int, processes: int = 0) -> int:
    """How many tasks of `width` columns to have under way: a row band's, but at least AHEAD_PIXELS,
    one for each processor, and two for each process.
    """
    band = len(origins(job.scene.width, width))
    return max(band, AHEAD_PIXELS // (width * job.window), cores(), 2 * processes)


def tasks_of(number: int, band: Window, width: int) -> Iterator[Task]:
    """Row band `number` cut into tasks of `width` columns."""
    for col in origins(band.width, width):
        yield Task(number, Window(band.row, col, band.height, width).intersect(band))
