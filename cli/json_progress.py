"""Progress for programs that run geofcn: JSON on stderr, an object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite

import click

from geofcn.progress import ProgressBar

# The environment variable that asks for it, and what it is then.
VARIABLE, JSON = "GEOFCN_PROGRESS", "json"


class _JsonBar:
    """A geofcn.progress.ProgressBar that prints a line for every percent."""

    def __init__(self, what: str, total: int, unit: str):
        self._line = {"step": what, "total": total, "unit": unit}
        self._done, self._total = 0, total
        self._shown = -1

    def advance(self, amount: int, **figures: float) -> None:
        self._done += amount
        percent = 100 * self._done // self._total if self._total else 100
        if percent > self._shown:
            self._shown = percent
            # JSON knows no NaN.
            known = {name: value for name, value in figures.items() if isfinite(value)}
            click.echo(json.dumps({**self._line, "done": self._done, "figures": known}), err=True)


@contextmanager
def json_lines(what: str, total: int, unit: str) -> Iterator[ProgressBar]:
    """Progress as JSON, see geofcn.progress.Progress.

    ``{"step": "inference", "total": 400, "unit": "px", "done": 100, "figures": {}}``
    """
    bar = _JsonBar(what, total, unit)
    bar.advance(0)
    yield bar
