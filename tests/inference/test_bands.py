"""geofcn.inference.bands: thin row bands out of the shards of blocks."""

import numpy as np
import pytest

from geofcn.core import windows
from geofcn.core.windows import Window
from geofcn.errors import OutputError
from geofcn.inference import shards as shards_module
from geofcn.inference.bands import read_bands
from geofcn.inference.schedule import Layout
from geofcn.inference.shards import Shards

LAYOUT = Layout(Window(0, 0, 150, 70), 64, 32)


@pytest.fixture
def raster(monkeypatch) -> np.ndarray:
    """Of 3 x 3 blocks, in strips and row bands of 16 rows."""
    monkeypatch.setattr(windows, "BAND_PIXELS", 70 * 20)
    monkeypatch.setattr(shards_module, "STRIP_PIXELS", 1)
    return np.random.default_rng(0).integers(0, 256, (150, 70), np.uint8)


@pytest.fixture
def shards(raster, tmp_path) -> Shards:
    shards = Shards(tmp_path / "work", {})
    for number, block in enumerate(LAYOUT.blocks()):
        shards.save(number, {"a": raster[block.slices], "b": raster[block.slices] / 3})
    return shards


def test_the_bands_are_those_of_the_whole_raster(raster, shards):
    bands = list(read_bands(LAYOUT, shards, range(9)))
    assert {window.height for window, _ in bands} == {16, 6}
    assert {window.width for window, _ in bands} == {70}
    np.testing.assert_array_equal(np.concatenate([arrays["a"] for _, arrays in bands]), raster)
    np.testing.assert_array_equal(np.concatenate([arrays["b"] for _, arrays in bands]), raster / 3)


def test_a_row_of_blocks_is_read_as_soon_as_it_stands(shards):
    drawn = []
    numbers = (drawn.append(number) or number for number in range(9))
    next(read_bands(LAYOUT, shards, numbers))
    assert drawn == [0, 1, 2]


def test_a_damaged_strip_is_told(shards):
    path = shards.folder / "000004.shard"
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)
    bands = read_bands(LAYOUT, shards, range(9))
    with pytest.raises(OutputError, match=r"000004\.shard.*damaged"):
        list(bands)
    assert 4 not in shards
