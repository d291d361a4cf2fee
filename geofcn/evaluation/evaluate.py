"""Scores of a prediction against labels: pixel by pixel, and house by house.

Either side is a raster or polygons. A raster is the common frame (of two, the prediction's). It is
streamed in row bands, in which pixels are compared, polygons being burned onto its grid, and houses
become footprints by the sweep, raw. Polygons are compared in the CRS of the frame, or of the
prediction where there is no raster; areas and distances are those on the ground.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf, nan
from pathlib import Path

import geopandas
import numpy as np
import pyproj
import shapely
from rasterio.crs import CRS

from geofcn.core.geodesy import Ground
from geofcn.core.metrics import Confusion, confusion
from geofcn.core.pixels import BLANK, HOUSE
from geofcn.core.windows import Window, row_bands
from geofcn.errors import LabelsError, UsageError
from geofcn.evaluation.matching import Matching, match, polis
from geofcn.executors import Threads
from geofcn.io.labels import RASTER_SUFFIXES, Labels, RasterLabels, open_labels, read_vectors
from geofcn.io.scene import Scene, open_mask
from geofcn.io.vector_writer import Batch, check_target, write_polygons
from geofcn.polygons.polygonize import to_map
from geofcn.progress import Progress, silent
from geofcn.tracing.sweep import Polygons, Sweep

BAND_ROWS = 256
# Row bands read ahead of the sweep.
AHEAD = 4
# Size class -> what a footprint of it is smaller than, in square metres.
SIZES = {"small": 50.0, "medium": 200.0, "large": inf}
MATCHES_COLUMNS = {
    "id": "int64",
    "side": "string",
    "verdict": "string",
    "iou": "float64",
    "area_m2": "float64",
}

Scores = dict[str, dict | None]


@dataclass(frozen=True)
class Side:
    """The houses of one side.

    polygons  (n,) valid Polygons in the common CRS
    scores    (n,) what the file's column `score` says, NaN where nothing
    """

    polygons: np.ndarray
    scores: np.ndarray

    def select(self, chosen: np.ndarray) -> Side:
        """The houses chosen by a boolean array."""
        return Side(self.polygons[chosen], self.scores[chosen])


def evaluate(
    prediction: str | os.PathLike,
    labels: str | os.PathLike,
    *,
    iou: float = 0.5,
    min_area: float = 0.0,
    matches: str | os.PathLike | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Scores:
    """Compare a prediction with labels, over the pixels and the houses that neither leaves blank.

    prediction  a mask raster, every value but 0 and nodata being a house; or polygons, of which
                each part is a house, those with the highest `score` choosing their match first
    labels      a raster or polygons; cut to the prediction's extent where that is a raster, as
                predicted polygons are to the extent of a raster of labels
    iou         intersection over union from which two polygons are the same house
    min_area    smaller polygons of either side are left out, in square metres on the ground
    matches     vector file for the polygons of both sides with their verdict: tp, fp or fn

    Polygons belong to a raster's extent when their representative point lies on a pixel of it that
    is not blank. Returns, as fractions of 1, counts and metres, NaN where undefined

        {"pixels": {precision, recall, f1, accuracy, iou}, or None without any raster,
         "objects": {precision, recall, f1, tp, fp, fn, mean_iou, polis_m,
                     "by_size": {small | medium | large: {tp, fp, fn}}}}

    mean_iou and polis_m, the mean PoLiS distance, are those of the matches; a match counts in the
    size class of its truth. Raises LabelsError where the two sides do not meet.
    """
    if not 0 < iou <= 1:
        raise UsageError(f"iou {iou}: give a number above 0, up to 1.")
    if not min_area >= 0:
        raise UsageError(f"min_area {min_area}: give a number from 0 up.")
    sources = os.fspath(prediction), os.fspath(labels)
    target = None if matches is None else check_target(matches, overwrite, *sources)
    if any(map(_is_raster, sources)):
        pixels, sides, crs = _compare_on_raster(*sources, progress)
    else:
        pixels, (sides, crs) = None, _open_both(*sources)
    scores, verdicts = _score(sides, Ground(crs), iou, min_area)
    if target is not None:
        batches = _batches(verdicts)
        write_polygons(
            target, batches, crs, columns=MATCHES_COLUMNS, layer="matches", overwrite=True
        )
    return {"pixels": pixels, "objects": scores}


def _is_raster(path: str) -> bool:
    return Path(path).suffix.lower() in RASTER_SUFFIXES


# --- polygons of a file --------------------------------------------------------------------------


def _side(frame: geopandas.GeoDataFrame, crs: CRS | pyproj.CRS | None) -> Side:
    """The houses of a file in `crs`: a multipolygon's parts one by one; invalid ones mended."""
    if frame.crs is not None and crs is not None:
        frame = frame.to_crs(crs.to_wkt())
    shapes = shapely.force_2d(np.asarray(frame.geometry.values))
    areal = np.isin(shapely.get_type_id(shapes), (3, 6)) & np.isfinite(shapely.area(shapes))
    mended = shapely.make_valid(shapes[areal], method="structure", keep_collapsed=False)
    parts, owner = shapely.get_parts(mended, return_index=True)
    scores = np.full(len(shapes), nan)
    if "score" in frame and frame["score"].dtype.kind in "iuf":
        scores = frame["score"].to_numpy(float)
    return Side(parts, scores[areal][owner]).select(~shapely.is_empty(parts))


