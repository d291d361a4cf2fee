"""Runs `geofcn` commands in forked children of one warm process, and stops them as told.

    python fork_server.py COMPUTE NET

Started once, it answers one line of JSON with another, as often as asked. A request:

    args    of the command line
    log     file to which the child adds a line for everything it does (see EVENTS)
    signal  the child sends itself, just before its event number `event`, counted from 1, of those
            whose names are in `among`
    delay   seconds after that event at which it does so instead
    pause   seconds that every compute window takes longer

The answer holds the child's exit `code` (minus a signal's number). Children are cheap: modules are
imported, and NET is probed. They have no threads and no open datasets of a parent, for this process
does nothing else.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import dask.threaded  # noqa: F401
import torch

import geofcn_cli.infer  # noqa: F401
from geofcn.inference.infer import infer
from geofcn.models.kernels import _fused_exists
from geofcn.models.model import net_geometry
from geofcn.models.predictor import Predictor
from geofcn_cli.main import main

EVENTS = ("window", "fsync", "rename")


class Child:
    """What a child does instead of what it would do: everything the same, but noted."""

    def __init__(self, request: dict):
        self.request = request
        self.log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.count = 0

    def note(self, event: str) -> None:
        if event in self.request.get("among", ()):
            self.count += 1
            if self.count == self.request.get("event"):
                self.stop()
        os.write(self.log, f"{event}\n".encode())

    def stop(self) -> None:
        if delay := self.request.pop("delay", 0):
            threading.Timer(delay, self.stop).start()
            return
        os.write(self.log, b"signal\n")
        os.kill(os.getpid(), self.request["signal"])

    def noted(self, event: str, function):
        def call(*args, **options):
            self.note(event)
            return function(*args, **options)

        return call

    def run(self) -> None:
        predict, pause = Predictor.window, self.request.get("pause", 0)

        def slow(*args):
            time.sleep(pause)
            return predict(*args)

        Predictor.window = self.noted("window", slow)
        os.fsync = self.noted("fsync", os.fsync)
        Path.replace = self.noted("rename", Path.replace)
        # A shell may have told this process's group to ignore it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        main(self.request["args"], prog_name="geofcn")


def serve(request: dict) -> dict:
    child = os.fork()
    if not child:
        # The answers' pipe is not for what commands print.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(os.open(request["log"] + ".err", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        # A child that hangs is a failure, not a wait.
        signal.alarm(60)
        try:
            Child(request).run()
        except SystemExit as exit:
            os._exit(exit.code or 0)
        os._exit(99)
    _, status = os.waitpid(child, 0)
    return {"code": os.waitstatus_to_exitcode(status)}


if __name__ == "__main__":
    torch.set_num_threads(1)
    infer.__wrapped__.__kwdefaults__["compute_window"] = int(sys.argv[1])
    net_geometry(sys.argv[2], 3, 1, "nearest")
    _fused_exists()
    for line in sys.stdin:
        print(json.dumps(serve(json.loads(line))), flush=True)
