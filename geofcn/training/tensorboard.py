"""TensorBoard events of a training, where they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from geofcn.errors import UsageError


class EventWriter(Protocol):
    """What a training tells; `number` counts its steps from 1."""

    def step(self, number: int, loss: float) -> None:
        """The loss of a step."""

    def epoch(self, number: int, figures: Mapping[str, float]) -> None:
        """The figures after an epoch, whose last step is `number`."""


class _NoEvents:
    def step(self, number: int, loss: float) -> None:
        pass

    def epoch(self, number: int, figures: Mapping[str, float]) -> None:
        pass


class _TensorBoardEvents:
    def __init__(self, writer):
        self._writer = writer

    def step(self, number: int, loss: float) -> None:
        self._writer.add_scalar("loss/step", loss, number)

    def epoch(self, number: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            self._writer.add_scalar(f"epoch/{name}", value, number)


@contextmanager
def open_event_writer(folder: Path | None, done: int = 0) -> Iterator[EventWriter]:
    """Events go to `folder`/tensorboard; nowhere where it is None.

    done  steps an earlier, unfinished training has told of; what it told after them is forgotten

    Raises UsageError where TensorBoard is not installed.
    """
    if folder is None:
        yield _NoEvents()
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UsageError(
            "--log-tensorboard: TensorBoard is not installed; `pip install geofcn[tensorboard]`."
        ) from error
    with SummaryWriter(folder / "tensorboard", purge_step=done + 1 if done else None) as writer:
        yield _TensorBoardEvents(writer)
