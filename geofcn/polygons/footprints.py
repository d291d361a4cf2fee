"""Building footprints streamed from row bands of a mask: traced, cleaned, measured, written."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import NamedTuple, TypeAlias

import numpy as np
from rasterio.crs import CRS
from rasterio.transform import Affine

from geofcn.core.calibration import ScoreCalibration
from geofcn.core.geodesy import Ground
from geofcn.core.pixels import BLANK, PROBABILITY_STEPS
from geofcn.core.ragged import POINTS_AT_ONCE, RINGS_AT_ONCE
from geofcn.core.windows import Window
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
from geofcn.tracing.instances import WalledBand, numbered_band, walled_bands
from geofcn.tracing.rings import Polygons
from geofcn.tracing.sweep import Sweep
from geofcn.tracing.walls import WalledPolygons, WalledSweep

log = logging.getLogger(__name__)

# Polygons that are made footprints of at once, at the least.
GATHERED = 512

Choice: TypeAlias = Callable[[Polygons], np.ndarray]
"""Which of some houses are wanted, (n,) bool."""


def all_of(houses: Polygons) -> np.ndarray:
    """Every house: the choice of who wants all."""
    return np.ones(len(houses), bool)


class RowBand(NamedTuple):
    """Full-width rows of a mask, and what else is known of their pixels.

    Attributes
    ----------
    houses : (rows, columns) array of bool
    probabilities : (rows, columns) array of uint8, optional
        0-254 for 0-1, 255 blank; with every band of a mask or with none.
    contacts : (rows, columns) array of bool, optional
        Where two houses meet; with every band of a mask or with none.
    numbers : (rows, columns) array of int, optional
        The number of each pixel's house, 0 of none; with every band of a mask or with none.
    """

    houses: np.ndarray
    probabilities: np.ndarray | None = None
    contacts: np.ndarray | None = None
    numbers: np.ndarray | None = None

    @property
    def tells_houses_apart(self) -> bool:
        """Whether houses that touch are known."""
        return self.contacts is not None or self.numbers is not None


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
    *,
    part: Window | None = None,
    choose: Choice = all_of,
    show: Callable[[FeatureBatch], object] | None = None,
) -> int:
    """Write the footprints of a mask, given in row bands, to a vector file.

    Parameters
    ----------
    path : path
        File to write, or to replace; see `geofcn.io.vector_writer.write_polygons`.
    bands : iterable of RowBand
        From the first row of `part` to its last.
    scene : Scene
        Gives the transform and the CRS.
    outline : Outline
        How polygons are cleaned.
    calibration : ScoreCalibration, optional
        Makes scores of mean probabilities.
    part : Window, optional
        The pixels of the scene that the mask covers; default: all.
    choose : callable, optional
        See `footprints`.
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
    part = scene.window if part is None else part
    batches = footprints(
        bands,
        part.width,
        scene.transform,
        scene.crs,
        outline,
        calibration,
        origin=(part.row, part.col),
        choose=choose,
    )
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
    *,
    origin: tuple[int, int] = (0, 0),
    choose: Choice = all_of,
) -> Iterator[FeatureBatch]:
    """Batches of finished footprints of a mask that is given in row bands.

    Memory is bounded by the bands and by what is open at their borders, not by the mask. The
    footprints do not depend on how the mask is cut into bands. Where contacts are known, or houses
    have numbers, each house is a footprint, see `geofcn.tracing.instances`;
    those that touch have their walls in common, with the same vertices, and come together, see
    `geofcn.polygons.groups`.

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
    origin : (int, int)
        Row and column of the mask's first pixel, as the transform counts them.
    choose : callable
        Which houses are written, (n,) bool, by their outlines as the transform counts them.

    Yields
    ------
    FeatureBatch
        Polygons in CRS coordinates, ordered by their last row, with the columns id (from 1),
        area_m2, perimeter_m, score (NaN without probabilities), n_px (of the mask) and status.
    """
    least = outline.least_area(crs is not None)
    finish = partial(_finish, transform, Ground(crs), outline, least, calibration, choose)
    number, left_out = 1, 0
    # GEOS and PROJ take most of the time; while threads use them, the sweep goes on.
    for batch, small in stream(finish, _houses(bands, width, origin), cores()):
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


