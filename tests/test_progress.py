"""geofcn.progress"""

import sys
import warnings
from types import SimpleNamespace

import pytest

from geofcn import progress
from geofcn.progress import automatic, bar, logged, silent


def test_silence_takes_every_step_and_says_nothing(capsys):
    with silent("reading", 10, "px") as step:
        step.advance(3)
        step.advance(7, loss=0.5)
    assert capsys.readouterr() == ("", "")


def test_silence_hides_no_error():
    with pytest.raises(ZeroDivisionError), silent("reading", 1, "px"):
        raise ZeroDivisionError


def test_a_bar_tells_the_step_and_its_figures(capsys):
    with bar("learning", 10, "steps") as step:
        step.advance(10, loss=0.25)
    shown = capsys.readouterr().err
    assert "learning" in shown and "10/10" in shown and "loss 0.25" in shown


@pytest.fixture
def clock(monkeypatch):
    """clock(seconds): so much time goes by."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])

    def go_on(seconds: float) -> None:
        now[0] += seconds

    return go_on


def test_in_the_log_stands_how_long_is_left_each_time_that_it_has_halved(clock, caplog):
    with logged("training", 1200, "tiles") as step:
        for _ in range(1200):
            step.advance(1)
            clock(10)
    told = ["3.3 h", "100 min", "50 min", "25 min", "12 min", "6 min", "3 min", "2 min"]
    assert caplog.messages == [f"training: about {time} left" for time in told]


def test_what_was_done_before_says_nothing_about_the_time(clock, caplog):
    with logged("training", 1000, "tiles") as step:
        step.advance(940)
        for _ in range(3):
            clock(60)
            step.advance(20)
    assert caplog.messages == ["training: about 2 min left", "training: about 1 min left"]


@pytest.mark.parametrize("seconds", [0.25, 0.5])
def test_what_is_over_soon_is_not_told_of(clock, caplog, seconds):
    with logged("training", 180, "tiles") as step:
        for _ in range(180):
            step.advance(1)
            clock(seconds)
        step.advance(0)
    assert caplog.messages == []


class ZMQInteractiveShell:
    """What IPython's shell is called in a notebook."""


@pytest.mark.parametrize(("shell", "shows"), [(ZMQInteractiveShell(), True), (None, False)])
def test_by_default_a_notebook_shows_bars(monkeypatch, capsys, shell, shows):
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with automatic("reading", 4, "px") as step:
            step.advance(4)
    said = capsys.readouterr()
    assert ("reading" in said.err + said.out) == shows
