"""geofcn.io.locks: one process at a time, whatever becomes of it."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from geofcn.errors import OutputError
from geofcn.io import locks
from geofcn.io.locks import locked

# Holds the lock of the file named until its input ends; says `held`, or why not.
HOLDER = """
import sys
from geofcn.io.locks import locked
try:
    with locked(sys.argv[1]):
        print("held", flush=True)
        sys.stdin.read()
except OSError as error:
    print(error)
"""


@contextmanager
def holder(path):
    """Another process that holds, or tries to hold, the lock of `path`; `.said` is what it said."""
    command = [sys.executable, "-P", "-c", HOLDER, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        process.said = process.stdout.readline().strip()
        yield process


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_second_process_is_told_who_the_first_is(tmp_path):
    path = tmp_path / "mask.tif"
    with holder(path) as first:
        assert first.said == "held"
        with pytest.raises(OutputError) as caught, locked(tmp_path / "other.gpkg", path):
            pass
        message = str(caught.value)
        assert message.startswith(f"{path}: another geofcn (process {first.pid} on ")
        assert message.endswith("is writing this; wait for it to end, or give another name.")
        assert names(tmp_path) == [".mask.tif.lock"]
    with locked(path):
        assert names(tmp_path) == [".mask.tif.lock"]
    assert names(tmp_path) == []


def test_of_eight_processes_at_once_one_writes(tmp_path):
    command = [sys.executable, "-P", "-c", HOLDER, str(tmp_path / "mask.tif")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(8)]
    said = [process.stdout.readline().strip() for process in processes]
    assert said.count("held") == 1
    (pid,) = (
        process.pid for process, words in zip(processes, said, strict=True) if words == "held"
    )
    assert sum(f"another geofcn (process {pid} on " in words for words in said) == 7
    for process in processes:
        process.communicate(timeout=30)
    assert names(tmp_path) == []


def test_a_killed_process_holds_nothing_and_what_it_left_goes(tmp_path):
    path = tmp_path / "mask.tif"
    with holder(path) as first:
        (tmp_path / ".mask.tif.0123abcd.partial").mkdir()
        first.send_signal(signal.SIGKILL)
        first.wait()
        assert names(tmp_path) == [".mask.tif.0123abcd.partial", ".mask.tif.lock"]
        with locked(path):
            assert names(tmp_path) == [".mask.tif.lock"]
    assert names(tmp_path) == []


def test_what_another_process_is_making_is_not_removed(tmp_path):
    path = tmp_path / "mask.tif"
    with holder(path):
        (tmp_path / ".mask.tif.0123abcd.partial").mkdir()
        with pytest.raises(OutputError), locked(path):
            pass
        assert ".mask.tif.0123abcd.partial" in names(tmp_path)


def test_two_threads_exclude_each_other_as_processes_do(tmp_path):
    refused = []

    def try_it():
        try:
            with locked(tmp_path / "mask.tif"):
                pass
        except OutputError as error:
            refused.append(str(error))

    with locked(tmp_path / "mask.tif"):
        thread = threading.Thread(target=try_it)
        thread.start()
        thread.join()
    assert len(refused) == 1 and f"process {os.getpid()} on " in refused[0]


def test_other_outputs_and_those_not_wanted_are_free(tmp_path):
    (tmp_path / "x").mkdir()
    with locked(tmp_path / "a.tif", None, tmp_path / "a.gpkg"):
        with locked(tmp_path / "b.tif"), locked(tmp_path / "x" / "a.tif"), locked(None):
            pass
        for name in ("a.tif", "x/../a.gpkg"):
            with pytest.raises(OutputError), locked(tmp_path / name):
                pass


def test_the_lock_of_a_folder_lies_in_it_whatever_link_leads_there(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "run")
    with locked(tmp_path / "run"):
        assert names(tmp_path / "run") == [".lock"]
        with pytest.raises(OutputError, match="link: another geofcn"), locked(tmp_path / "link"):
            pass
    assert names(tmp_path / "run") == []


def test_an_error_lets_go_and_passes(tmp_path):
    with pytest.raises(ZeroDivisionError), locked(tmp_path / "a.tif"):
        raise ZeroDivisionError
    assert names(tmp_path) == []


def test_a_name_given_twice_is_that_and_no_other_process(tmp_path):
    with (
        pytest.raises(OutputError, match="two outputs have this name"),
        locked(tmp_path / "a.tif", tmp_path / "." / "A.tif"),
    ):
        pass
    assert names(tmp_path) == []


# --- what stands in a lock's file ---


def left(tmp_path, **changes):
    """A lock's file of a process that is gone."""
    holder = {"process": 7, "host": "elsewhere", "boot": "another", "since": "2026-01-01 00:00:00"}
    (tmp_path / ".a.tif.lock").write_text(json.dumps(holder | changes))


