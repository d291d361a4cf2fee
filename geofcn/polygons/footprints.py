"""Building footprints streamed from row bands of a mask: traced, cleaned, measured, written."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import partial

import numpy as np
from rasterio.crs import CRS
from rasterio.transform import Affine

from geofcn.core.geodesy import Ground
from geofcn.core.pixels import BLANK, PROBABILITY_STEPS
from geofcn.errors import OutputError
from geofcn.executors import stream
from geofcn.io.scene import Scene
from geofcn.io.vector_writer import FeatureBatch, write_polygons
from geofcn.polygons.convert import fill_holes, to_map, to_shapely
from geofcn.polygons.outline import Outline
from geofcn.polygons.regularize import regularize
from geofcn.runtime import cores
from geofcn.tracing.sweep import Polygons, Sweep

BAND_ROWS = 256


# Polygons that are made footprints of at once, at the least.
GATHERED = 512


def refuse_no_crs(scene: Scene, allow: bool) -> None:
    """Raise OutputError for polygons without a place on the ground."""
    if scene.crs is None and not allow:
        raise OutputError(
            f"{scene.path}: it has no CRS, so its polygons would lie nowhere; set one, or give "
            "--allow-no-crs for plain coordinates."
        )


def write_footprints(
    path: str | os.PathLike,
    bands: Iterable[tuple[np.ndarray, np.ndarray | None]],
    scene: Scene,
    outline: Outline,
) -> int:
    """Write the footprints of a mask given in full-width row bands; return how many there are.

    bands  (houses (rows, columns) boolean, probabilities (rows, columns) uint8 or None), from the
           first row of `scene` to its last
    scene  gives the width, the transform and the CRS
    """
    batches = footprints(bands, scene.width, scene.transform, scene.crs, outline)
    return write_polygons(path, batches, scene.crs, overwrite=True)


def footprints(
    bands: Iterable[tuple[np.ndarray, np.ndarray | None]],
    width: int,
    transform: Affine,
    crs: CRS | None,
    outline: Outline,
) -> Iterator[FeatureBatch]:
    """Batches of finished footprints in CRS coordinates, in order, with their ids from 1."""
    finish = partial(_finish, transform, Ground(crs), outline)
    number = 1
    # GEOS and PROJ take most of the time; while threads use them, the sweep goes on.
    for batch in stream(finish, _gather(sweep_bands(bands, width)), cores()):
        ids = np.arange(number, number + len(batch.geometry))
        number += len(ids)
        yield FeatureBatch(batch.geometry, {"id": ids, **batch.columns})


def sweep_bands(
    bands: Iterable[tuple[np.ndarray, np.ndarray | None]], width: int
) -> Iterator[Polygons]:
    """The polygons of a mask given in row bands, as they finish."""
    sweep = Sweep(width)
    for houses, quantised in bands:
        # To look for blank pixels first is cheaper than to sum which ones are not.
        some_blank = quantised is not None and quantised.max(initial=0) == BLANK
        yield sweep.push(houses, quantised, quantised != BLANK if some_blank else None)
    yield sweep.finish()


def _gather(swept: Iterable[Polygons]) -> Iterator[Polygons]:
    """The same polygons, GATHERED or more at a time, for a batch takes time whatever its size."""
    held, count = [], 0
    for polygons in swept:
        held.append(polygons)
        count += len(polygons)
        if count >= GATHERED:
            yield Polygons.concatenate(held)
            held, count = [], 0
    if count:
        yield Polygons.concatenate(held)


def _finish(
    transform: Affine, ground: Ground, outline: Outline, polygons: Polygons
) -> FeatureBatch:
    """Polygons of the sweep as footprints in CRS coordinates, with all columns but the id."""
    cleaned, status = regularize(to_shapely(polygons), outline.method, outline.simplify)
    placed = to_map(cleaned, transform)
    if outline.fill_holes:
        placed = fill_holes(placed, ground, outline.fill_holes)
    areas, perimeters = ground.measure(placed)
    large = areas >= outline.min_area
    with np.errstate(invalid="ignore"):
        scores = polygons.sums / polygons.counts / PROBABILITY_STEPS
    columns = {
        "area_m2": areas[large],
        "perimeter_m": perimeters[large],
        "score": scores[large],
        "n_px": polygons.pixels[large],
        "status": status[large],
    }
    return FeatureBatch(placed[large], columns)
