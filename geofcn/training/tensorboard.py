"""TensorBoard events of a training: the loss of every step, the scores of every epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from geofcn.errors import UsageError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


# Folder of the events in that of a run.
EVENTS = "tensorboard"


class EventWriter(Protocol):
    """Writes what a training reports; `number` counts its steps from 1."""

    def step(self, number: int, loss: float) -> None:
        """Write the loss of a step."""

    def epoch(self, number: int, figures: Mapping[str, float]) -> None:
        """Write the figures after an epoch, by name; its last step is `number`."""


class _NoEvents:
    def step(self, number: int, loss: float) -> None:
        pass

    def epoch(self, number: int, figures: Mapping[str, float]) -> None:
        pass


class _TensorBoardEvents:
    def __init__(self, writer: SummaryWriter):
        self._writer = writer

    def step(self, number: int, loss: float) -> None:
        self._writer.add_scalar("loss/step", loss, number)

    def epoch(self, number: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            self._writer.add_scalar(f"epoch/{name}", value, number)


def refuse_missing_tensorboard() -> None:
    """Raise UsageError where TensorBoard is not installed."""
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "--log-tensorboard: TensorBoard is not installed; `pip install geofcn[tensorboard]`."
        ) from error


@contextmanager
def open_event_writer(folder: Path | None, done: int = 0) -> Iterator[EventWriter]:
    """Open a writer of TensorBoard events for a `with` block, which closes it.

    Parameters
    ----------
    folder : Path or None
        Events go to its folder EVENTS; None: nowhere.
    done : int
        Steps of a training that goes on; the events after them are dropped.

    Raises
    ------
    UsageError
        Where TensorBoard is not installed.
    """
    if folder is None:
        yield _NoEvents()
        return
    refuse_missing_tensorboard()
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(folder / EVENTS, purge_step=done + 1 if done else None) as writer:
        yield _TensorBoardEvents(writer)
