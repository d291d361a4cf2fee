"""geofcn.training.plan: what decides a weight is in the fingerprint, and nothing else is."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from geofcn.recipes import make_recipe
from geofcn.training.plan import Plan, fingerprint


@pytest.fixture
def plan(source):
    scene = source(np.full((3, 40, 40), 9, np.uint8), np.eye(40, dtype=np.uint8))
    sources = [scene]
    return Plan(sources, sources, make_recipe("default", {"scale": 1}), None, torch.device("cpu"))


def test_scenes_that_are_scored_on_themselves_are_read_once(plan, source):
    assert not plan.has_own_validation and plan.scenes == plan.sources
    other = source(np.full((3, 40, 40), 7, np.uint8), np.eye(40, dtype=np.uint8), name="other")
    own = replace(plan, validation=[other])
    assert own.has_own_validation and own.scenes == [*plan.sources, other]


def test_a_fingerprint_tells_scenes_recipe_device_and_parent(plan, source, make_model):
    other = source(np.full((3, 40, 40), 7, np.uint8), np.eye(40, dtype=np.uint8), name="other")
    parents = [make_model(threshold=threshold) for threshold in (0.5, 0.6)]
    others = [
        replace(plan, validation=[other]),
        replace(plan, sources=[other]),
        replace(plan, recipe=replace(plan.recipe, seed=1)),
        replace(plan, device=torch.device("meta")),
        *(replace(plan, parent=parent) for parent in parents),
    ]
    found = [fingerprint(one) for one in (plan, *others)]
    assert fingerprint(replace(plan)) == found[0]
    assert all(one != two for i, one in enumerate(found) for two in found[:i])
