"""Settings of a training: its recipe, once what is left to the labels and the scene is settled."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from geofcn.core.geodesy import ground_resolution
from geofcn.core.windows import ceil_div, round_up
from geofcn.errors import UsageError
from geofcn.io.files import StrPath
from geofcn.io.labels import LabelledScene
from geofcn.models.model import Model, net_geometry
from geofcn.recipes import Recipe, epochs_for, make_recipe, scale_for
from geofcn.training.parent import with_parents

log = logging.getLogger(__name__)


def recipe_for(
    name: str | None, options: Mapping[str, Any], parent: Model | None, path: StrPath | None
) -> Recipe:
    """The recipe, and what a model to start from says of it."""
    if parent is None or path is None:
        if name == "teach":
            raise UsageError("recipe teach: it starts from a model; give that by --from.")
        return make_recipe(name or "default", options)
    return make_recipe(name or "teach", with_parents(options, parent, path))


def with_scale(recipe: Recipe, source: LabelledScene, free_stride: bool) -> Recipe:
    """Settle an `auto` scale, and check that tile and stride fit the net's total stride.

    A stride that nobody asked for (`free_stride`) becomes one that fits.
    """
    if recipe.scale == 0:
        resolution = ground_resolution(source.scene.grid)
        scale = scale_for(recipe.net, resolution, recipe.contacts == "yes")
        recipe = replace(recipe, scale=scale)
        log.info("scale %d", recipe.scale)
    bands = len(source.scene.bands)
    stride = net_geometry(recipe.net, bands, recipe.scale, recipe.upsample).stride
    if free_stride:
        recipe = replace(recipe, stride=min(recipe.tile, round_up(recipe.stride, stride)))
    for name in ("tile", "stride"):
        if getattr(recipe, name) % stride:
            raise UsageError(
                f"{name} {getattr(recipe, name)}: {recipe.net} at scale {recipe.scale} needs a "
                f"multiple of {stride}."
            )
    return recipe


def with_class_weights(recipe: Recipe, house_share: float) -> Recipe:
    """Settle `auto` class weights: the square root of the ratio of background to houses."""
    if recipe.class_weights is not None:
        return recipe
    return replace(recipe, class_weights=(1.0, round(math.sqrt(1 / house_share - 1), 3)))


def with_epochs(recipe: Recipe, tiles: int) -> Recipe:
    """Settle `auto` epochs, by the number of tiles that are learnt from."""
    if recipe.epochs:
        return recipe
    epochs = epochs_for(recipe, ceil_div(tiles, recipe.batch))
    log.info("%d epochs", epochs)
    return replace(recipe, epochs=epochs)