def _open_both(prediction: str, labels: str) -> tuple[tuple[Side, Side], pyproj.CRS | None]:
    """Two files of polygons in the prediction's CRS, and that. Raises LabelsError if far apart."""
    frames = read_vectors(prediction), read_vectors(labels)
    crs = frames[0].crs
    for path, frame in zip((prediction, labels), frames, strict=True):
        if frame.crs is None and frames[0].crs != frames[1].crs:
            raise LabelsError(
                f"{path}: it states no CRS, so its place is unknown; set it, for instance with "
                "`ogr2ogr -a_srs`."
            )
    sides = _side(frames[0], crs), _side(frames[1], crs)
    if all(len(side.polygons) for side in sides):
        extents = [shapely.box(*shapely.total_bounds(side.polygons)) for side in sides]
        if not shapely.intersects(*extents):
            raise LabelsError(f"{labels}: it does not overlap {prediction}; check both CRS.")
    return sides, crs


# --- row bands of a raster -----------------------------------------------------------------------


class _NoHouses:
    """In the place of Labels, a file without polygons: background everywhere."""

    def read(self, window: Window) -> np.ndarray:
        """(rows, columns) uint8 classes."""
        return np.zeros(window.shape, np.uint8)


class _Swept:
    """The houses of a side that is a raster, from row bands."""

    def __init__(self, frame: Scene):
        self._transform = frame.transform
        self._sweep = Sweep(frame.width)
        self._found: list[np.ndarray] = []

    def add(self, window: Window, houses: np.ndarray, counted: np.ndarray) -> None:
        """Take a row band: boolean arrays, what is a house and what is not blank."""
        self._keep(self._sweep.push(houses & counted))

    def finish(self) -> Side:
        """All houses, after the last row band."""
        self._keep(self._sweep.finish())
        polygons = np.concatenate(self._found)
        return Side(polygons, np.full(len(polygons), nan))

    def _keep(self, found: Polygons) -> None:
        coords, offsets = found.coords.astype(np.float64), (found.rings, found.polygons)
        polygons = shapely.from_ragged_array(shapely.GeometryType.POLYGON, coords, offsets)
        self._found.append(to_map(polygons, self._transform))


class _Located:
    """The houses of a side that is a file: those that lie where the raster is not blank."""

    def __init__(self, side: Side, frame: Scene):
        self._side = side
        points = shapely.get_coordinates(shapely.point_on_surface(side.polygons))
        col, row = np.floor(~frame.transform * points.T)
        on_frame = (col >= 0) & (col < frame.width) & (row >= 0) & (row < frame.height)
        self._which = np.flatnonzero(on_frame)[np.argsort(row[on_frame], kind="stable")]
        self._row, self._col = row[self._which].astype(np.int64), col[self._which].astype(np.int64)
        self._counted = np.zeros(len(points), bool)

    def add(self, window: Window, houses: np.ndarray, counted: np.ndarray) -> None:
        """See _Swept."""
        here = slice(*np.searchsorted(self._row, [window.row, window.bottom]))
        self._counted[self._which[here]] = counted[self._row[here] - window.row, self._col[here]]

    def finish(self) -> Side:
        """See _Swept."""
        return self._side.select(self._counted)


def _compare_on_raster(
    prediction: str, labels: str, progress: Progress
) -> tuple[dict[str, float], tuple[Side, Side], CRS | None]:
    """Pixel scores, the houses of both sides, and their CRS, from one pass over the frame."""
    frame = open_mask(prediction if _is_raster(prediction) else labels)
    truth = open_labels(labels, frame)
    predicted: Labels | _NoHouses
    if _is_raster(prediction):
        predicted, one = RasterLabels(frame), _Swept(frame)
    else:
        side = _side(read_vectors(prediction), frame.crs)
        predicted = open_labels(prediction, frame) if len(side.polygons) else _NoHouses()
        one = _Located(side, frame)
    if _is_raster(labels):
        other = _Swept(frame)
    else:
        other = _Located(_side(read_vectors(labels), frame.crs), frame)
    total = Confusion()
    with progress("comparing", frame.window.pixels, "px") as bar:
        for window, part, houses, counted in _read_bands(frame, predicted, truth):
            total += part
            one.add(window, houses[0], counted)
            other.add(window, houses[1], counted)
            bar.advance(window.pixels)
    if total == Confusion():
        raise LabelsError(f"{labels}: no labelled pixel lies on {prediction}; check both CRS.")
    return total.scores(), (one.finish(), other.finish()), frame.crs


