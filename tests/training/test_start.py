import copy

import torch

from geofcn.models.nets import make_net
from geofcn.training import loop
from geofcn.training.train import train

# Small enough for a blink: 64 pixels are 2 x 2 tiles.
QUICK = {"tile": 32, "epochs": 2, "device": "cpu"}


def equal(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_the_net_is_made_right_after_the_random_seed_is_set(village, tmp_path, monkeypatch):
    scene, labels = village()
    weights, fit = [], loop.TrainingLoop.fit

    def remember_weights(self, progress):
        weights.append(copy.deepcopy(self.trainer.net.state_dict()))
        fit(self, progress)

    monkeypatch.setattr(loop.TrainingLoop, "fit", remember_weights)
    torch.manual_seed(5)
    train(scene, labels, tmp_path / "a", recipe="exercise", **QUICK)
    torch.manual_seed(1984)
    assert equal(weights[0], make_net("fcnn2", 3).state_dict())
