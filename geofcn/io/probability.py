"""Probability rasters as `geofcn infer --probability` writes them: the one way to open them."""

from __future__ import annotations

import logging

from geofcn.errors import SceneError
from geofcn.io.files import StrPath
from geofcn.io.masks import MODEL_TAG
from geofcn.io.opening import open_raster
from geofcn.io.scene import Scene, read_tags

log = logging.getLogger(__name__)


def open_probability(path: StrPath) -> Scene:
    """Open a raster of quantised probabilities: uint8, 0-254 for 0-1, 255 blank.

    Parameters
    ----------
    path : path
        A raster of one band; one that declares no scale is taken for probabilities, with a warning
        in the log.

    Raises
    ------
    SceneError
        Where it is no raster that geofcn can use, or no such probabilities.
    """
    scene = open_raster(path)
    if len(scene.bands) > 1:
        raise SceneError(f"{path}: it has {len(scene.bands)} bands; give a probability raster.")
    if scene.dtype != "uint8":
        raise SceneError(
            f"{path}: its pixels are {scene.dtype}; give a uint8 probability raster "
            "(`geofcn infer --probability`)."
        )
    if scene.scale == 1 and MODEL_TAG in read_tags(scene):
        raise SceneError(
            f"{path}: this is a mask of geofcn; give the raster of `geofcn infer --probability`."
        )
    if scene.scale == 1:
        log.warning("%s: it declares no scale; 0 to 254 is taken for probabilities 0 to 1.", path)
    return scene
