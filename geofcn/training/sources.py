"""Scenes of one training: what tells them from others, and whether they go together."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from dataclasses import replace

from geofcn.core.geodesy import ground_resolution
from geofcn.core.resampling import FARTHEST, is_far, is_same
from geofcn.errors import SceneError, UsageError
from geofcn.io.files import absolute, names_apart
from geofcn.io.labels import LabelledScene
from geofcn.models.model import Model
from geofcn.recipes import Recipe

log = logging.getLogger(__name__)


def identity_of(source: LabelledScene) -> list[object]:
    """What changes when a scene or its labels do; another one each time where nobody knows."""
    scene = source.scene
    return [
        absolute(scene.path),
        scene.reading,
        scene.identity or uuid.uuid4().hex,
        repr(scene.nodata),
        source.labels.identity or uuid.uuid4().hex,
    ]


def names_of(sources: Sequence[LabelledScene]) -> tuple[str, ...]:
    """Names of the scenes, each another one, see `geofcn.io.files.names_apart`."""
    return names_apart([source.scene.path for source in sources])


def seen_alike(sources: Sequence[LabelledScene], parent: Model | None) -> list[LabelledScene]:
    """All scenes with the same bands, and values in the encoding of the parent's, or of the first.

    Raises UsageError for a scene with other bands, in another order, or of a type that cannot be
    brought to that of the first; ModelError for one that does not fit the parent.
    """
    if parent is not None:
        return [replace(source, scene=parent.select_bands(source.scene)) for source in sources]
    first = sources[0].scene
    seen = []
    for source in sources:
        scene = source.scene
        if scene.colours != first.colours:
            raise UsageError(
                f"{scene.path}: its bands are {', '.join(scene.colours)}, those of {first.path} "
                f"{', '.join(first.colours)}; train on scenes of one kind."
            )
        try:
            seen.append(replace(source, scene=scene.seen_as(first.encoding, first.path)))
        except SceneError as error:
            raise UsageError(str(error)) from error
    return seen


def compare_resolutions(
    sources: Sequence[LabelledScene], recipe: Recipe, parent: Model | None
) -> None:
    """Say which scenes have another ground resolution than the first, or than the parent's.

    Raise UsageError for one that the recipe cannot make up for; a mean image, which is made of
    pixels, for none.
    """
    wanted, whose = ground_resolution(sources[0].scene.grid), sources[0].scene.name
    if parent is not None:
        wanted, whose = parent.metadata.resolution, "the training of the model to start from"
    for source in sources:
        resolution = ground_resolution(source.scene.grid)
        if not (wanted and resolution) or is_same(wanted, resolution):
            continue
        found = f"{source.scene.path}: it has {resolution:.3g} m per pixel, {whose} {wanted:.3g} m"
        if recipe.normalise == "image":
            raise UsageError(
                f"{found}; a mean image needs scenes of one resolution: resample one of them, or "
                "train by --recipe default."
            )
        if is_far(wanted, resolution):
            raise UsageError(f"{found}; resample it to less than {FARTHEST} times of that.")
        log.info("%s; it is seen at that.", found)
