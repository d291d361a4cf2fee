"""Row bands of a raster that decode each of its blocks once, however wide the raster is."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator

import numpy as np

from geofcn.core.windows import Window, cut, origins, round_up, row_bands
from geofcn.errors import OutputError
from geofcn.io.gdal import CACHE_BYTES
from geofcn.io.scene import Scene

# What a row of blocks may have for GDAL's cache to hold it from one row band to the next: several
# rasters may share that.
CACHED_BYTES = CACHE_BYTES // 4
# Columns that are read at once of a row of blocks that is larger.
COLUMNS = 2**14


def read_bands(
    raster: Scene, read: Callable[[Window], np.ndarray], rows: int
) -> Iterator[np.ndarray]:
    """Full-width row bands of a raster from its first row to its last.

    Parameters
    ----------
    raster : Scene
        Gives the size and the blocks.
    read : callable
        Reads a window of it: (rows, columns), always of one type.
    rows : int
        Of a row band; the last one may be lower.

    Raises
    ------
    OutputError
        Where the temporary folder has no room for a row of blocks.

    Notes
    -----
    A row of blocks that is too large for GDAL's cache would be decoded anew for every row band in
    it. It is read some columns at a time, and waits in a file without a name in the temporary
    folder (TMPDIR): a pixel takes what it takes in memory.
    """
    block_rows = raster.block_shape[0]
    pixel = len(raster.file_bands) * np.dtype(raster.file_bands[0].dtype).itemsize
    if block_rows <= rows or block_rows * raster.width * pixel <= CACHED_BYTES:
        yield from map(read, row_bands(raster.height, raster.width, rows))
        return
    for row in row_bands(raster.height, raster.width, round_up(block_rows, rows)):
        yield from _from_disk(row, read, rows)


def _from_disk(
    row: Window, read: Callable[[Window], np.ndarray], rows: int
) -> Iterator[np.ndarray]:
    """The row bands of a row of blocks; in the file band follows band, of each part after part."""
    parts = list(cut(row, row.height, COLUMNS))
    with tempfile.TemporaryFile(prefix="geofcn-") as file:
        for part in parts:
            pixels = read(part)
            for top in origins(row.height, rows):
                piece = pixels[top : top + rows]
                try:
                    file.seek((top * row.width + len(piece) * part.col) * piece.itemsize)
                    file.write(piece.tobytes())
                except OSError as error:
                    raise _no_room(error) from error
        file.seek(0)
        for band in cut(row, rows, row.width):
            stored = np.frombuffer(file.read(band.pixels * pixels.itemsize), pixels.dtype)
            pieces = np.split(stored, [band.height * part.col for part in parts[1:]])
            yield np.hstack([piece.reshape(band.height, -1) for piece in pieces])


def _no_room(error: OSError) -> OutputError:
    return OutputError(
        f"{tempfile.gettempdir()}: no row of a raster's blocks can be kept there "
        f"({error.strerror}); make room, or name another temporary folder by TMPDIR."
    )
