"""From a mask to footprints: the sweep, clean outlines, measures, and a vector file."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import numpy as np

from geofcn.core.windows import row_bands
from geofcn.errors import SceneError
from geofcn.io.scene import Scene, open_mask, open_scene
from geofcn.io.vector_writer import check_vector_target
from geofcn.polygons.footprints import BAND_ROWS, refuse_no_crs, write_footprints
from geofcn.polygons.outline import SIMPLIFIED, Outline
from geofcn.progress import Progress, silent

log = logging.getLogger("geofcn")


def polygonize(
    mask: str | os.PathLike,
    polygons: str | os.PathLike,
    *,
    probability: str | os.PathLike | None = None,
    value: float | None = None,
    outline: Outline = SIMPLIFIED,
    allow_no_crs: bool = False,
    overwrite: bool = False,
    progress: Progress = silent,
) -> int:
    """Write the footprints of a mask's houses to a vector file; return how many there are.

    mask         any raster; its first band is read in row bands
    probability  a uint8 probability raster of geofcn on the same grid, for the column `score`
    value        the mask's value for houses; default: every value but 0 and nodata

    Raises a GeofcnError that says in one sentence what is wrong.
    """
    scene = open_mask(mask)
    scores = None if probability is None else _open_probability(probability, scene)
    sources = [path for path in (mask, probability) if path is not None]
    target = check_vector_target(polygons, overwrite, *sources)
    refuse_no_crs(scene, allow_no_crs)
    with progress("polygons", scene.window.pixels, "px") as bar:

        def bands() -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
            for window in row_bands(scene.height, scene.width, BAND_ROWS):
                image, valid = scene.read(window)
                houses = (image[0] != 0 if value is None else image[0] == value) & valid
                yield houses, None if scores is None else scores.read(window)[0][0]
                bar.advance(window.pixels)

        count = write_footprints(target, bands(), scene, outline)
    if not count:
        wanted = "a value besides 0 and nodata" if value is None else f"the value {value:g}"
        log.warning("%s: no polygon; does any pixel have %s?", scene.name, wanted)
    return count


def _open_probability(path: str | os.PathLike, mask: Scene) -> Scene:
    scene = open_scene(path)
    if len(scene.bands) > 1:
        raise SceneError(f"{path}: it has {len(scene.bands)} bands; give a probability raster.")
    if (scene.height, scene.width) != (
        mask.height,
        mask.width,
    ) or scene.transform != mask.transform:
        raise SceneError(f"{path}: it is not on the mask's grid; give the one of the same run.")
    if scene.dtype != "uint8":
        raise SceneError(
            f"{path}: its pixels are {scene.dtype}; give a uint8 probability raster "
            "(`geofcn infer --probability`)."
        )
    return scene
