import os
import sys
import time

import pytest

from geofcn.qgis_plugin.process import GeofcnError, Stopped, clean_environment, run


class Feedback:
    """Remembers what it is told; is cancelled once `until` has been told."""

    def __init__(self, until: str = "never"):
        self.told, self.percent, self.until = [], [], until

    def isCanceled(self):
        return self.until in self.told

    def setProgress(self, percent):
        self.percent.append(percent)

    def _tell(self, text):
        self.told.append(text)

    setProgressText = pushInfo = pushWarning = _tell


def python(code: str) -> list[str]:
    return [sys.executable, "-c", f"import sys, time\n{code}"]


STEP = '{"step": "training", "total": 8, "unit": "tiles", "done": 2, "figures": {"loss": 0.12345}}'


def test_progress_notices_and_the_answer_are_told_apart():
    feedback = Feedback()
    code = f"print('F1 90'); print({STEP!r}, 'a notice', '[1]', sep='\\n', file=sys.stderr)"
    assert run(python(code), feedback) == ["F1 90"]
    assert sorted(feedback.told) == sorted(
        ["F1 90", "training: 2 of 8 tiles, loss 0.1235", "a notice", "[1]"]
    )
    assert feedback.percent == [25]


def test_the_sentence_of_an_error_is_the_error():
    code = "print('Error: a.tif: it is damaged; copy it.', file=sys.stderr); sys.exit(1)"
    with pytest.raises(GeofcnError) as caught:
        run(python(code), Feedback())
    assert str(caught.value) == "a.tif: it is damaged; copy it."


def test_an_end_without_a_sentence_is_told_by_its_code():
    with pytest.raises(GeofcnError, match="exit code 3"):
        run(python("sys.exit(3)"), Feedback())


def test_a_program_that_is_not_there_is_named(tmp_path):
    with pytest.raises(GeofcnError, match=r"nowhere: it cannot be run \(No such file"):
        run([str(tmp_path / "nowhere")], Feedback())


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM")
def test_cancel_ends_the_program_by_sigterm_which_it_can_hear():
    code = """import signal
def stop(*_): print('tidied up', flush=True); sys.exit(143)
signal.signal(signal.SIGTERM, stop)
print('ready', flush=True); time.sleep(60)"""
    feedback, start = Feedback(until="ready"), time.monotonic()
    with pytest.raises(Stopped):
        run(python(code), feedback)
    assert feedback.told == ["ready", "tidied up"]
    assert time.monotonic() - start < 50, "it was not waited for"


def test_a_line_that_is_no_text_is_shown_as_far_as_it_is_one():
    feedback = Feedback()
    run(python("sys.stdout.buffer.write(b'h\\xffuser\\n')"), feedback)
    assert feedback.told == ["h\ufffduser"]


def test_the_settings_of_qgis_for_its_own_python_are_not_handed_on():
    given = {"PYTHONHOME": "/qgis", "PROJ_LIB": "/qgis", "HOME": "/me"}
    made = clean_environment(given)
    assert "PYTHONHOME" not in made and "PROJ_LIB" not in made
    assert made["HOME"] == "/me" and made["GEOFCN_PROGRESS"] == "json"
