"""Windows and tiles: integer arithmetic on rectangles of pixels.

Rasters, and arrays of them, are (rows, columns); a window is half-open in both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

# Pixels of a row band at the most, as long as it has so many rows at the least: blocks of GeoTIFFs
# have multiples of these.
BAND_PIXELS, BAND_ROWS = 2**22, 16


@dataclass(frozen=True, order=True)
class Window:
    """A rectangle of pixels: rows [row, row + height) and columns [col, col + width).

    Windows sort by their first row, then their first column.

    Attributes
    ----------
    row, col : int
        The first row and column; negative above and left of the raster.
    height, width : int
        Rows and columns.

    Examples
    --------
    >>> window = Window(2, 3, 4, 5)
    >>> print(window)
    rows 2-5, columns 3-7
    >>> window.grow(10).clip(8, 100)
    Window(row=0, col=0, height=8, width=18)
    """

    row: int
    col: int
    height: int
    width: int

    @property
    def bottom(self) -> int:
        """The first row below the window."""
        return self.row + self.height

    @property
    def right(self) -> int:
        """The first column right of the window."""
        return self.col + self.width

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.height, self.width

    @property
    def pixels(self) -> int:
        """The window's area in pixels."""
        return self.height * self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """The window as an index into a (rows, columns) array."""
        return slice(self.row, self.bottom), slice(self.col, self.right)

    @property
    def ranges(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """((first row, end), (first column, end)), as rasterio takes a window."""
        return (self.row, self.bottom), (self.col, self.right)

    def clip(self, height: int, width: int) -> Window:
        """The part that lies on a raster of `height` x `width` pixels, perhaps of no pixels."""
        return self.intersect(Window(0, 0, height, width))

    def intersect(self, other: Window) -> Window:
        """The pixels in both windows; height or width is 0 where they do not meet."""
        row, col = max(self.row, other.row), max(self.col, other.col)
        return Window(
            row,
            col,
            max(0, min(self.bottom, other.bottom) - row),
            max(0, min(self.right, other.right) - col),
        )

    def grow(self, margin: int) -> Window:
        """The window with `margin` pixels more on each side: grow(m).grow(-m) is no change."""
        return Window(
            self.row - margin, self.col - margin, self.height + 2 * margin, self.width + 2 * margin
        )

    def zoom(self, factor: Fraction | int) -> Window:
        """The least window that holds the same in a raster with `factor` times as large sides.

        Examples
        --------
        >>> print(Window(3, 2, 4, 4).zoom(Fraction(1, 2)))
        rows 1-3, columns 1-2
        """
        row, col = math.floor(self.row * factor), math.floor(self.col * factor)
        bottom, right = math.ceil(self.bottom * factor), math.ceil(self.right * factor)
        return Window(row, col, bottom - row, right - col)

    def aligned(self, step: int) -> Window:
        """The least window with all of its pixels that starts and ends on multiples of `step`.

        Examples
        --------
        >>> print(Window(5, 8, 2, 5).aligned(4))
        rows 4-7, columns 8-15
        """
        row, col = self.row // step * step, self.col // step * step
        return Window(row, col, round_up(self.bottom, step) - row, round_up(self.right, step) - col)

    def relative_to(self, other: Window) -> Window:
        """The same pixels, counted from `other`'s upper left corner.

        For a window `w` within `other`: raster[other.slices][w.relative_to(other).slices] is
        raster[w.slices].
        """
        return Window(self.row - other.row, self.col - other.col, self.height, self.width)

    def __str__(self) -> str:
        return f"rows {self.row}-{self.bottom - 1}, columns {self.col}-{self.right - 1}"


@dataclass(frozen=True)
class Tile:
    """A piece of tiled processing: what to read, what to keep of it, and where that belongs.

    ::

        read  = write.grow(halo).clip(height, width)
        crop  = write.relative_to(read)

        raster[read.slices][crop.slices] == raster[write.slices]

    With a net that looks no further than `halo` pixels::

        net(raster[read.slices])[crop.slices] == net(raster)[write.slices]

    The write windows of a tiling are disjoint and cover the raster; read windows overlap.

    Attributes
    ----------
    read : Window
        What is read, in the raster: the halo included, clipped at the raster's edge.
    crop : Window
        What is kept, in `read`.
    write : Window
        What is kept, in the raster: the pixels that the tile owns.
    """

    read: Window
    crop: Window
    write: Window


def ceil_div(value: int, divisor: int) -> int:
    """`value` divided by `divisor`, rounded up.

    Examples
    --------
    >>> ceil_div(8, 4), ceil_div(9, 4)
    (2, 3)
    """
    return -(-value // divisor)


def round_up(value: int, multiple: int) -> int:
    """The least multiple of `multiple` that is >= `value`.

    Examples
    --------
    >>> round_up(8, 4), round_up(9, 4)
    (8, 12)
    """
    return ceil_div(value, multiple) * multiple


def origins(length: int, step: int) -> range:
    """0, step, 2 step, ... below `length`: where windows of `step` pixels begin.

    Examples
    --------
    >>> list(origins(10, 4))
    [0, 4, 8]
    """
    return range(0, length, step)


def count_blocks(height: int, width: int, size: int) -> int:
    """How many `size` x `size` windows cover a raster: ceil(height / size) ceil(width / size).

    Examples
    --------
    >>> count_blocks(100, 250, 100)
    3
    """
    return ceil_div(height, size) * ceil_div(width, size)


def row_bands(height: int, width: int, rows: int) -> Iterator[Window]:
    """Full-width windows of `rows` rows, top to bottom; the last may be lower.

    Examples
    --------
    >>> for band in row_bands(5, 100, 2):
    ...     print(band)
    rows 0-1, columns 0-99
    rows 2-3, columns 0-99
    rows 4-4, columns 0-99
    """
    for row in origins(height, rows):
        yield Window(row, 0, min(rows, height - row), width)


def band_height(width: int) -> int:
    """Rows of a row band of `width` columns of which a few can be held, whatever the width.

    Examples
    --------
    >>> band_height(30_000), band_height(1_000_000)
    (128, 16)
    """
    return max(1, BAND_PIXELS // (BAND_ROWS * width)) * BAND_ROWS


def blocks(extent: Window, size: int) -> Iterator[Window]:
    """`extent` cut into `size` x `size` windows, row by row; smaller at its right and bottom.

    Examples
    --------
    >>> for block in blocks(Window(0, 0, 2, 5), 3):
    ...     print(block)
    rows 0-1, columns 0-2
    rows 0-1, columns 3-4
    """
    return cut(extent, size, size)


def cut(extent: Window, height: int, width: int) -> Iterator[Window]:
    """`extent` cut into `height` x `width` windows, row by row; smaller at its right and bottom.

    Examples
    --------
    >>> print(*cut(Window(2, 0, 3, 4), 2, 4), sep="; ")
    rows 2-3, columns 0-3; rows 4-4, columns 0-3
    """
    for row in range(extent.row, extent.bottom, height):
        for col in range(extent.col, extent.right, width):
            yield Window(row, col, height, width).intersect(extent)


def sample_windows(height: int, width: int, size: int, count: int) -> Iterator[Window]:
    """About `count` windows of up to `size` x `size` pixels, spread evenly over a raster.

    They are some of the raster's `blocks`, so they do not overlap; where there are no more than
    `count` of those, all of them.
    """
    across = ceil_div(width, size)
    down = ceil_div(height, size)
    # The shorter side first: a narrow strip takes all of its windows along the other one.
    few, many = sorted((across, down))
    few_taken = min(few, max(1, round((count * few / many) ** 0.5)))
    many_taken = min(many, max(1, round(count / few_taken)))
    rows, cols = (few_taken, many_taken) if down <= across else (many_taken, few_taken)
    for row in _spread(down, rows):
        for col in _spread(across, cols):
            yield Window(row * size, col * size, size, size).clip(height, width)


def windows_spread(extent: Window, size: int, count: int) -> Iterator[Window]:
    """The `sample_windows` of an extent, in their places on the raster.

    Examples
    --------
    >>> print(*windows_spread(Window(64, 0, 32, 96), 32, 1))
    rows 64-95, columns 32-63
    """
    for window in sample_windows(*extent.shape, size, count):
        yield Window(extent.row + window.row, extent.col + window.col, *window.shape)


def _spread(length: int, count: int) -> list[int]:
    """`count` of the numbers 0 to length - 1, evenly spread: the middles of `count` equal parts."""
    return [(2 * i + 1) * length // (2 * count) for i in range(count)]


def tile_at(write: Window, halo: int, height: int, width: int) -> Tile:
    """The tile that owns `write` on a raster of `height` x `width` pixels.

    ::

        read = rows    [max(0, row - halo), min(height, row + write.height + halo))
               columns [max(0, col - halo), min(width,  col + write.width  + halo))
        crop = write, counted from read's upper left corner

    The read window is CLIPPED at the raster's edge, never extended with zeros: a net pads every
    layer itself there, and zeros in front of the first layer are not the same.

    Parameters
    ----------
    write : Window
        On the raster.
    halo : int
        Pixels that the result depends on beyond each side of `write`.
    height, width : int
        Rows and columns of the raster.

    Examples
    --------
    >>> tile = tile_at(Window(0, 100, 100, 100), 16, height=1000, width=208)
    >>> print(tile.read)
    rows 0-115, columns 84-207
    >>> print(tile.crop)
    rows 0-99, columns 16-115
    """
    read = write.grow(halo).clip(height, width)
    return Tile(read, write.relative_to(read), write)


def training_windows(height: int, width: int, size: int, stride: int) -> Iterator[Window]:
    """The `size` x `size` windows of a raster, every `stride` pixels, column by column.

    ::

        row = 0, stride, 2 stride, ... < min(height, round_up(height, size) - size + stride)

    and so for the columns. The raster counts as padded to the right and at the bottom to a
    multiple of `size` (and as far as the last window reaches, where `stride` does not divide
    `size`), so that every pixel is in some window; no window lies in the padding alone.

    Raises
    ------
    ValueError
        Unless 0 < stride <= size.

    Examples
    --------
    >>> [(window.row, window.col) for window in training_windows(3, 4, size=2, stride=2)]
    [(0, 0), (2, 0), (0, 2), (2, 2)]
    """
    if size <= 0 or not 0 < stride <= size:
        raise ValueError("a tile needs a positive size and a stride of 1 to that size")
    for col in _starts(width, size, stride):
        for row in _starts(height, size, stride):
            yield Window(row, col, size, size)


def _starts(length: int, size: int, stride: int) -> range:
    """0, stride, 2 stride, ... up to the start that reaches the padding's end, below `length`."""
    return range(0, min(length, round_up(length, size) - size + stride), stride)