def _read_bands(
    frame: Scene, *sides: Labels | _NoHouses
) -> Iterator[tuple[Window, Confusion, tuple[np.ndarray, np.ndarray], np.ndarray]]:
    """Each row band with its confusion, the houses of both sides, and what neither leaves blank."""
    windows = list(row_bands(frame.height, frame.width, BAND_ROWS))
    bands = Threads().stream(_read_band, sides, windows, AHEAD)
    for window, band in zip(windows, bands, strict=True):
        yield window, *band


def _read_band(
    sides: tuple[Labels | _NoHouses, ...], window: Window
) -> tuple[Confusion, tuple[np.ndarray, np.ndarray], np.ndarray]:
    predicted, truth = (side.read(window) for side in sides)
    counted = (predicted != BLANK) & (truth != BLANK)
    houses = predicted == HOUSE, truth == HOUSE
    return confusion(*houses, counted), houses, counted


# --- scores of houses ----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Verdicts:
    """What became of the houses of one side; iou is NaN where there is no match."""

    side: str
    polygons: np.ndarray
    areas: np.ndarray
    iou: np.ndarray
    unmatched: str

    @property
    def matched(self) -> np.ndarray:
        return ~np.isnan(self.iou)


def _score(
    sides: tuple[Side, Side], ground: Ground, iou: float, min_area: float
) -> tuple[dict, tuple[_Verdicts, _Verdicts]]:
    """Object scores, and the verdict on every house."""
    (prediction, predicted_areas), (truth, true_areas) = (
        _large_enough(side, ground, min_area) for side in sides
    )
    found = match(prediction.polygons, truth.polygons, iou, prediction.scores)
    verdicts = (
        _Verdicts(
            "prediction",
            prediction.polygons,
            predicted_areas,
            _spread(found.iou, found.prediction, len(predicted_areas)),
            "fp",
        ),
        _Verdicts(
            "truth",
            truth.polygons,
            true_areas,
            _spread(found.iou, found.truth, len(true_areas)),
            "fn",
        ),
    )
    total = Confusion(len(found), len(predicted_areas) - len(found), len(true_areas) - len(found))
    scores = {
        "precision": total.precision,
        "recall": total.recall,
        "f1": total.f1,
        "tp": total.tp,
        "fp": total.fp,
        "fn": total.fn,
        "mean_iou": float(found.iou.mean()) if len(found) else nan,
        "polis_m": _mean_polis(prediction.polygons, truth.polygons, found, ground),
        "by_size": _by_size(*verdicts),
    }
    return scores, verdicts


def _large_enough(side: Side, ground: Ground, min_area: float) -> tuple[Side, np.ndarray]:
    areas, _ = ground.measure(side.polygons)
    kept = areas >= min_area
    return side.select(kept), areas[kept]


def _spread(values: np.ndarray, where: np.ndarray, count: int) -> np.ndarray:
    """(count,) floats: `values` at the indices `where`, NaN elsewhere."""
    spread = np.full(count, nan)
    spread[where] = values
    return spread


def _mean_polis(
    prediction: np.ndarray, truth: np.ndarray, found: Matching, ground: Ground
) -> float:
    """In metres, each pair on a plane of its own around the truth's centre; NaN without any."""
    if not len(found):
        return nan
    matched = truth[found.truth]
    origins = shapely.get_coordinates(shapely.centroid(matched))
    pairs = ground.flatten(prediction[found.prediction], origins), ground.flatten(matched, origins)
    return float(polis(*pairs).mean())


def _by_size(prediction: _Verdicts, truth: _Verdicts) -> dict[str, dict[str, int]]:
    """tp, fp and fn in each size class."""
    limits = list(SIZES.values())[:-1]

    def count(verdicts: _Verdicts, matched: bool) -> list[int]:
        areas = verdicts.areas[verdicts.matched == matched]
        return np.bincount(np.digitize(areas, limits), minlength=len(SIZES)).tolist()

    columns = count(truth, True), count(prediction, False), count(truth, False)
    return {
        size: {"tp": tp, "fp": fp, "fn": fn}
        for size, tp, fp, fn in zip(SIZES, *columns, strict=True)
    }


def _batches(verdicts: tuple[_Verdicts, _Verdicts]) -> Iterator[Batch]:
    """The houses of both sides as they are written, predictions first."""
    first = 1
    for one in verdicts:
        count = len(one.polygons)
        columns = {
            "id": np.arange(first, first + count),
            "side": np.full(count, one.side, dtype=object),
            "verdict": np.where(one.matched, "tp", one.unmatched).astype(object),
            "iou": one.iou,
            "area_m2": one.areas,
        }
        first += count
        yield Batch(one.polygons, columns)
