"""What the tests of trainings share."""

import pytest

from geofcn.training import loop
from geofcn.training.train import train
from geofcn.training.trainer import Trainer


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


@pytest.fixture
def stop_training(monkeypatch):
    """stop_training(step, *args, every=0, **options): a training killed in its `step`-th step.

    Its checkpoints, and those of all trainings after it, are `every` so many seconds, 0: every
    step.
    """

    def stop(step: int, *args, every: float = 0, **options) -> None:
        learn, steps = Trainer.step, []

        def counted(self, *args):
            steps.append(1)
            if len(steps) == step:
                raise Killed
            return learn(self, *args)

        monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", every)
        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "step", counted)
            with pytest.raises(Killed):
                train(*args, **options)

    return stop
