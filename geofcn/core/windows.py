"""All tile arithmetic: integers and the standard library, nothing else.

A window is a half-open rectangle of pixels. A tile has three of them:

    read    what is read, halo included, clipped at the raster's edge
    crop    the part of `read` that is kept, relative to `read`'s corner
    write   the same pixels in the raster: what the tile owns

The `write` windows of a tiling are disjoint and cover the raster.
"""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Window:
    """Rows [row, row + height) and columns [col, col + width), in pixels."""

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

    def clip(self, height: int, width: int) -> "Window":
        """The part that lies on a raster of `height` x `width` pixels (maybe of no pixels)."""
        return self.intersect(Window(0, 0, height, width))

    def intersect(self, other: "Window") -> "Window":
        """The pixels in both windows; height or width is 0 where they do not meet."""
        row, col = max(self.row, other.row), max(self.col, other.col)
        return Window(
            row,
            col,
            max(0, min(self.bottom, other.bottom) - row),
            max(0, min(self.right, other.right) - col),
        )

    def grow(self, margin: int) -> "Window":
        """The window with `margin` pixels more on each side."""
        return Window(
            self.row - margin, self.col - margin, self.height + 2 * margin, self.width + 2 * margin
        )

    def relative_to(self, other: "Window") -> "Window":
        """The same pixels, counted from `other`'s upper left corner."""
        return Window(self.row - other.row, self.col - other.col, self.height, self.width)

    def __str__(self) -> str:
        return f"rows {self.row}-{self.bottom - 1}, columns {self.col}-{self.right - 1}"


@dataclass(frozen=True)
class Tile:
    """One piece of work: read `read`, keep `crop` of it, it becomes `write`."""

    read: Window
    crop: Window
    write: Window


def ceil_div(value: int, divisor: int) -> int:
    """`value` divided by `divisor`, rounded up."""
    return -(-value // divisor)


def round_up(value: int, multiple: int) -> int:
    """The least multiple of `multiple` that is >= `value`."""
    return ceil_div(value, multiple) * multiple


def origins(length: int, step: int) -> range:
    """0, step, 2 step, ... below `length`."""
    return range(0, length, step)


def count_blocks(height: int, width: int, size: int) -> int:
    """How many `size` x `size` windows, ragged at the right and bottom, cover a raster.

    Examples
    --------
    >>> count_blocks(100, 250, 100)
    3
    """
    return ceil_div(height, size) * ceil_div(width, size)


def row_bands(height: int, width: int, rows: int) -> Iterator[Window]:
    """Full-width windows of `rows` rows, top to bottom; the last may be lower."""
    for row in origins(height, rows):
        yield Window(row, 0, min(rows, height - row), width)


def blocks(extent: Window, size: int) -> Iterator[Window]:
    """`extent` cut into `size` x `size` windows, row by row, ragged at its right and bottom."""
    for row in range(extent.row, extent.bottom, size):
        for col in range(extent.col, extent.right, size):
            yield Window(row, col, size, size).intersect(extent)


def sample_windows(height: int, width: int, size: int, count: int) -> Iterator[Window]:
    """About `count` windows of up to `size` x `size` pixels, spread evenly over a raster.

    They never overlap; a raster that is not larger than them together is covered.
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


def _spread(length: int, count: int) -> list[int]:
    """`count` of the numbers 0 to length - 1, evenly spread."""
    return [(2 * i + 1) * length // (2 * count) for i in range(count)]


def tile_at(write: Window, halo: int, height: int, width: int) -> Tile:
    """The tile that owns `write` on a raster of `height` x `width` pixels.

    Its read window is CLIPPED at the raster's edge, never extended with zeros: a net pads every
    layer itself there, and zeros in front of the first layer are not the same.
    """
    read = write.grow(halo).clip(height, width)
    return Tile(read, write.relative_to(read), write)


def training_windows(height: int, width: int, size: int, stride: int) -> Iterator[Window]:
    """The `size` x `size` windows of a raster, every `stride` pixels, in column order.

    The raster counts as padded to the right and at the bottom to a multiple of `size` (and as far
    as the last window reaches, where `stride` does not divide `size`), so that every pixel is in
    some window; no window lies in the padding alone. All rows of a column come before the next
    column.
    """
    if size <= 0 or not 0 < stride <= size:
        raise ValueError("a tile needs a positive size and a stride of 1 to that size")
    for col in _starts(width, size, stride):
        for row in _starts(height, size, stride):
            yield Window(row, col, size, size)


def _starts(length: int, size: int, stride: int) -> range:
    """0, stride, 2 stride, ... up to the start that reaches the padding's end, below `length`."""
    return range(0, min(length, round_up(length, size) - size + stride), stride)
