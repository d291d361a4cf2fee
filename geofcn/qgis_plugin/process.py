"""geofcn run as a program: its progress, its messages, its errors, and an end before its time."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any, Protocol

# How geofcn marks the sentence that says what is wrong.
ERROR = "Error: "
# What QGIS sets for its own Python and its own GDAL would mislead another one.
FOREIGN = (
    "PYTHONHOME", "PYTHONPATH", "GDAL_DATA", "GDAL_DRIVER_PATH", "PROJ_DATA", "PROJ_LIB",
)  # fmt: skip
OWN = {"GEOFCN_PROGRESS": "json", "PYTHONIOENCODING": "utf-8"}
# How often a click on Cancel is looked for, and how long what is printed is waited for at the end.
SECONDS, LAST_SECONDS = 0.2, 5


class GeofcnError(Exception):
    """What is wrong, in one sentence."""


class Stopped(Exception):
    """The user has stopped it; what was finished is kept."""


class Feedback(Protocol):
    """What is used of a QgsProcessingFeedback."""

    def isCanceled(self) -> bool:
        """Whether the user has clicked on Cancel."""

    def setProgress(self, percent: float) -> None:
        """Show how much is done."""

    def setProgressText(self, text: str) -> None:
        """Show what is being done."""

    def pushInfo(self, text: str) -> None:
        """Show a line of the answer."""

    def pushWarning(self, text: str) -> None:
        """Show a notice."""


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of geofcn, from that of QGIS."""
    return {**{key: text for key, text in environment.items() if key not in FOREIGN}, **OWN}


def run(command: Sequence[str], feedback: Feedback) -> list[str]:
    """Run geofcn to its end, and return the lines that it printed.

    Parameters
    ----------
    command : sequence of str
        The program and its arguments.
    feedback : Feedback
        Is told how far it is, and what it says; asked whether it is to be stopped.

    Raises
    ------
    GeofcnError
        Where geofcn says that something is wrong, or cannot be run.
    Stopped
        Where the user has stopped it.
    """
    process = _start(command)
    answer: list[str] = []
    error, stopped = "", False
    for name, line in _lines(process):
        if feedback.isCanceled() and not stopped:
            # geofcn ends by SIGTERM as by Ctrl-C: nothing is left but what it goes on with.
            process.terminate()
            stopped = True
        if not line:
            continue
        if name == "stdout":
            answer.append(line)
            feedback.pushInfo(line)
        elif line.startswith(ERROR):
            error = line[len(ERROR) :]
        else:
            _tell(line, feedback)
    if stopped:
        raise Stopped
    if process.returncode:
        raise GeofcnError(error or f"geofcn ended with the exit code {process.returncode}.")
    return answer


def _start(command: Sequence[str]) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=clean_environment(os.environ),
            encoding="utf-8",
            errors="replace",
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError as error:
        raise GeofcnError(f"{command[0]}: it cannot be run ({error.strerror}).") from error


def _lines(process: subprocess.Popen[str]) -> Iterator[tuple[str, str]]:
    """(stream, line) of what a process prints, and an empty line every now and then."""
    told: queue.Queue[tuple[str, str]] = queue.Queue()

    def read(name: str, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                told.put((name, line.rstrip()))

    streams = {"stdout": process.stdout, "stderr": process.stderr}
    readers = [threading.Thread(target=read, args=item, daemon=True) for item in streams.items()]
    for reader in readers:
        reader.start()
    while process.poll() is None:
        try:
            yield told.get(timeout=SECONDS)
        except queue.Empty:
            yield "stdout", ""
    # A worker of it may hold the streams open for longer.
    for reader in readers:
        reader.join(LAST_SECONDS)
    while not told.empty():
        yield told.get()


def _tell(line: str, feedback: Feedback) -> None:
    """Pass on a line of progress, or a notice."""
    step = _step(line)
    if step is None:
        feedback.pushWarning(line)
        return
    total = step["total"]
    figures = "".join(f", {name} {value:.4g}" for name, value in step["figures"].items())
    feedback.setProgressText(f"{step['step']}: {step['done']} of {total} {step['unit']}{figures}")
    feedback.setProgress(100 * step["done"] / total if total else 100)


def _step(line: str) -> dict[str, Any] | None:
    """A line of progress, see `geofcn_cli.json_progress`; None for another one."""
    try:
        step = json.loads(line)
    except ValueError:
        return None
    return step if isinstance(step, dict) and "step" in step else None