def trace_band(band: RowBand) -> Polygons:
    """The houses of a band as if it were a whole mask, in pixel corners; in no order."""
    width = band.houses.shape[1]
    if not band.tells_houses_apart:
        return Polygons.concatenate(list(sweep_bands([band], width)))
    return Polygons.concatenate([swept.polygons for swept in _sweep_walled([band], width)])


def sweep_bands(bands: Iterable[RowBand], width: int) -> Iterator[Polygons]:
    """The polygons of a mask given in row bands, as they finish, in pixel corners.

    Parameters
    ----------
    bands : iterable of RowBand
        As `write_footprints` takes them; what tells houses apart is not looked at.
    width : int
        Columns of the mask.
    """
    sweep = Sweep(width)
    for band in bands:
        yield sweep.push(band.houses, band.probabilities, _valid(band.probabilities))
        del band  # before the next one is read
    yield sweep.finish()


def _sweep_walled(bands: Iterable[RowBand], width: int) -> Iterator[WalledPolygons]:
    """The houses of a mask that tells them apart, as they finish, in pixel corners."""
    sweep = WalledSweep(width)
    for band in _walled_bands(bands, width):
        yield sweep.push(band, _valid(band.values))
        del band  # before the next one is read
    yield sweep.finish()


def _walled_bands(bands: Iterable[RowBand], width: int) -> Iterator[WalledBand]:
    first, bands = _peek(bands)
    if first is not None and first.numbers is not None:
        return _numbered_bands(bands)
    known = ((*band[:2], band.contacts) for band in bands if band.contacts is not None)
    return walled_bands(known, width)


def _numbered_bands(bands: Iterable[RowBand]) -> Iterator[WalledBand]:
    row_above = None
    for band in bands:
        if band.numbers is not None:
            yield numbered_band(band.numbers, row_above, band.probabilities)
            row_above = band.numbers[-1]


def _peek(bands: Iterable[RowBand]) -> tuple[RowBand | None, Iterator[RowBand]]:
    """The first band, None where there is none, and all of them."""
    bands = iter(bands)
    first = next(bands, None)
    return first, bands if first is None else chain([first], bands)


def _valid(quantised: np.ndarray | None) -> np.ndarray | None:
    """Which probabilities are not blank; None: all, or there are none."""
    # To look for blank pixels first is cheaper than to sum which ones are not.
    if quantised is None or quantised.max(initial=0) < BLANK:
        return None
    return np.not_equal(quantised, BLANK)


def _houses(
    bands: Iterable[RowBand], width: int, origin: tuple[int, int]
) -> Iterator[Polygons | HouseGroups]:
    """The houses of a mask whose first pixel is at `origin`, many at a time."""
    first, bands = _peek(bands)
    if first is None:
        return
    tells_apart = first.tells_houses_apart
    del first  # it may be large
    if tells_apart:
        yield from group_houses(
            replace(swept, polygons=swept.polygons.moved(*origin))
            for swept in _sweep_walled(bands, width)
        )
    else:
        yield from _gather(swept.moved(*origin) for swept in sweep_bands(bands, width))


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
    choose: Choice,
    houses: Polygons | HouseGroups,
) -> tuple[FeatureBatch, int]:
    """Houses as footprints in CRS coordinates, with all columns but the id.

    Of those that are chosen; and how many of these are smaller than `least` square metres, and left
    out.
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
    chosen = choose(polygons)
    large = chosen & (areas >= least)
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
    return FeatureBatch(placed[large], columns), int(np.count_nonzero(chosen & ~large))
