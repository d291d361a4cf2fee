"""geofcn.progress"""

import sys
import warnings
from types import SimpleNamespace

import pytest

from geofcn.progress import automatic, bar, silent


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
