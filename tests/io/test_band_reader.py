"""geofcn.io.band_reader: row bands of a wide raster, each block of which is decoded once."""

import errno
import tempfile

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from geofcn.core.grid import Grid
from geofcn.core.windows import Window
from geofcn.errors import OutputError
from geofcn.io import band_reader
from geofcn.io.band_reader import read_bands
from geofcn.io.scene import FileBand, Scene


class Raster:
    """Pixels that tell which of their windows were read."""

    def __init__(self, height: int, width: int, block_rows: int, dtype=np.uint8):
        self.pixels = np.random.default_rng(0).integers(0, 2**16, (height, width)).astype(dtype)
        self.scene = Scene(
            "wide.tif",
            Grid(height, width, None, Affine.identity()),
            (1,),
            (FileBand("gray", "uint8"),),
            (block_rows, 4),
            "GTiff",
            None,
        )
        self.read_windows: list[Window] = []

    def read(self, window: Window) -> np.ndarray:
        self.read_windows.append(window)
        return self.pixels[window.slices]


@pytest.fixture
def uncached(monkeypatch):
    """No row of blocks fits the cache, and some columns are 5."""
    monkeypatch.setattr(band_reader, "CACHED_BYTES", 0)
    monkeypatch.setattr(band_reader, "COLUMNS", 5)


def test_a_block_is_read_once_where_the_cache_does_not_hold_a_row_of_blocks(uncached):
    raster = Raster(height=10, width=12, block_rows=8)
    bands = list(read_bands(raster.scene, raster.read, rows=4))
    assert [len(band) for band in bands] == [4, 4, 2]
    assert (np.concatenate(bands) == raster.pixels).all()
    columns = [(0, 5), (5, 5), (10, 2)]
    assert raster.read_windows == [
        Window(row, col, height, width)
        for row, height in ((0, 8), (8, 2))
        for col, width in columns
    ]


def test_where_it_does_row_bands_are_read_as_they_are():
    raster = Raster(height=10, width=12, block_rows=8)
    bands = list(read_bands(raster.scene, raster.read, rows=4))
    assert (np.concatenate(bands) == raster.pixels).all()
    assert [window.shape for window in raster.read_windows] == [(4, 12), (4, 12), (2, 12)]


@given(*[st.integers(1, 20)] * 4, st.sampled_from([np.uint8, np.uint32]))
def test_row_bands_are_the_raster(height, width, block_rows, rows, dtype):
    raster = Raster(height, width, block_rows, dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(band_reader, "CACHED_BYTES", 0)
        patch.setattr(band_reader, "COLUMNS", 3)
        bands = list(read_bands(raster.scene, raster.read, rows))
    assert {len(band) for band in bands[:-1]} <= {rows}
    assert (np.concatenate(bands) == raster.pixels).all()


def test_no_room_in_the_temporary_folder_is_one_sentence(uncached, monkeypatch):
    class Full:
        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def seek(self, offset):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **options: Full())
    raster = Raster(height=8, width=12, block_rows=8)
    with pytest.raises(OutputError, match=r"No space left.*TMPDIR"):
        list(read_bands(raster.scene, raster.read, rows=4))
