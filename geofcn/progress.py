"""How the verbs tell how far they are, without knowing who listens."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol


class ProgressBar(Protocol):
    """One long step under way."""

    def advance(self, amount: int, **figures: float) -> None:
        """`amount` more units are done; `figures` are shown beside the rate."""


class Progress(Protocol):
    """Called by a verb for each long step; `total` in `unit`s, for instance pixels or tiles."""

    def __call__(self, what: str, total: int, unit: str) -> AbstractContextManager[ProgressBar]: ...


class _SilentBar:
    def __enter__(self) -> _SilentBar:
        return self

    def __exit__(self, *exception) -> None:
        pass

    def advance(self, amount: int, **figures: float) -> None:
        pass


def silent(what: str, total: int, unit: str) -> AbstractContextManager[ProgressBar]:
    """Progress that nobody sees."""
    return _SilentBar()
