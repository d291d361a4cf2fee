from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofcn.core.windows import (
    Window,
    blocks,
    ceil_div,
    count_blocks,
    origins,
    round_up,
    row_bands,
    sample_windows,
    tile_at,
    training_windows,
)

sides = st.integers(1, 60)


def count_owners(windows, height, width) -> np.ndarray:
    """How many of the windows own each pixel."""
    owners = np.zeros((height, width), int)
    for window in windows:
        assert window.pixels > 0
        assert window == window.clip(height, width), "a window reaches beyond the raster"
        owners[window.slices] += 1
    return owners


def test_a_window_names_its_edges():
    window = Window(2, 3, 4, 5)
    assert (window.bottom, window.right, window.shape, window.pixels) == (6, 8, (4, 5), 20)
    assert str(window) == "rows 2-5, columns 3-7"
    assert window.slices == (slice(2, 6), slice(3, 8))
    assert window.ranges == ((2, 6), (3, 8)), "as rasterio takes it"
    assert np.arange(100).reshape(10, 10)[window.slices].shape == (4, 5)


def test_windows_sort_by_row_then_column():
    windows = [Window(1, 0, 1, 1), Window(0, 9, 9, 9), Window(0, 2, 5, 5)]
    assert [(window.row, window.col) for window in sorted(windows)] == [(0, 2), (0, 9), (1, 0)]


def test_windows_that_do_not_meet_share_no_pixel():
    assert Window(0, 0, 2, 2).intersect(Window(5, 1, 2, 2)).pixels == 0
    assert Window(0, 0, 2, 2).intersect(Window(2, 0, 2, 2)).pixels == 0
    assert Window(9, 9, 4, 4).clip(5, 5).pixels == 0


@given(
    a=st.builds(Window, sides, sides, sides, sides), b=st.builds(Window, sides, sides, sides, sides)
)
def test_intersection_is_that_of_the_pixels(a, b):
    both = np.zeros((130, 130), int)
    both[a.slices] += 1
    both[b.slices] += 1
    meet = a.intersect(b)
    assert meet.pixels == np.count_nonzero(both == 2) == b.intersect(a).pixels
    if meet.pixels:
        assert (both[meet.slices] == 2).all()


@given(st.builds(Window, sides, sides, sides, sides), st.integers(0, 9))
def test_growing_and_shrinking_is_no_change(window, margin):
    assert window.grow(margin).grow(-margin) == window
    assert window.relative_to(window) == Window(0, 0, *window.shape)


@given(
    window=st.builds(Window, sides, sides, sides, sides),
    factor=st.builds(Fraction, st.integers(1, 9), st.sampled_from([1, 2, 4, 8])),
)
def test_a_zoomed_window_is_the_least_that_holds_all_of_it(window, factor):
    zoomed = window.zoom(factor)
    for start, end, low, high in (
        (window.row, window.bottom, zoomed.row, zoomed.bottom),
        (window.col, window.right, zoomed.col, zoomed.right),
    ):
        assert 0 <= start * factor - low < 1 and 0 <= high - end * factor < 1
    assert window.zoom(3).zoom(Fraction(1, 3)) == window


@given(outer=st.builds(Window, sides, sides, sides, sides), data=st.data())
def test_a_part_of_a_window_is_the_same_pixels_counted_from_its_corner(outer, data):
    row = data.draw(st.integers(outer.row, outer.bottom - 1))
    col = data.draw(st.integers(outer.col, outer.right - 1))
    part = Window(row, col, outer.bottom - row, outer.right - col)
    raster = np.arange(130 * 130).reshape(130, 130)
    relative = part.relative_to(outer)
    assert (raster[outer.slices][relative.slices] == raster[part.slices]).all()


@given(st.integers(-10_000, 10_000), st.integers(1, 300))
def test_ceil_div_is_the_quotient_rounded_up(value, divisor):
    assert (ceil_div(value, divisor) - 1) * divisor < value <= ceil_div(value, divisor) * divisor


@given(height=sides, width=sides, size=st.integers(1, 70))
def test_there_are_as_many_blocks_as_counted(height, width, size):
    assert count_blocks(height, width, size) == len(list(blocks(Window(0, 0, height, width), size)))


@given(st.integers(0, 10_000), st.integers(1, 300))
def test_round_up_is_the_least_multiple_that_is_not_less(value, multiple):
    rounded = round_up(value, multiple)
    assert rounded % multiple == 0
    assert value <= rounded < value + multiple


def test_origins():
    assert list(origins(10, 4)) == [0, 4, 8]
    assert list(origins(8, 4)) == [0, 4]
    assert list(origins(0, 4)) == []


