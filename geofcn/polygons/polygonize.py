"""From a mask to footprints: the sweep, clean outlines, measures, and a vector file."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import shapely
from rasterio.crs import CRS
from rasterio.transform import Affine

from geofcn.core.geodesy import Ground
from geofcn.core.pixels import BLANK, PROBABILITY_STEPS
from geofcn.core.windows import row_bands
from geofcn.errors import OutputError, SceneError, UsageError
from geofcn.executors import stream
from geofcn.io.scene import Scene, open_mask, open_scene
from geofcn.io.vector_writer import Batch, check_target, write_polygons
from geofcn.polygons import regularize
from geofcn.progress import Progress, silent
from geofcn.runtime import cores
from geofcn.tracing.sweep import Polygons, Sweep

METHODS = ("raw", "simplify", "square")
BAND_ROWS = 256
# Polygons that are made footprints of at once, at the least.
GATHERED = 512

log = logging.getLogger("geofcn")


@dataclass(frozen=True)
class Outline:
    """How finished polygons are cleaned.

    method      raw, simplify or square
    tolerance   of the simplification, in pixels
    min_area    smaller footprints are left out, in square metres on the ground
    fill_holes  smaller holes are filled, in square metres on the ground
    """

    method: str = "simplify"
    tolerance: float = 1.5
    min_area: float = 0.0
    fill_holes: float = 0.0

    def __post_init__(self):
        if self.method not in METHODS:
            raise UsageError(f"outline {self.method}: choose one of {', '.join(METHODS)}.")
        for name in ("tolerance", "min_area", "fill_holes"):
            if not getattr(self, name) >= 0:
                raise UsageError(f"{name} {getattr(self, name)}: give a number from 0 up.")


SIMPLIFIED = Outline()


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
    target = check_target(polygons, overwrite, *sources)
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


def refuse_no_crs(scene: Scene, allow: bool) -> None:
    """Raise OutputError for polygons without a place on the ground."""
    if scene.crs is None and not allow:
        raise OutputError(
            f"{scene.path}: it has no CRS, so its polygons would lie nowhere; set one, or give "
            "--allow-no-crs for plain coordinates."
        )


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
) -> Iterator[Batch]:
    """Batches of finished footprints in CRS coordinates, in order, with their ids from 1."""
    finish = partial(_finished, transform, Ground(crs), outline)
    number = 1
    # GEOS and PROJ take most of the time; while threads use them, the sweep goes on.
    for batch in stream(finish, _gathered(sweep_bands(bands, width)), cores()):
        ids = np.arange(number, number + len(batch.geometry))
        number += len(ids)
        yield Batch(batch.geometry, {"id": ids, **batch.columns})


def sweep_bands(
    bands: Iterable[tuple[np.ndarray, np.ndarray | None]], width: int
) -> Iterator[Polygons]:
    """The polygons of a mask given in row bands, as they finish."""
    sweep = Sweep(width)
    for houses, steps in bands:
        # To look for blank pixels first is cheaper than to sum which ones are not.
        some_blank = steps is not None and steps.max(initial=0) == BLANK
        yield sweep.push(houses, steps, steps != BLANK if some_blank else None)
    yield sweep.finish()


def _gathered(found: Iterable[Polygons]) -> Iterator[Polygons]:
    """The same polygons, GATHERED or more at a time, for a batch takes time whatever its size."""
    held, count = [], 0
    for polygons in found:
        held.append(polygons)
        count += len(polygons)
        if count >= GATHERED:
            yield Polygons.concatenate(held)
            held, count = [], 0
    if count:
        yield Polygons.concatenate(held)


def _finished(transform: Affine, ground: Ground, outline: Outline, found: Polygons) -> Batch:
    """Polygons of the sweep as footprints in CRS coordinates, with all columns but the id."""
    raw = shapely.from_ragged_array(
        shapely.GeometryType.POLYGON, found.coords.astype(np.float64), (found.rings, found.polygons)
    )
    cleaned, status = regularize.clean(raw, outline.method, outline.tolerance)
    placed = to_map(cleaned, transform)
    if outline.fill_holes:
        placed = _fill_holes(placed, ground, outline.fill_holes)
    areas, perimeters = ground.measure(placed)
    kept = areas >= outline.min_area
    with np.errstate(invalid="ignore"):
        scores = found.sums / found.counts / PROBABILITY_STEPS
    columns = {
        "area_m2": areas[kept],
        "perimeter_m": perimeters[kept],
        "score": scores[kept],
        "n_px": found.pixels[kept],
        "status": status[kept],
    }
    return Batch(placed[kept], columns)


def to_map(polygons: np.ndarray, transform: Affine) -> np.ndarray:
    """Polygons from pixel corners (column, row) to CRS coordinates (x, y)."""
    matrix = np.array([[transform.a, transform.d], [transform.b, transform.e]])
    offset = np.array([transform.c, transform.f])
    return shapely.transform(polygons, lambda points: points @ matrix + offset)


def _fill_holes(polygons: np.ndarray, ground: Ground, area: float) -> np.ndarray:
    """Leave out holes of less than `area` square metres."""
    holed = np.flatnonzero(shapely.get_num_interior_rings(polygons))
    if not len(holed):
        return polygons
    rings, owner = shapely.get_rings(polygons[holed], return_index=True)
    exterior = np.append(True, owner[1:] != owner[:-1])
    areas, _ = ground.measure(shapely.polygons(rings))
    kept = exterior | (areas >= area)
    points, ring = shapely.get_coordinates(rings[kept], return_index=True)
    offsets = np.searchsorted(ring, np.arange(np.count_nonzero(kept) + 1))
    polygon_offsets = np.searchsorted(owner[kept], np.arange(len(holed) + 1))
    filled = polygons.copy()
    filled[holed] = shapely.from_ragged_array(
        shapely.GeometryType.POLYGON, points, (offsets, polygon_offsets)
    )
    return filled
