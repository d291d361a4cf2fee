"""geofcn.progress"""

import pytest

from geofcn.progress import silent


def test_silence_takes_every_step_and_says_nothing(capsys):
    with silent("reading", 10, "px") as step:
        step.advance(3)
        step.advance(7, loss=0.5)
    assert capsys.readouterr() == ("", "")


def test_silence_hides_no_error():
    with pytest.raises(ZeroDivisionError), silent("reading", 1, "px"):
        raise ZeroDivisionError