@given(height=sides, width=sides, rows=sides)
def test_row_bands_are_disjoint_full_rows_that_cover(height, width, rows):
    bands = list(row_bands(height, width, rows))
    assert (count_owners(bands, height, width) == 1).all()
    assert all(band.col == 0 and band.width == width and band.height <= rows for band in bands)
    assert [band.row for band in bands] == sorted(band.row for band in bands)


@given(extent=st.builds(Window, sides, sides, sides, sides), size=st.integers(1, 70))
def test_blocks_are_disjoint_and_cover_their_extent(extent, size):
    pieces = list(blocks(extent, size))
    owners = np.zeros((130, 130), int)
    for piece in pieces:
        assert 0 < piece.height <= size and 0 < piece.width <= size
        owners[piece.slices] += 1
    expected = np.zeros_like(owners)
    expected[extent.slices] = 1
    assert (owners == expected).all()
    assert pieces == sorted(pieces), "row by row"


@given(height=sides, width=sides, size=st.integers(1, 20), halo=st.integers(0, 30))
def test_a_tile_reads_its_halo_clipped_and_crops_what_it_owns(height, width, size, halo):
    scene = np.arange(height * width).reshape(height, width)
    for write in blocks(Window(0, 0, height, width), size):
        tile = tile_at(write, halo, height, width)
        assert tile.write == write
        assert tile.read == tile.read.clip(height, width)
        assert tile.crop == tile.crop.clip(*tile.read.shape)
        assert (scene[tile.read.slices][tile.crop.slices] == scene[write.slices]).all()
        # On every side there is the whole halo, or the raster's edge.
        assert tile.read.row == max(0, write.row - halo)
        assert tile.read.col == max(0, write.col - halo)
        assert tile.read.bottom == min(height, write.bottom + halo)
        assert tile.read.right == min(width, write.right + halo)


@given(height=sides, width=sides, size=st.integers(1, 25), data=st.data())
def test_every_pixel_is_in_some_training_window_and_every_window_on_the_raster(
    height, width, size, data
):
    stride = data.draw(st.integers(1, size))
    windows = list(training_windows(height, width, size, stride))
    covered = np.zeros((height, width), bool)
    for window in windows:
        assert window.shape == (size, size)
        assert window.row % stride == window.col % stride == 0
        assert window.clip(height, width).pixels > 0, "a window with no pixel of the raster"
        covered[window.slices] = True
    assert covered.all()
    assert len(set(windows)) == len(windows)


@given(height=sides, width=sides, size=st.integers(1, 12), parts=st.integers(1, 4))
def test_a_stride_that_divides_the_tile_ends_with_the_padding(height, width, size, parts):
    windows = list(training_windows(height, width, size * parts, size))
    assert max(window.bottom for window in windows) == round_up(height, size * parts)
    assert max(window.right for window in windows) == round_up(width, size * parts)


def test_training_windows_come_in_column_order():
    windows = list(training_windows(3, 4, 2, 2))
    assert [(w.row, w.col) for w in windows] == [(0, 0), (2, 0), (0, 2), (2, 2)]


def test_the_exercises_image_gives_775_tiles_at_half_a_tile_and_208_at_a_whole_one():
    # 2022 x 1608 is padded to 2048 x 1664: 31 x 25 tiles at stride 64, 16 x 13 at stride 128.
    assert len(list(training_windows(1608, 2022, 128, 64))) == 775
    assert len(list(training_windows(1608, 2022, 128, 128))) == 208


@pytest.mark.parametrize(("size", "stride"), [(0, 1), (4, 0), (4, 5), (4, -1), (-4, 1)])
def test_a_stride_that_would_leave_pixels_out_is_refused(size, stride):
    with pytest.raises(ValueError, match="stride"):
        list(training_windows(10, 10, size, stride))


@given(
    height=st.integers(1, 400),
    width=st.integers(1, 400),
    size=st.integers(1, 50),
    count=st.integers(1, 80),
)
def test_sample_windows_are_disjoint_and_about_as_many_as_asked_for(height, width, size, count):
    windows = list(sample_windows(height, width, size, count))
    owners = count_owners(windows, height, width)
    assert owners.max() == 1
    assert 1 <= len(windows) <= 2 * count
    all_of_them = round_up(height, size) * round_up(width, size) // size**2
    if all_of_them <= count:
        assert owners.all(), "a raster that is not larger than the sample is covered"
    else:
        assert len(windows) >= count / 3


def test_a_narrow_strip_is_sampled_no_more_than_any_other_raster():
    windows = list(sample_windows(500, 200_000, 256, 64))
    assert len(windows) <= 128
    assert max(w.col for w in windows) - min(w.col for w in windows) > 150_000
