"""Evaluate a prediction against labels: scores pixel by pixel, and house by house.

Either side is a raster or polygons. A raster is the common reference (of two, the prediction's). It
is streamed in row bands, in which pixels are compared, polygons being burned onto its grid, and
houses become footprints by the sweep, raw. Polygons are compared in the CRS of the reference, or of
the prediction where there is no raster; areas and distances are those on the ground.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
from rasterio.crs import CRS

from geofcn import defaults
from geofcn.core.geodesy import Ground
from geofcn.core.metrics import Confusion, confusion
from geofcn.core.pixels import houses_and_known
from geofcn.core.windows import Window, row_bands
from geofcn.errors import LabelsError, UsageError
from geofcn.evaluation.footprints import (
    HouseCollector,
    Houses,
    LocatedHouses,
    TracedHouses,
    houses_of,
    open_both,
)
from geofcn.evaluation.object_scores import MATCHES_COLUMNS, match_features, score_objects
from geofcn.evaluation.result import Evaluation, PixelScores
from geofcn.executors import ThreadExecutor
from geofcn.io.files import StrPath
from geofcn.io.labels import (
    LabelledScene,
    NoLabels,
    RasterLabels,
    WindowLabels,
    open_labels,
    refuse_changed,
)
from geofcn.io.locks import locked
from geofcn.io.scene import Scene, open_mask
from geofcn.io.vector_reader import is_raster_path, read_vectors
from geofcn.io.vector_writer import check_vector_target, write_polygons
from geofcn.polygons.footprints import BAND_ROWS
from geofcn.progress import Progress, silent

# Row bands read ahead of the sweep.
AHEAD = 4


def evaluate(
    prediction: StrPath,
    labels: StrPath,
    *,
    iou: float = defaults.IOU,
    min_area: float = 0.0,
    matches: StrPath | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Evaluation:
    """Score a prediction against labels, over the pixels and houses that neither leaves blank.

    Polygons belong to a raster's extent when their representative point lies on a pixel of it that
    is not blank. Houses are matched as SpaceNet does (Van Etten et al., 2018).

    Parameters
    ----------
    prediction : path
        A mask raster, every value but 0 and nodata being a house; or polygons, of which each part
        is a house, those with the highest `score` choosing their match first.
    labels : path
        A raster or polygons; cut to the prediction's extent where that is a raster, as predicted
        polygons are to the extent of a raster of labels.
    iou : float
        Intersection over union from which two polygons are the same house.
    min_area : float
        Smaller polygons of either side are left out, in square metres on the ground.
    matches : path, optional
        Vector file for the polygons of both sides with their outcome: tp, fp or fn.
    overwrite : bool
        Replace a file that exists.
    progress : callable, optional
        See `geofcn.progress.Progress`.

    Returns
    -------
    Evaluation
        ``.pixels`` (None without any raster) and ``.objects``; ``.to_dict()`` for machines.

    Raises
    ------
    GeofcnError
        One sentence that says what is wrong: SceneError, LabelsError (also where the two sides do
        not meet), OutputError or UsageError.
    """
    if not 0 < iou <= 1:
        raise UsageError(f"iou {iou}: give a number above 0, up to 1.")
    if not min_area >= 0:
        raise UsageError(f"min_area {min_area}: give a number from 0 up.")
    sources = os.fspath(prediction), os.fspath(labels)
    with locked(matches):
        target = None if matches is None else check_vector_target(matches, overwrite, *sources)
        pixels = None
        if any(map(is_raster_path, sources)):
            pixels, sides, crs = _compare_on_raster(*sources, progress)
        else:
            sides, crs = open_both(*sources)
        objects, outcomes = score_objects(sides, Ground(crs), iou, min_area)
        if target is not None:
            features = match_features(outcomes)
            write_polygons(
                target, features, crs, columns=MATCHES_COLUMNS, layer="matches", overwrite=True
            )
        return Evaluation(pixels, objects)


def _compare_on_raster(
    prediction: str, labels: str, progress: Progress
) -> tuple[PixelScores, tuple[Houses, Houses], CRS | None]:
    """Pixel scores, the houses of both sides, and their CRS, from one pass over a raster."""
    reference = open_mask(prediction if is_raster_path(prediction) else labels)
    truth = open_labels(labels, reference)
    predicted, predicted_houses = _open_prediction(prediction, reference)
    true_houses: HouseCollector
    if is_raster_path(labels):
        true_houses = TracedHouses(reference)
    else:
        true_houses = LocatedHouses(houses_of(read_vectors(labels), reference.crs), reference)
    total = Confusion()
    with progress("comparing", reference.window.pixels, "px") as bar:
        for window, part, houses, counted in _read_bands(reference, predicted, truth):
            total += part
            predicted_houses.add(window, houses[0], counted)
            true_houses.add(window, houses[1], counted)
            bar.advance(window.pixels)
    refuse_changed([LabelledScene(reference, truth)])
    if total == Confusion():
        raise LabelsError(f"{labels}: no labelled pixel lies on {prediction}; check both CRS.")
    sides = predicted_houses.finish(), true_houses.finish()
    return PixelScores(**total.scores()), sides, reference.crs


def _open_prediction(path: str, reference: Scene) -> tuple[WindowLabels, HouseCollector]:
    """The prediction's pixels, and what collects its houses."""
    if is_raster_path(path):
        return RasterLabels(reference), TracedHouses(reference)
    houses = houses_of(read_vectors(path), reference.crs)
    pixels = open_labels(path, reference) if len(houses.polygons) else NoLabels()
    return pixels, LocatedHouses(houses, reference)


def _read_bands(
    reference: Scene, *sides: WindowLabels
) -> Iterator[tuple[Window, Confusion, tuple[np.ndarray, np.ndarray], np.ndarray]]:
    """Each row band with its confusion, the houses of both sides, and what neither leaves blank."""
    windows = list(row_bands(reference.height, reference.width, BAND_ROWS))
    bands = ThreadExecutor().stream(_read_band, sides, windows, AHEAD)
    for window, band in zip(windows, bands, strict=True):
        yield window, *band


def _read_band(
    sides: tuple[WindowLabels, ...], window: Window
) -> tuple[Confusion, tuple[np.ndarray, np.ndarray], np.ndarray]:
    predicted, truth = (houses_and_known(side.read(window)) for side in sides)
    counted = predicted[1] & truth[1]
    houses = predicted[0], truth[0]
    return confusion(*houses, counted), houses, counted
