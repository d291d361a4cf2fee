"""Progress as the verbs tell it: by bars, by lines of the log, or not at all."""

from __future__ import annotations

import logging
import math
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

# Of a step that is told of in the log: how long it has run before that, and the least that is left.
FIRST_SECONDS, LEAST_SECONDS = 30, 60

log = logging.getLogger(__name__)


class ProgressBar(Protocol):
    """The progress of one long step."""

    def advance(self, amount: int, **figures: float) -> None:
        """Say that more is done.

        Parameters
        ----------
        amount : int
            Units done since the last call.
        **figures : float
            Shown beside the rate, by name.
        """


class Progress(Protocol):
    """What a verb calls for each long step: it gives a bar, as a context manager."""

    def __call__(self, what: str, total: int, unit: str) -> AbstractContextManager[ProgressBar]:
        """Start a bar that ends with the block.

        Parameters
        ----------
        what : str
            The step's name.
        total : int
            Units in all.
        unit : str
            What is counted, for instance pixels or tiles.
        """


class _SilentBar:
    def advance(self, amount: int, **figures: float) -> None:
        pass


@contextmanager
def silent(what: str, total: int, unit: str) -> Iterator[ProgressBar]:
    """Progress that nobody sees.

    Examples
    --------
    >>> with silent("reading", 10, "px") as bar:
    ...     bar.advance(10)
    """
    yield _SilentBar()


class _LoggedBar:
    """Tells the log how long is left, anew each time that it is half of what was told last."""

    def __init__(self, what: str, total: int):
        self._what = what
        self._left, self._done = total, 0
        self._start: float | None = None
        self._told = math.inf

    def advance(self, amount: int, **figures: float) -> None:
        now = time.monotonic()
        self._left -= amount
        if self._start is None:
            # The first amount may have been done before, by a process that was stopped.
            self._start = now
            return
        self._done += amount
        passed = now - self._start
        if passed < FIRST_SECONDS or not self._done:
            return
        seconds = passed * self._left / self._done
        if LEAST_SECONDS <= seconds <= self._told / 2:
            self._told = seconds
            log.warning("%s: about %s left", self._what, _spoken(seconds))


def _spoken(seconds: float) -> str:
    """Minutes, or hours where these are many."""
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


@contextmanager
def logged(what: str, total: int, unit: str) -> Iterator[ProgressBar]:
    """Progress in the log, for where nobody watches: a few lines that say how long is left.

    The first one comes after half a minute; a step that is over soon says nothing.
    """
    yield _LoggedBar(what, total)


class _TqdmBar:
    """A tqdm bar as a ProgressBar; figures are shown beside the rate."""

    def __init__(self, inner: Any):
        self._inner = inner
        self._shown = 0.0

    def advance(self, amount: int, **figures: float) -> None:
        now = time.monotonic()
        if figures and now - self._shown > 0.5:
            self._shown = now
            text = ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
            self._inner.set_postfix_str(text, refresh=False)
        self._inner.update(amount)


@contextmanager
def bar(what: str, total: int, unit: str) -> Iterator[ProgressBar]:
    """A progress bar with rate and time left: on stderr, or in the notebook."""
    scaled = unit == "px"
    with _tqdm()(total=total, desc=what, unit=unit, unit_scale=scaled, dynamic_ncols=True) as inner:
        yield _TqdmBar(inner)


def _tqdm() -> Any:
    """Class of tqdm for here: with widgets in a notebook, where they are installed."""
    if not is_notebook():
        from tqdm import tqdm

        return tqdm
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # without widgets it is a line of text, and says so
        from tqdm import auto

    return auto.tqdm


def automatic(what: str, total: int, unit: str) -> AbstractContextManager[ProgressBar]:
    """A bar in a notebook, lines of the log elsewhere; the verbs' default."""
    return (bar if is_notebook() else logged)(what, total, unit)


def is_notebook() -> bool:
    """Whether this is Python in a Jupyter notebook, or in what looks like one."""
    # Not imported: where nobody has, this is none.
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"
