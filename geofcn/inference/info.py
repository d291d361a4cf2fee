"""What a scene is, and what inference on it will take."""

from __future__ import annotations

import os

import numpy as np

from geofcn.core.geodesy import ground_resolution
from geofcn.core.windows import sample_windows
from geofcn.inference.estimate import _count_blocks, _model_facts
from geofcn.io.scene import Scene, open_scene
from geofcn.models.model_file import load_model
from geofcn.recipes import DEFAULT_RECIPE

TRAINING_TILE = DEFAULT_RECIPE.tile
SAMPLE_SIZE = 256
SAMPLE_COUNT = 64


def describe(
    path: str | os.PathLike,
    *,
    model: str | os.PathLike | None = None,
    nodata: float | None = None,
) -> dict[str, object]:
    """A scene's size, bands, place, ground resolution, blank share (from a sample) and layout.

    With a `model` also what that is, and the windows inference would compute. All values are plain
    JSON types; what is unknown is None. Raises SceneError, ModelError (also when the two do not go
    together).
    """
    scene = open_scene(path, nodata)
    return _scene_facts(scene) | ({} if model is None else _model_facts(scene, load_model(model)))


def _scene_facts(scene: Scene) -> dict[str, object]:
    return {
        "path": scene.path,
        "driver": scene.driver,
        "width": scene.width,
        "height": scene.height,
        "bands": len(scene.bands),
        "colours": list(scene.colours),
        "dtype": scene.dtype,
        "crs": _crs_name(scene),
        "transform": list(scene.transform)[:6],
        "ground_resolution_m": ground_resolution(scene.grid),
        "declares_blank": scene.declares_blank,
        "blank_share": _blank_share(scene),
        "block": list(scene.block_shape),
        "layout": "tiles" if scene.block_shape[1] != scene.width else "strips",
        "compression": scene.compression,
        "tiles": _count_blocks(scene, TRAINING_TILE),
    }


def _crs_name(scene: Scene) -> str | None:
    if scene.crs is None:
        return None
    authority = scene.crs.to_authority()
    return ":".join(authority) if authority else scene.crs.to_wkt()


def _blank_share(scene: Scene) -> float:
    """Share of blank pixels, 0 to 1, in windows spread over the scene."""
    blank = total = 0
    for window in sample_windows(scene.height, scene.width, SAMPLE_SIZE, SAMPLE_COUNT):
        _, valid = scene.read(window)
        blank += valid.size - np.count_nonzero(valid)
        total += valid.size
    return blank / total
