"""geofcn.inference.schedule: a scene cut into blocks, and these into tasks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofcn.core.windows import Window
from geofcn.inference import schedule
from geofcn.inference.schedule import Layout, Task, task_width, tasks_ahead, tasks_of

sides = st.integers(1, 200)


@given(sides, sides, st.integers(1, 5), st.integers(1, 4), st.integers(1, 300))
def test_blocks_tasks_and_bands_cover_every_pixel_once(height, width, window, least, most):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schedule, "BLOCK_PIXELS", most)
        layout = Layout.of(Window(0, 0, height, width), window)
    blocks = list(layout.blocks())
    assert len(blocks) == len(layout)
    by_task, by_band = np.zeros((2, height, width), int)
    for number, block in enumerate(blocks):
        assert block.row % window == block.col % window == 0
        for task in tasks_of(number, block, least * window):
            assert task.block == number and task.window.height == block.height
            by_task[task.window.slices] += 1
    for row in layout.rows():
        assert sum(block.row == row.row for block in blocks) == layout.across
        for band in layout.bands(row):
            by_band[band.slices] += 1
    assert (by_task == 1).all() and (by_band == 1).all()


@given(st.integers(1, 10**7), st.integers(1, 10**7), st.integers(1, 4096))
def test_a_block_is_bounded_whatever_the_scene(height, width, window):
    layout = Layout.of(Window(0, 0, height, width), window)
    pixels = layout.height * min(width, layout.width)
    assert window**2 / 2 <= pixels <= max(schedule.BLOCK_PIXELS, window**2)


def test_a_task_is_named_by_its_pixels():
    assert str(Task(3, Window(48, 0, 16, 32))) == "rows 48-63, columns 0-31"


LAYOUT = Layout.of(Window(0, 0, 600, 600), 10)


def test_a_striped_scene_is_read_by_whole_strips():
    assert task_width(LAYOUT, 600, 64) == task_width(LAYOUT, 600, 64, processes=2) == 640
    assert task_width(LAYOUT, 32, 64) == 64


def test_processes_share_a_block_and_decode_little_twice():
    assert task_width(LAYOUT, 32, 64, processes=2) == 320
    assert task_width(LAYOUT, 32, 64, processes=99) == 64
    assert task_width(LAYOUT, 32, 512, processes=2) == 512


def test_as_many_tasks_are_under_way_as_a_block_pixels_and_processors_ask_for(monkeypatch):
    monkeypatch.setattr(schedule, "cores", lambda: 3)
    monkeypatch.setattr(schedule, "AHEAD_PIXELS", 1000)
    assert tasks_ahead(LAYOUT, 50) == 12, "a block"
    assert tasks_ahead(Layout.of(Window(0, 0, 10, 50), 10), 10) == 10, "pixels: 1000 / (10 x 10)"
    high = Layout.of(Window(0, 0, 100, 50), 100)
    assert tasks_ahead(high, 100) == 3, "processors"
    assert tasks_ahead(high, 100, processes=4) == 8, "two for each process"
