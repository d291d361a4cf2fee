"""Exit codes and messages, which belong to the command line."""

import functools
import logging
import os
import signal
import sys

import click
import pytest
from click.testing import CliRunner

from geofcn.errors import OutputError, SceneError, UsageError
from geofcn.io import files
from geofcn_cli import options


def run(error: BaseException, *arguments: str):
    @click.command()
    @options.verb
    def failing(progress):
        raise error

    return CliRunner().invoke(failing, arguments)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("iou 2: give one up to 1."), 2),
        (SceneError("a.tif: there is no such file; check the path."), 1),
        (OutputError("m.tif: it exists already; give --overwrite to replace it."), 1),
    ],
)
def test_an_error_of_geofcn_is_its_sentence_and_a_code(error, code):
    result = run(error)
    assert (result.exit_code, result.stderr) == (code, f"Error: {error}\n")


def test_any_other_error_is_called_unexpected():
    result = run(ZeroDivisionError("division by zero"))
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: unexpected ZeroDivisionError: division by zero (run again with --debug to see "
        "where)\n"
    )


def test_a_name_that_is_no_text_is_named():
    result = run(UnicodeEncodeError("utf-8", "h\udce4.tif", 1, 2, "surrogates not allowed"))
    assert result.exit_code == 1
    assert result.stderr.startswith(
        "Error: h\\udce4.tif: this name is no text in this locale; set "
    )


def test_debug_shows_the_traceback():
    result = run(SceneError("a.tif: no."), "--debug")
    assert isinstance(result.exception, SceneError)


@pytest.fixture
def stopped(tmp_path, monkeypatch):
    """stopped(verb, signal) -> Result of a command that is stopped while it makes a file."""

    def run(verb, number):
        @click.command()
        @verb
        def busy(progress):
            files.partial_beside(tmp_path / "a.tif").mkdir()
            os.kill(os.getpid(), number)

        return CliRunner().invoke(busy, [])

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.setattr(options.os, "_exit", lambda code: sys.exit(code))
    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_verb_leaves_nothing_and_says_whether_it_can_go_on(stopped, tmp_path, number):
    result = stopped(options.verb, number)
    assert result.exit_code == 128 + number
    assert result.stderr == "Stopped; what was not finished is removed.\n"
    assert list(tmp_path.iterdir()) == []
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    assert "run the same command again to go on" in stopped(options.lasting_verb, number).stderr


def test_a_reader_who_has_read_enough_is_left_to_click():
    assert isinstance(run(BrokenPipeError()).exception, BrokenPipeError | SystemExit)


def test_other_errors_notices_and_results_are_printed_harmless():
    @click.command()
    @options.verb
    def talking(progress):
        logging.getLogger("geofcn.test").warning("%s: odd.", "\x1b[2J.tif\n")
        options.show("\x1b[2J.tif\nsecond line")
        raise ZeroDivisionError("\x1b[2J")

    result = CliRunner().invoke(talking)
    assert result.stdout == "\\x1b[2J.tif\nsecond line\n"
    assert "\\x1b[2J.tif\\n: odd.\n" in result.stderr
    assert "unexpected ZeroDivisionError: \\x1b[2J" in result.stderr


@pytest.mark.parametrize(("quiet", "printed"), [((), "made\n"), (("-q",), "asked\n")])
def test_quiet_prints_nothing_but_what_was_asked_for(quiet, printed, request):
    log = logging.getLogger("geofcn")
    request.addfinalizer(functools.partial(log.setLevel, log.level))

    @click.command()
    @click.option("--ask", is_flag=True)
    @options.verb
    def making(progress, ask):
        logging.getLogger("geofcn.test").warning("odd.")
        options.report("made", asked="asked" if ask else None)

    assert CliRunner().invoke(making, ["--ask", *quiet]).stdout == printed
    result = CliRunner().invoke(making, quiet)
    assert (result.stdout, bool(result.stderr)) == (("", False) if quiet else ("made\n", True))
