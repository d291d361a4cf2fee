"""Model that a training starts from: the net with its first weights, and what is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from geofcn.core.geodesy import ground_resolution
from geofcn.io.labels import LabelledScene
from geofcn.models.model import Model, ModelMetadata
from geofcn.models.nets import make_net
from geofcn.models.pretrained import load_pretrained
from geofcn.recipes import Recipe
from geofcn.training.contacts import model_contacts
from geofcn.training.parent import described
from geofcn.training.sources import names_of


def starting_net(
    sources: Sequence[LabelledScene], recipe: Recipe, device: torch.device, parent: Model | None
) -> torch.nn.Module:
    """A net with the weights of the parent, if there is one, else pretrained or random ones."""
    torch.manual_seed(recipe.seed)
    bands, contacts = len(sources[0].scene.bands), recipe.contacts == "yes"
    net = make_net(recipe.net, bands, recipe.scale, recipe.upsample, contacts)
    if parent is None:
        load_pretrained(net)
    else:
        _take_over(net, parent.net)
    # The stubs know memory_format with a tensor only.
    return net.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def _take_over(net: torch.nn.Module, parent: torch.nn.Module) -> None:
    """Give a net the weights of its parent.

    Of the last layer's outputs those that both have: what only the child tells, where houses meet,
    starts from random weights.
    """
    own = net.state_dict()
    with torch.no_grad():
        for name, weights in parent.state_dict().items():
            if weights.shape == own[name].shape:
                own[name].copy_(weights)
            else:
                shared = min(len(weights), len(own[name]))
                own[name][:shared].copy_(weights[:shared])


def starting_metadata(
    sources: Sequence[LabelledScene], recipe: Recipe, parent: Model | None
) -> ModelMetadata:
    """What a model keeps of its training, but for the scores; some of it is the parent's."""
    scene = sources[0].scene
    encoding = scene.encoding
    metadata = ModelMetadata(
        net=recipe.net,
        scale=recipe.scale,
        upsample=recipe.upsample,
        colours=scene.colours,
        dtype=encoding.dtype,
        bands=scene.bands if scene.named else (),
        scales=encoding.scales,
        offsets=encoding.offsets,
        recipe=recipe.to_json(),
        scenes=names_of(sources),
        contacts=model_contacts(recipe, sources),
        crs=scene.crs.to_wkt() if scene.crs else None,
        resolution=ground_resolution(scene.grid),
    )
    if parent is None:
        return metadata
    # Its net goes on seeing as many metres of the ground.
    about = parent.metadata
    return replace(
        metadata,
        dtype=about.dtype,
        bands=metadata.bands or about.bands,
        scales=about.scales,
        offsets=about.offsets,
        calibration=about.calibration,
        score_calibration=about.score_calibration,
        parent=described(parent),
        resolution=about.resolution,
    )
