"""A training that starts from a model, its parent: what it takes over, and what it refuses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from geofcn.errors import OutputError, UsageError
from geofcn.io.files import StrPath
from geofcn.models.model import Model, Parent
from geofcn.models.model_file import load_model, model_digest
from geofcn.training.run import RUN_FILES


def load_parent(path: StrPath, output: StrPath) -> Model:
    """The model to start from.

    Parameters
    ----------
    path : path
        Its file.
    output : path
        Folder of the new run, which must not replace it.

    Raises
    ------
    ModelError
        Where it is no model that can be used.
    OutputError
        Where the new run would replace it.
    """
    if Path(path).resolve() in [(Path(output) / name).resolve() for name in RUN_FILES]:
        raise OutputError(
            f"{output}: it holds the model to start from, which the new run would replace; give "
            "another -o."
        )
    return load_model(path)


def described(parent: Model) -> Parent:
    """What a model that started from `parent` keeps of it."""
    return Parent(model_digest(parent), parent.metadata.all_scenes)


def with_parents(options: Mapping[str, Any], parent: Model, path: StrPath) -> dict[str, Any]:
    """The options of a training that starts from a model.

    Net and normalisation are the parent's. So are the class weights, where none are given: by them
    its threshold was found.

    Parameters
    ----------
    options : mapping
        Values by the names of `geofcn.recipes.Recipe`; None: not given.
    parent : Model
        The model to start from.
    path : path
        Its file.

    Raises
    ------
    UsageError
        Where an option contradicts the model.
    """
    fixed = _fixed(parent)
    for name, value in fixed.items():
        if options.get(name) not in (None, value):
            raise UsageError(
                f"{name} {options[name]}: {path} has {value}, which a training that starts from it "
                "keeps; leave that option out."
            )
    if options.get("class_weights") is None:
        fixed["class_weights"] = _class_weights(parent)
    return {**options, **fixed}


def _fixed(parent: Model) -> dict[str, Any]:
    about = parent.metadata
    fixed: dict[str, Any] = {
        "net": about.net,
        "scale": about.scale,
        "upsample": about.upsample,
        "resolution": about.resolution,
    }
    period = parent.normalisation.mean.shape[-1]
    if period == 1:
        return {**fixed, "normalise": "bands"}
    return {**fixed, "normalise": "image", "tile": period}  # tiles are as large as their mean image


def _class_weights(parent: Model) -> tuple[float, float] | None:
    """Those that the model was trained with; None where its file does not say."""
    weights = parent.metadata.recipe.get("class_weights")
    if isinstance(weights, list) and all(isinstance(weight, int | float) for weight in weights):
        return tuple(weights)  # make_recipe checks them
    return None
