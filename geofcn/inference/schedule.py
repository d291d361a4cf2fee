"""Schedule of an inference: a scene cut into blocks, these into tasks, and how many are under way.

::

    +-----------+-----------+----     A block is some whole compute windows: BLOCK_PIXELS at most,
    | 0   :     | 1   :     | 2       all columns of a scene that is not wide. Once a row of blocks
    +-----------+-----------+----     is computed, it is read again in full-width row bands, which
    | 3   :     | 4   :     | 5       are thin where the scene is wide: neither its height nor its
    |     :     |     :     |         width decides the memory that this takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from geofcn.core.windows import Window, band_height, ceil_div, cut, origins, round_up
from geofcn.runtime import cores

# Pixels of a block at the most, unless a compute window has more.
BLOCK_PIXELS = 2**24
# Pixels of the tasks under way, at the least.
AHEAD_PIXELS = 2**22


@dataclass(frozen=True)
class Layout:
    """Blocks of a scene, numbered row by row.

    Attributes
    ----------
    extent : Window
        The pixels of the scene that they cover; starts on a multiple of a compute window.
    height, width : int
        Rows and columns of a block, in pixels; those at the right and bottom are smaller.
    """

    extent: Window
    height: int
    width: int

    @classmethod
    def of(cls, extent: Window, window: int) -> Layout:
        """The layout of some pixels in compute windows of `window` pixels a side.

        Blocks of one row are about equally wide. Of a narrow extent, a block has as many rows of
        compute windows as make up for the columns that they lack.

        Examples
        --------
        >>> Layout.of(Window(0, 0, 20_000, 30_000), 512)
        Layout(extent=Window(row=0, col=0, height=20000, width=30000), height=512, width=30208)
        >>> layout = Layout.of(Window(0, 0, 4096, 1_000_000), 512)
        >>> layout.height, layout.width, layout.across
        (512, 32768, 31)
        >>> Layout.of(Window(0, 0, 4_000_000, 2), 512).height
        131072
        """
        windows = ceil_div(extent.width, window)
        across = ceil_div(windows, max(1, BLOCK_PIXELS // window**2))
        down = max(1, window // extent.width)
        return cls(extent, down * window, ceil_div(windows, across) * window)

    def __len__(self) -> int:
        return ceil_div(self.extent.height, self.height) * self.across

    @property
    def across(self) -> int:
        """Blocks of a row."""
        return ceil_div(self.extent.width, self.width)

    def blocks(self) -> Iterator[Window]:
        """All blocks, in the order of their numbers."""
        return cut(self.extent, self.height, self.width)

    def rows(self) -> Iterator[Window]:
        """All rows of blocks, top to bottom."""
        return cut(self.extent, self.height, self.extent.width)

    def bands(self, row: Window) -> Iterator[Window]:
        """A row of blocks cut into full-width row bands of which a few can be held."""
        return cut(row, band_height(row.width), row.width)


@dataclass(frozen=True)
class Task:
    """Some compute windows of a block: all of its rows.

    Attributes
    ----------
    block : int
        Number of the block, from 0.
    window : Window
        The pixels that it computes; what a task is named by.
    blank : frozenset of Window
        Compute windows of it that nobody asks for: they are neither read nor computed.
    """

    block: int
    window: Window
    blank: frozenset[Window] = frozenset()

    def __str__(self) -> str:
        return str(self.window)


def task_width(layout: Layout, block_width: int, least: int, processes: int = 0) -> int:
    """Columns of a task, in pixels: more than asked for where tasks would decode the same blocks.

    Parameters
    ----------
    layout : Layout
        The scene's blocks that shards hold.
    block_width : int
        Columns of the blocks in which the scene's file is stored, in pixels. Of a striped scene a
        whole block is one task, so that one task reads each strip and not every task of its row.
    least : int
        Columns of a task at the least, and what its width is a multiple of.
    processes : int
        Processes of this machine, which have no cache in common: each gets an equal share.

    Examples
    --------
    >>> layout = Layout.of(Window(0, 0, 5000, 5000), 512)
    >>> task_width(layout, 256, 1024), task_width(layout, 256, 1024, processes=2)
    (1024, 3072)
    >>> task_width(layout, 5000, 1024)
    5120
    """
    if block_width >= layout.extent.width:
        return round_up(layout.width, least)
    return round_up(ceil_div(layout.width, processes), least) if processes else least


def tasks_ahead(layout: Layout, width: int, processes: int = 0) -> int:
    """How many tasks to have under way.

    Those of a block, but at least AHEAD_PIXELS, one for each processor and two for each process.

    Parameters
    ----------
    layout : Layout
        The scene's blocks.
    width : int
        Columns of a task, in pixels.
    processes : int
        Processes of this machine that compute.
    """
    tasks_of_a_block = len(origins(layout.width, width))
    pixels = layout.height * min(width, layout.width, layout.extent.width)
    return max(tasks_of_a_block, AHEAD_PIXELS // pixels, cores(), 2 * processes)


def tasks_of(number: int, block: Window, width: int) -> Iterator[Task]:
    """Block `number` cut into tasks of `width` columns.

    Examples
    --------
    >>> [str(task) for task in tasks_of(1, Window(512, 0, 512, 2500), 1024)][1:]
    ['rows 512-1023, columns 1024-2047', 'rows 512-1023, columns 2048-2499']
    """
    for window in cut(block, block.height, width):
        yield Task(number, window)
