"""Progress bars as the verbs use them, and one that shows nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


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
    """Progress that nobody sees, the verbs' default.

    Examples
    --------
    >>> with silent("reading", 10, "px") as bar:
    ...     bar.advance(10)
    """
    yield _SilentBar()
