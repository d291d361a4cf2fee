"""Progress bars as the verbs use them, and one that shows nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class ProgressBar(Protocol):
    """One long step under way."""

    def advance(self, amount: int, **figures: float) -> None:
        """`amount` more units are done; `figures` are shown beside the rate."""


class Progress(Protocol):
    """Called by a verb for each long step; `total` in `unit`s, for instance pixels or tiles."""

    def __call__(self, what: str, total: int, unit: str) -> AbstractContextManager[ProgressBar]:
        """Start a bar that ends with the block."""


class _SilentBar:
    def advance(self, amount: int, **figures: float) -> None:
        pass


@contextmanager
def silent(what: str, total: int, unit: str) -> Iterator[ProgressBar]:
    """Progress that nobody sees."""
    yield _SilentBar()
