"""Vectorise a mask: building footprints with area, perimeter and score in a vector file."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from itertools import repeat

import numpy as np

from geofcn.core.windows import band_height
from geofcn.errors import SceneError
from geofcn.io.band_reader import read_bands
from geofcn.io.files import StrPath
from geofcn.io.frames import takes_frames
from geofcn.io.locks import locked
from geofcn.io.masks import net_pixel, open_mask
from geofcn.io.probability import open_probability
from geofcn.io.scene import Scene, read_tags
from geofcn.io.vector_writer import check_vector_target
from geofcn.polygons.footprints import RowBand, refuse_no_crs, write_footprints
from geofcn.polygons.outline import Outline, make_outline
from geofcn.polygons.result import PolygonizeResult
from geofcn.polygons.score_tags import calibration_in
from geofcn.progress import Progress, automatic

log = logging.getLogger(__name__)


@takes_frames("mask", "probability")
def polygonize(
    mask: StrPath,
    polygons: StrPath,
    *,
    probability: StrPath | None = None,
    house_value: Sequence[float] = (),
    outline: str | Outline = "simplify",
    simplify: float | None = None,
    min_area: float | None = None,
    fill_holes: float | None = None,
    allow_no_crs: bool = False,
    overwrite: bool = False,
    progress: Progress = automatic,
) -> PolygonizeResult:
    """Write the footprints of a mask's houses to a vector file.

    The file's layer is `houses`; its columns are `id`, `area_m2` and `perimeter_m` (on the
    ellipsoid, whatever the CRS), `score` (see `probability`), `n_px` and `status` (squared,
    simplified or raw).

    Parameters
    ----------
    mask : path
        A raster of 0 and one other value, see `geofcn.io.masks.open_mask`; read in row bands.
    polygons : path
        File to write: .gpkg, .geojson, .fgb, .parquet or .shp.
    probability : path, optional
        A uint8 probability raster of geofcn on the same grid, for the column `score`: the chance
        that IoU with a real house is .5 or more, where the raster's tags hold the calibration of
        its model, else the mean probability.
    house_value : sequence of float
        The mask's values for houses; default: its only one besides 0 and nodata.
    outline : str or Outline
        How polygons are cleaned: a method with `simplify`, `min_area` and `fill_holes`, or all of
        these in one; see `geofcn.Outline`.
    simplify : float, optional
        How far a simplified outline may stray, in pixels. Default: 1.5, but for `square` 1.25 net
        pixels where that is more, by the mask's tags.
    min_area, fill_holes : float, optional
        Smaller footprints are left out, smaller holes filled; square metres on the ground. Default:
        4, but 0 without a CRS; and 0.
    allow_no_crs : bool
        Write polygons of a mask without CRS, in the units of its transform.
    overwrite : bool
        Replace a file that exists.
    progress : callable, optional
        See `geofcn.progress.Progress`.

    Returns
    -------
    PolygonizeResult
        Path, number of polygons, seconds; ``.read()`` gives the GeoDataFrame.

    Raises
    ------
    GeofcnError
        One sentence that says what is wrong: SceneError, LabelsError, OutputError
        or UsageError.
    """
    start = time.monotonic()
    cleaning = make_outline(outline, simplify, min_area, fill_holes)
    classes = open_mask(mask, house_value)
    cleaning = cleaning.at_net_pixel(net_pixel(classes))
    scene = classes.raster
    scores = None if probability is None else _open_probability(probability, scene)
    calibration = None if scores is None else calibration_in(read_tags(scores))
    sources = [path for path in (scene.path, probability) if path is not None]
    with locked(polygons):
        target = check_vector_target(polygons, overwrite, *sources)
        refuse_no_crs(scene, allow_no_crs)
        rows, found = band_height(scene.width), False
        with progress("polygons", scene.window.pixels, "px") as bar:

            def bands() -> Iterator[RowBand]:
                nonlocal found
                masks = read_bands(scene, classes.read_marked, rows)
                probabilities = repeat(None) if scores is None else _quantised(scores, rows)
                for pixels, quantised in zip(masks, probabilities, strict=False):
                    houses, contacts = classes.split(pixels)
                    found = found or bool(houses.any())
                    yield RowBand(houses, quantised, contacts)
                    bar.advance(houses.size)
                for raster in filter(None, (scene, scores)):
                    raster.refuse_changed()

            count = write_footprints(target, bands(), scene, cleaning, calibration)
        if not found:
            values = " or ".join(f"{value:g}" for value in house_value)
            wanted = f"the value {values}" if values else "a value besides 0 and nodata"
            log.warning("%s: no polygon; does any pixel have %s?", scene.name, wanted)
        return PolygonizeResult(target, count, time.monotonic() - start)


def _quantised(scores: Scene, rows: int) -> Iterator[np.ndarray]:
    """The row bands of a probability raster."""
    return read_bands(scores, lambda window: scores.read(window)[0][0], rows)


def _open_probability(path: StrPath, mask: Scene) -> Scene:
    scene = open_probability(path)
    if not scene.grid.is_at(mask.grid):
        raise SceneError(f"{path}: it is not on the mask's grid; give the one of the same run.")
    return scene
