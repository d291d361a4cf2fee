"""Scores of a prediction against labels: pixel by pixel, and house by house.

Either side is a raster or polygons. A raster is the common frame (of two, the prediction's). It is
streamed in row bands, in which pixels are compared, polygons being burned onto its grid, and houses
become footprints by the sweep, raw. Polygons are compared in the CRS of the frame, or of the
prediction where there is no raster; areas and distances are those on the ground.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
from rasterio.crs import CRS

from geofcn.core.geodesy import Ground
from geofcn.core.metrics import Confusion, confusion
from geofcn.core.pixels import BLANK, HOUSE
from geofcn.core.windows import Window, row_bands
from geofcn.errors import LabelsError, UsageError
from geofcn.evaluation.footprints import (
    LocatedHouses,
    NoHouses,
    Side,
    TracedHouses,
    houses_of,
    is_raster,
    open_both_sides,
)
from geofcn.evaluation.object_scores import MATCHES_COLUMNS, match_features, score_objects
from geofcn.executors import ThreadExecutor
from geofcn.io.labels import Labels, RasterLabels, open_labels
from geofcn.io.scene import Scene, open_mask
from geofcn.io.vector_reader import read_vectors
from geofcn.io.vector_writer import check_vector_target, write_polygons
from geofcn.progress import Progress, silent

BAND_ROWS = 256
# Row bands read ahead of the sweep.
AHEAD = 4

Scores = dict[str, dict | None]


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
    matches     vector file for the polygons of both sides with their outcome: tp, fp or fn

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
    target = None if matches is None else check_vector_target(matches, overwrite, *sources)
    if any(map(is_raster, sources)):
        pixels, sides, crs = _compare_on_raster(*sources, progress)
    else:
        pixels, (sides, crs) = None, open_both_sides(*sources)
    scores, outcomes = score_objects(sides, Ground(crs), iou, min_area)
    if target is not None:
        batches = match_features(outcomes)
        write_polygons(
            target, batches, crs, columns=MATCHES_COLUMNS, layer="matches", overwrite=True
        )
    return {"pixels": pixels, "objects": scores}


# --- polygons of a file --------------------------------------------------------------------------


# --- row bands of a raster -----------------------------------------------------------------------


def _compare_on_raster(
    prediction: str, labels: str, progress: Progress
) -> tuple[dict[str, float], tuple[Side, Side], CRS | None]:
    """Pixel scores, the houses of both sides, and their CRS, from one pass over the frame."""
    frame = open_mask(prediction if is_raster(prediction) else labels)
    truth = open_labels(labels, frame)
    predicted: Labels | NoHouses
    if is_raster(prediction):
        predicted, one = RasterLabels(frame), TracedHouses(frame)
    else:
        side = houses_of(read_vectors(prediction), frame.crs)
        predicted = open_labels(prediction, frame) if len(side.polygons) else NoHouses()
        one = LocatedHouses(side, frame)
    if is_raster(labels):
        other = TracedHouses(frame)
    else:
        other = LocatedHouses(houses_of(read_vectors(labels), frame.crs), frame)
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
    frame: Scene, *sides: Labels | NoHouses
) -> Iterator[tuple[Window, Confusion, tuple[np.ndarray, np.ndarray], np.ndarray]]:
    """Each row band with its confusion, the houses of both sides, and what neither leaves blank."""
    windows = list(row_bands(frame.height, frame.width, BAND_ROWS))
    bands = ThreadExecutor().stream(_read_band, sides, windows, AHEAD)
    for window, band in zip(windows, bands, strict=True):
        yield window, *band


def _read_band(
    sides: tuple[Labels | NoHouses, ...], window: Window
) -> tuple[Confusion, tuple[np.ndarray, np.ndarray], np.ndarray]:
    predicted, truth = (side.read(window) for side in sides)
    counted = (predicted != BLANK) & (truth != BLANK)
    houses = predicted == HOUSE, truth == HOUSE
    return confusion(*houses, counted), houses, counted


# --- scores of houses ----------------------------------------------------------------------------