def test_a_lock_that_another_machine_left_is_not_guessed_to_be_old(tmp_path):
    left(tmp_path)
    with pytest.raises(OutputError) as caught, locked(tmp_path / "a.tif"):
        pass
    message = str(caught.value)
    assert "another machine (process 7 on elsewhere, since 2026-01-01 00:00:00)" in message
    assert f"delete {tmp_path / '.a.tif.lock'} and run the same command again" in message
    assert names(tmp_path) == [".a.tif.lock"]
    (tmp_path / ".a.tif.lock").unlink()
    with locked(tmp_path / "a.tif"):
        pass


@pytest.mark.parametrize("same", ["host", "boot", "process"])
def test_a_lock_of_this_machine_that_nobody_holds_is_taken_over(tmp_path, same):
    """Also after a restart, of a container with a name of its own, and of a process id in use."""
    here = locks._machine()
    known = {"host": {"host": here["host"]}, "boot": {"boot": here["boot"]}}
    left(tmp_path, **known.get(same, here | {"process": os.getppid()}))
    with locked(tmp_path / "a.tif"):
        assert json.loads((tmp_path / ".a.tif.lock").read_text())["process"] == os.getpid()
    assert names(tmp_path) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"process": 7}', "\x1b[2J" * 2000])
def test_any_other_text_is_taken_over(tmp_path, text):
    (tmp_path / ".a.tif.lock").write_text(text)
    with locked(tmp_path / "a.tif"):
        pass


def test_nothing_in_the_file_reaches_a_terminal_raw(tmp_path):
    left(tmp_path, host="a\x1b[2J\nb")
    with pytest.raises(OutputError) as caught, locked(tmp_path / "a.tif"):
        pass
    assert r"on a\x1b[2J\nb," in str(caught.value)


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_link_in_its_place_is_not_written_through(tmp_path, link):
    (tmp_path / "precious").write_text("mine")
    link(tmp_path / "precious", tmp_path / ".a.tif.lock")
    with pytest.raises(OutputError, match="nothing can be written"), locked(tmp_path / "a.tif"):
        pass
    assert (tmp_path / "precious").read_text() == "mine"


def test_where_locks_do_not_work_that_is_said_once_and_nothing_is_cleaned(
    tmp_path, monkeypatch, caplog
):
    def unsupported(handle, *rest):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks.fcntl, "flock", unsupported)
    (tmp_path / ".a.tif.0123abcd.partial").mkdir()
    with caplog.at_level("WARNING", "geofcn"), locked(tmp_path / "a.tif"):
        pass
    (record,) = caplog.records
    assert "locks do not work there (No locks available)" in record.getMessage()
    assert names(tmp_path) == [".a.tif.0123abcd.partial"]


def test_a_folder_that_is_not_there_or_takes_no_file_is_one_sentence(tmp_path, monkeypatch):
    with (
        pytest.raises(OutputError, match="its folder does not exist"),
        locked(tmp_path / "x/a.tif"),
    ):
        pass

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(locks.os, "open", full)
    with pytest.raises(OutputError, match=r"nothing can be written in .*"), locked(tmp_path / "a"):
        pass


# --- the verbs ---


@pytest.mark.parametrize(
    ("verb", "arguments", "output"),
    [
        ("infer", "scene.tif {}/m.tif --model run/best-f1.safetensors", "m.tif"),
        (
            "infer",
            "scene.tif {}/m.tif --model run/best-f1.safetensors --polygons {}/h.shp",
            "h.shp",
        ),
        ("polygonize", "labels.tif {}/h.gpkg", "h.gpkg"),
        ("evaluate", "labels.tif labels.gpkg --matches {}/x.fgb", "x.fgb"),
        ("sample", "{} --size 512", "labels.gpkg"),
        ("train", "scene.tif labels.tif -o {}", ""),
    ],
)
def test_every_verb_waits_for_nobody(
    trained, geofcn_command, tmp_path, monkeypatch, verb, arguments, output
):
    monkeypatch.chdir(trained)
    with locked(tmp_path / output):
        result = geofcn_command(verb, *arguments.format(tmp_path, tmp_path).split(), code=1)
    (line,) = (line for line in result.stderr.splitlines() if line.startswith("Error: "))
    assert f"{tmp_path / output}: another geofcn (process {os.getpid()} on " in line
    assert names(tmp_path) == []
