import copy

import pytest
import torch

from geofcn.models.nets import make_net
from geofcn.training import loop
from geofcn.training.start import _take_over
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


@pytest.mark.parametrize(("parents", "childs"), [(False, True), (True, False), (True, True)])
def test_a_child_takes_over_the_outputs_that_its_parent_has(parents, childs):
    torch.manual_seed(0)
    parent, child = (make_net("fcnn", 3, contacts=tells) for tells in (parents, childs))
    before = copy.deepcopy(child.state_dict())
    _take_over(child, parent)
    shared = 2 + (parents and childs)
    for name, weights in child.state_dict().items():
        own, taken = before[name], parent.state_dict()[name]
        if name.startswith("conv4"):
            assert torch.equal(weights[:shared], taken[:shared])
            assert torch.equal(weights[shared:], own[shared:])
        else:
            assert torch.equal(weights, taken)
