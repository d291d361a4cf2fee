"""What a training is of, and what decides its weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import torch

from geofcn import __version__
from geofcn.io.labels import LabelledScene
from geofcn.models.model import Model
from geofcn.models.model_file import model_digest
from geofcn.recipes import Recipe
from geofcn.training.layout import tile_layouts
from geofcn.training.sources import identity_of


@dataclass(frozen=True)
class Plan:
    """What is trained on and scored on, by which recipe, from which model, and where.

    Attributes
    ----------
    sources, validation : list of LabelledScene
        The scenes to train on, and those to score on: the very same list where they have none of
        their own.
    recipe : Recipe
        As far as it can be settled before a pixel is read.
    parent : Model or None
        What is started from.
    device : torch.device
        Where the net is computed.
    """

    sources: list[LabelledScene]
    validation: list[LabelledScene]
    recipe: Recipe
    parent: Model | None
    device: torch.device

    @property
    def has_own_validation(self) -> bool:
        """Whether scenes of their own are scored on."""
        return self.validation is not self.sources

    @property
    def scenes(self) -> list[LabelledScene]:
        """All that is read, each once."""
        return [*self.sources, *(self.validation if self.has_own_validation else [])]


def fingerprint(plan: Plan) -> dict[str, Any]:
    """Everything that decides a weight, as JSON gives it back."""
    # Scenes that are their own validation are named twice, as always.
    sources, recipe, parent = [*plan.sources, *plan.validation], plan.recipe, plan.parent
    facts = {
        "geofcn": __version__,
        "torch": torch.__version__,
        "device": plan.device.type,
        "sources": [
            identity_of(source) + ([layout.zoom] if layout.zoom != 1 else [])
            for source, layout in zip(sources, tile_layouts(sources, recipe), strict=True)
        ],
        "recipe": recipe.to_json(),
        "parent": parent and _heritage(parent),
    }
    return dict(json.loads(json.dumps(facts, default=str)))


def _heritage(parent: Model) -> list[object]:
    """What a training takes over from its parent, but for what its recipe says of it."""
    about = parent.metadata
    return [model_digest(parent), about.threshold, about.calibration, about.score_calibration]
