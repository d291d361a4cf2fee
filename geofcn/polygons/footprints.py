"""Building footprints streamed from row bands of a mask: traced, cleaned, measured, written."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from typing import NamedTuple

import numpy as np
from rasterio.crs import CRS
from rasterio.transform import Affine

from geofcn.core.calibration import ScoreCalibration
from geofcn.core.geodesy import Ground
from geofcn.core.pixels import BLANK, PROBABILITY_STEPS
from geofcn.core.ragged import POINTS_AT_ONCE, RINGS_AT_ONCE
from geofcn.errors import OutputError
from geofcn.executors import stream
from geofcn.io.files import StrPath
from geofcn.io.scene import Scene
from geofcn.io.vector_writer import FeatureBatch, write_polygons
from geofcn.polygons.convert import fill_holes, to_map, to_shapely
from geofcn.polygons.groups import HouseGroups, group_houses
from geofcn.polygons.outline import Outline
from geofcn.polygons.regularize import regularize
from geofcn.polygons.shared_walls import regularize_groups
from geofcn.runtime import cores, give_back_freed_memory
from geofcn.tracing.instances import walled_bands
from geofcn.tracing.rings import Polygons
from geofcn.tracing.sweep import Sweep
from geofcn.tracing.walls import WalledPolygons, WalledSweep

log = logging.getLogger(__name__)

# Polygons that are made footprints of at once, at the least.
GATHERED = 512


class RowBand(NamedTuple):
    """Full-width rows of a mask, and what else is known of their pixels.

    Attributes
    ----------
    houses : (rows, columns) array of bool
    probabilities : (rows, columns) array of uint8, optional
        0-254 for 0-1, 255 blank; with every band of a mask or with none.
    contacts : (rows, columns) array of bool, optional
        Where two houses meet; with every band of a mask or with none.
    """

    houses: np.ndarray
    probabilities: np.ndarray | None = None
    contacts: np.ndarray | None = None


def refuse_no_crs(scene: Scene, allow: bool) -> None:
    """Raise OutputError where polygons would have no place on the ground.

    Parameters
    ----------
    scene : Scene
        Whose CRS they would have.
    allow : bool
        Plain coordinates are wanted.
    """
    if scene.crs is None and not allow:
        raise OutputError(
            f"{scene.path}: it has no CRS, so its polygons would lie nowhere; set one, or give "
            "--allow-no-crs for plain coordinates."
        )


def write_footprints(
    path: StrPath,
    bands: Iterable[RowBand],
    scene: Scene,
    outline: Outline,
    calibration: ScoreCalibration | None = None,
    show: Callable[[FeatureBatch], object] | None = None,
) -> int:
    """Write the footprints of a mask, given in row bands, to a vector file.

    Parameters
    ----------
    path : path
        File to write, or to replace; see `geofcn.io.vector_writer.write_polygons`.
    bands : iterable of RowBand
        From the first row of the scene to its last.
    scene : Scene
        Gives the width, the transform and the CRS.
    outline : Outline
        How polygons are cleaned.
    calibration : ScoreCalibration, optional
        Makes scores of mean probabilities.
    show : callable, optional
        Shown every batch that is written.

    Returns
    -------
    int
        How many footprints there are.

    Raises
    ------
    OutputError
        Where the file cannot be written.
    """
    batches = footprints(bands, scene.width, scene.transform, scene.crs, outline, calibration)
    if show is not None:
        batches = _shown(batches, show)
    return write_polygons(path, batches, scene.crs, overwrite=True)


def _shown(
    batches: Iterable[FeatureBatch], show: Callable[[FeatureBatch], object]
) -> Iterator[FeatureBatch]:
    for batch in batches:
        show(batch)
        yield batch


def footprints(
    bands: Iterable[RowBand],
    width: int,
    transform: Affine,
    crs: CRS | None,
    outline: Outline,
    calibration: ScoreCalibration | None = None,
) -> Iterator[FeatureBatch]:
    """Batches of finished footprints of a mask that is given in row bands.

    Memory is bounded by the bands and by what is open at their borders, not by the mask. The
    footprints do not depend on how the mask is cut into bands. Where contacts are known, each
    house is a footprint, see `geofcn.tracing.instances`; those that touch have their walls in
    common, with the same vertices, and come together, see `geofcn.polygons.groups`.

    Parameters
    ----------
    bands : iterable of RowBand
        As `write_footprints` takes them.
    width : int
        Columns of the mask.
    transform : Affine
        Pixel corners (column, row) to CRS coordinates (x, y).
    crs : CRS or None
        Areas and perimeters are measured on its ellipsoid; None: in plane units.
    outline : Outline
        How polygons are cleaned.
    calibration : ScoreCalibration, optional
        Makes scores of mean probabilities; default: they are the scores.

    Yields
    ------
    FeatureBatch
        Polygons in CRS coordinates, ordered by their last row, with the columns id (from 1),
        area_m2, perimeter_m, score (NaN without probabilities), n_px (of the mask) and status.
    """
    least = outline.least_area(crs is not None)
    finish = partial(_finish, transform, Ground(crs), outline, least, calibration)
    number, left_out = 1, 0
    # GEOS and PROJ take most of the time; while threads use them, the sweep goes on.
    for batch, small in stream(finish, _houses(bands, width), cores()):
        left_out += small
        ids = np.arange(number, number + len(batch.geometry))
        number += len(ids)
        yield FeatureBatch(batch.geometry, {"id": ids, **batch.columns})
    if left_out:
        log.warning(
            "%d polygon(s) smaller than %g m2 were left out; --min-area 0 keeps them.",
            left_out,
            least,
        )


def sweep_bands(bands: Iterable[RowBand], width: int) -> Iterator[Polygons]:
    """The polygons of a mask given in row bands, as they finish, in pixel corners.

    Parameters
    ----------
    bands : iterable of RowBand
        As `write_footprints` takes them.
    width : int
        Columns of the mask.
    """
    sweep = Sweep(width)
    for houses, quantised, _ in bands:
        yield sweep.push(houses, quantised, _valid(quantised))
    yield sweep.finish()


def _sweep_walled_bands(bands: Iterable[RowBand], width: int) -> Iterator[WalledPolygons]:
    """The houses of a mask that comes with contacts, as they finish, in pixel corners."""
    sweep = WalledSweep(width)
    known = ((*band[:2], band.contacts) for band in bands if band.contacts is not None)
    for band in walled_bands(known, width):
        yield sweep.push(band, _valid(band.values))
    yield sweep.finish()


def _valid(quantised: np.ndarray | None) -> np.ndarray | None:
    """Which probabilities are not blank; None: all, or there are none."""
    # To look for blank pixels first is cheaper than to sum which ones are not.
    if quantised is None or quantised.max(initial=0) < BLANK:
        return None
    return np.not_equal(quantised, BLANK)


def _houses(bands: Iterable[RowBand], width: int) -> Iterator[Polygons | HouseGroups]:
    """The houses of a mask, many at a time."""
    bands = iter(bands)
    first = next(bands, None)
    if first is None:
        return
    bands = chain([first], bands)
    if first.contacts is None:
        yield from _gather(sweep_bands(bands, width))
    else:
        yield from group_houses(_sweep_walled_bands(bands, width))


def mean_probabilities(polygons: Polygons) -> np.ndarray:
    """Mean probability of the pixels of each polygon that are not blank, 0 to 1; NaN of none."""
    with np.errstate(invalid="ignore"):
        return np.asarray(polygons.sums / polygons.counts / PROBABILITY_STEPS)


def _gather(swept: Iterable[Polygons]) -> Iterator[Polygons]:
    """The same polygons, GATHERED or more at a time, for a batch takes time whatever its size.

    But no more than have about POINTS_AT_ONCE corners: of a wide mask tens of thousands finish at
    once.
    """
    parts: list[Polygons] = []
    count = 0
    for polygons in swept:
        parts.append(polygons)
        count += len(polygons)
        if count >= GATHERED:
            yield from Polygons.concatenate(parts).parts(POINTS_AT_ONCE)
            parts, count = [], 0
    if count:
        yield from Polygons.concatenate(parts).parts(POINTS_AT_ONCE)


def _give_back(polygons: Polygons) -> None:
    """Return to the system what one step with many rings has freed, before the next asks for it."""
    if len(polygons.rings) > RINGS_AT_ONCE:
        give_back_freed_memory()


def _finish(
    transform: Affine,
    ground: Ground,
    outline: Outline,
    least: float,
    calibration: ScoreCalibration | None,
    houses: Polygons | HouseGroups,
) -> tuple[FeatureBatch, int]:
    """Houses as footprints in CRS coordinates, with all columns but the id.

    And how many are smaller than `least` square metres, and left out.
    """
    may_fill: np.ndarray | slice = slice(None)
    # Under one name: a polygon of a million holes takes hundreds of MB each time it is kept.
    if isinstance(houses, HouseGroups):
        polygons, may_fill = houses.houses.polygons, ~houses.have_walled_holes()
        placed, status = regularize_groups(houses, outline.method, outline.tolerance)
    else:
        polygons = houses
        placed, status = regularize(to_shapely(polygons), outline.method, outline.tolerance)
    _give_back(polygons)
    placed = to_map(placed, transform)
    _give_back(polygons)
    if outline.fill_holes:
        placed[may_fill] = fill_holes(placed[may_fill], ground, outline.fill_holes)
    areas, perimeters = ground.measure(placed)
    large = areas >= least
    scores = mean_probabilities(polygons)
    if calibration is not None:
        scores = calibration.score(scores)
    columns = {
        "area_m2": areas[large],
        "perimeter_m": perimeters[large],
        "score": scores[large],
        "n_px": polygons.pixels[large],
        "status": status[large],
    }
    return FeatureBatch(placed[large], columns), int(np.count_nonzero(~large))
