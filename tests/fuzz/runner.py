"""Runs `geofcn` commands in forked children of one warm process, under limits.

The process that forks imports everything once, and opens no dataset and starts no thread: what a
child does then is what a command does that was started afresh.
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import dask.threaded  # noqa: F401
import distributed  # noqa: F401
import geopandas  # noqa: F401
import matplotlib.backends.backend_agg
import matplotlib.pyplot  # noqa: F401
import PIL.PngImagePlugin  # noqa: F401
import torch
import torch._dynamo  # which every optimiser imports

import geofcn_cli.evaluate
import geofcn_cli.infer
import geofcn_cli.info
import geofcn_cli.polygonize
import geofcn_cli.sample
import geofcn_cli.train  # noqa: F401
from geofcn.evaluation import evaluate  # noqa: F401
from geofcn.forecast import info  # noqa: F401
from geofcn.inference.infer import infer
from geofcn.models.model import net_geometry
from geofcn.polygons import polygonize  # noqa: F401
from geofcn.synthetic import sample  # noqa: F401
from geofcn.training import train  # noqa: F401
from geofcn_cli.main import main

# What a child may take besides what it has from its parent. The processor's time, not the clock's,
# tells a hang from a machine that is busy; the clock is for what waits.
MEMORY = 4 * 2**30
CPU_SECONDS = 30
SECONDS = 150
FILE_BYTES = 256 * 2**20
PIPE_BYTES = 2**20
COMPUTE_WINDOW = 16


@dataclass(frozen=True)
class Outcome:
    """How a command ended: exit code, or minus a signal's number; what it printed."""

    code: int
    stdout: str
    stderr: str


def warm_up() -> None:
    """Let children inherit what each of them would make for itself."""
    torch.set_num_threads(1)
    infer.__wrapped__.__kwdefaults__["compute_window"] = COMPUTE_WINDOW
    for net in ("fcnn", "fcnn2"):
        net_geometry(net, 3, 1, "nearest")


def run(args: list[str], prepare: Callable[[], None] = lambda: None) -> Outcome:
    """A command, from its start to its end; the child calls `prepare` first."""
    return wait(start(args, prepare))


@dataclass(frozen=True)
class Started:
    """A command under way."""

    process: int
    stdout: int
    stderr: int


def start(args: list[str], prepare: Callable[[], None] = lambda: None) -> Started:
    """Start a command in a child."""
    (out, out_end), (err, err_end) = (_pipe() for _ in range(2))

    def command() -> None:
        os.dup2(out_end, 1)
        os.dup2(err_end, 2)
        _limit()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        prepare()
        main([str(arg) for arg in args], prog_name="geofcn")

    process = _fork(command)
    os.close(out_end)
    os.close(err_end)
    return Started(process, out, err)


def _pipe() -> tuple[int, int]:
    """Ends to read and to write; what is not read at once must find room in it."""
    ends = os.pipe()
    fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return ends


def wait(started: Started) -> Outcome:
    """Wait for a command to end."""
    _, status = os.waitpid(started.process, 0)
    texts = []
    for handle in (started.stdout, started.stderr):
        with os.fdopen(handle, "rb") as file:
            texts.append(file.read().decode(errors="replace"))
    return Outcome(os.waitstatus_to_exitcode(status), *texts)


def in_child(function: Callable[[], object]) -> object:
    """What a function returns, as JSON gives it back, called in a child: it may open datasets.

    A text that begins with "Traceback" where it raises or the child dies.
    """
    with tempfile.TemporaryFile("w+") as answer:

        def work() -> None:
            _limit()
            try:
                result = function()
            except Exception:
                result = traceback.format_exc()
            json.dump(result, answer)
            answer.flush()

        process = _fork(work)
        _, status = os.waitpid(process, 0)
        answer.seek(0)
        text = answer.read()
    return json.loads(text) if text else f"Traceback: the child died ({status})"


def _fork(function: Callable[[], None]) -> int:
    sys.stdout.flush()
    process = os.fork()
    if process:
        return process
    code = 99
    try:
        function()
        code = 0
    except SystemExit as exit:
        code = exit.code if isinstance(exit.code, int) else int(exit.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        sys.stdout.flush()
        os._exit(code)


def _limit() -> None:
    held = _held()
    resource.setrlimit(resource.RLIMIT_DATA, (held + MEMORY, held + MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(SECONDS)


def _held() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    return 0
