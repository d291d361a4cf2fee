"""Contacts in a training: whether the net learns where houses meet, and what the labels say."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from geofcn.core.contacts import Contacts
from geofcn.core.geodesy import ground_resolution
from geofcn.errors import LabelsError, UsageError
from geofcn.io.contact_labels import ContactLabels, instances_of, share_with_neighbours
from geofcn.io.labels import LabelledScene
from geofcn.models.model import Model
from geofcn.recipes import Recipe
from geofcn.training.layout import tile_layouts

# Houses nearer than this touch, in metres on the ground (pixels, where nobody knows those).
NEAR = 0.5
# From this share of houses that touch others on, `auto` is yes.
WORTH_LEARNING = 0.2
# How far from two houses a contact lies: metres on the ground, but so many net pixels at the least.
WIDTH, LEAST_REACH = 0.4, 2
# A pixel is a contact where the probability of one reaches it.
THRESHOLD = 0.2
# Where net pixels are half as wide, a tile of as many of the scene's takes four times as long.
TILES: Mapping[str, Any] = {"tile": 192, "stride": 96, "batch": 8}

log = logging.getLogger(__name__)


def with_contacts(
    recipe: Recipe,
    sources: Sequence[LabelledScene],
    parent: Model | None = None,
    given: Collection[str] = (),
) -> Recipe:
    """Settle whether the net learns where houses meet.

    One that starts from a model which tells goes on telling, whatever the labels know. One that is
    to stay near its model cannot begin to.

    Parameters
    ----------
    recipe : Recipe
        What is asked for.
    sources : sequence of LabelledScene
        What is trained on.
    parent : Model, optional
        The model to start from.
    given : collection of str
        Names of options that were asked for; of the others, tiles and batches become those for
        contacts.

    Raises
    ------
    LabelsError
        Where that is asked for, and no labels tell their houses apart.
    UsageError
        Where that is asked for, and the recipe holds the weights near those of the parent.
    """
    if recipe.contacts == "no":
        return recipe
    if parent is not None and parent.metadata.contacts is not None:
        return _learning(recipe, given)
    if recipe.decay_to_start:
        if recipe.contacts == "yes":
            raise UsageError(
                "contacts yes: the model to start from does not tell where houses meet, and recipe "
                f"{recipe.name} holds to its weights; add --recipe default."
            )
        return replace(recipe, contacts="no")
    if recipe.contacts == "yes":
        if not any(instances_of(source.labels) for source in sources):
            raise LabelsError(
                f"{sources[0].labels.path}: as a raster of one value for all houses it does not "
                "tell where they meet; give the houses as polygons, or a raster with a number for "
                "each and --instances, or leave out --contacts yes."
            )
        return _learning(recipe, given)
    share = max(map(_share_touching, sources))
    if share < WORTH_LEARNING:
        return replace(recipe, contacts="no")
    log.info("%.0f %% of the houses touch another: the net learns where they meet.", 100 * share)
    return _learning(recipe, given)


def _learning(recipe: Recipe, given: Collection[str]) -> Recipe:
    settled = set(given) | ({"stride"} if "tile" in given else set())
    tiles = {name: value for name, value in TILES.items() if name not in settled}
    return replace(recipe, contacts="yes", **tiles)


def _share_touching(source: LabelledScene) -> float:
    distance = NEAR / (ground_resolution(source.scene.grid) or 1)
    return share_with_neighbours(source.labels, source.scene, distance)


def model_contacts(recipe: Recipe, sources: Sequence[LabelledScene]) -> Contacts | None:
    """What the model is to know of contacts; None where the net does not learn of them."""
    if recipe.contacts != "yes":
        return None
    pixel = recipe.resolution or ground_resolution(sources[0].scene.grid)
    reach = round(WIDTH / (recipe.scale * pixel)) if pixel else LEAST_REACH
    return Contacts(max(LEAST_REACH, reach), THRESHOLD)


def with_contact_labels(sources: Sequence[LabelledScene], recipe: Recipe) -> list[LabelledScene]:
    """The scenes with labels that tell where houses meet, where the net learns that.

    Parameters
    ----------
    sources : sequence of LabelledScene
        What is trained on.
    recipe : Recipe
        With contacts and scale settled.
    """
    contacts = model_contacts(recipe, sources)
    if contacts is None:
        return list(sources)
    layouts = tile_layouts(sources, recipe)
    return [
        replace(
            source,
            labels=ContactLabels(
                source.labels,
                source.scene,
                round(contacts.reach * recipe.scale * layout.zoom),
            ),
        )
        for source, layout in zip(sources, layouts, strict=True)
    ]
