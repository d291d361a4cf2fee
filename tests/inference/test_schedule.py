"""geofcn.inference.schedule: row bands cut into tasks."""

from hypothesis import given
from hypothesis import strategies as st

from geofcn.core.windows import Window, row_bands
from geofcn.inference import schedule
from geofcn.inference.schedule import Task, task_width, tasks_ahead, tasks_of


@given(st.integers(1, 60), st.integers(1, 200), st.integers(1, 5), st.integers(1, 4))
def test_tasks_cover_every_row_band_once(height, width, rows, windows):
    for number, band in enumerate(row_bands(height, width, rows)):
        tasks = list(tasks_of(number, band, rows * windows))
        assert {task.band for task in tasks} == {number}
        assert [task.window.col for task in tasks] == list(range(0, width, rows * windows))
        assert sum(task.window.pixels for task in tasks) == band.pixels
        assert all(task.window.row == band.row for task in tasks)


def test_a_task_is_named_by_its_pixels():
    assert str(Task(3, Window(48, 0, 16, 32))) == "rows 48-63, columns 0-31"


def test_a_striped_scene_is_read_by_whole_strips():
    assert task_width(600, 600, 64) == task_width(600, 600, 64, processes=2) == 640
    assert task_width(600, 32, 64) == 64


def test_processes_share_a_row_band_and_decode_little_twice():
    assert task_width(600, 32, 64, processes=2) == 320
    assert task_width(600, 32, 64, processes=99) == 64
    assert task_width(600, 32, 512, processes=2) == 512


def test_as_many_tasks_are_under_way_as_a_row_band_pixels_and_processors_ask_for(monkeypatch):
    monkeypatch.setattr(schedule, "cores", lambda: 3)
    monkeypatch.setattr(schedule, "AHEAD_PIXELS", 1000)
    assert tasks_ahead(600, 10, 50) == 12, "a row band"
    assert tasks_ahead(50, 10, 10) == 10, "pixels: 1000 / (10 x 10)"
    assert tasks_ahead(50, 100, 50) == 3, "processors"
    assert tasks_ahead(50, 100, 50, processes=4) == 8, "two for each process"
