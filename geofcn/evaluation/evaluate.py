"""Evaluate a prediction against labels: scores pixel by pixel, and house by house.

Either side is a raster or polygons. A raster is the common reference (of two, the prediction's). It
is streamed in row bands, in which pixels are compared, polygons being burned onto its grid, and
houses become footprints by the sweep, raw. Polygons are compared in the CRS of the reference, or of
the prediction where there is no raster; areas and distances are those on the ground.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyproj
from rasterio.crs import CRS

from geofcn import defaults
from geofcn.core.geodesy import Ground
from geofcn.core.metrics import Confusion, confusion
from geofcn.core.pixels import HOUSE, houses_and_known
from geofcn.core.windows import Window, band_height, row_bands
from geofcn.errors import LabelsError, UsageError
from geofcn.evaluation.area import Area
from geofcn.evaluation.footprints import (
    HouseCollector,
    LocatedHouses,
    TracedHouses,
    read_both,
    say_none,
)
from geofcn.evaluation.matching import match
from geofcn.evaluation.object_scores import MATCHES_COLUMNS, MatchFeatures, ObjectCounter
from geofcn.evaluation.result import Evaluation, PixelScores
from geofcn.evaluation.sorted_houses import SortedHouses
from geofcn.executors import ThreadExecutor
from geofcn.io.files import StrPath, check_target
from geofcn.io.frames import takes_frames
from geofcn.io.label_source import LabelSource
from geofcn.io.labels import (
    LabelledScene,
    Labels,
    WindowLabels,
    is_beside,
    open_labels,
    refuse_changed,
)
from geofcn.io.locks import locked
from geofcn.io.masks import MODEL_TAG, InstanceMask, Mask, has_background, open_mask
from geofcn.io.opening import open_scene
from geofcn.io.scene import Scene, read_tags
from geofcn.io.vector_labels import VectorLabels
from geofcn.io.vector_reader import is_raster_path
from geofcn.io.vector_writer import check_vector_target, write_polygons
from geofcn.progress import Progress, automatic

if TYPE_CHECKING:
    from geofcn.evaluation.report import EvaluationReport

# Rows that are read and swept at once, at the most, and row bands that are read ahead.
BAND_ROWS = 256
AHEAD = 4

log = logging.getLogger(__name__)


@takes_frames("prediction", "labels", "area", "scene")
def evaluate(
    prediction: StrPath,
    labels: StrPath,
    *,
    iou: float = defaults.IOU,
    min_area: float = 0.0,
    area: StrPath | None = None,
    layer: str | None = None,
    where: str | None = None,
    house_value: Sequence[float] = (),
    instances: bool = False,
    matches: StrPath | None = None,
    report: StrPath | None = None,
    scene: StrPath | None = None,
    overwrite: bool = False,
    progress: Progress = automatic,
) -> Evaluation:
    """Score a prediction against labels, over the pixels and houses that neither leaves blank.

    Polygons belong to a raster's extent when their representative point lies on a pixel of it that
    is not blank. Houses are matched as SpaceNet does (Van Etten et al., 2018).

    Parameters
    ----------
    prediction : path or GeoDataFrame
        A mask raster (see `geofcn.io.masks.open_mask`), or polygons, of which each part is a house,
        those with the highest `score` choosing their match first. Layer, features and values are
        chosen as in ``houses.gpkg|layername=houses|subset=score > 0.5``, ``mask.tif|house=1`` and
        ``mask.tif|instances``.
    labels : path or GeoDataFrame
        A raster or polygons; cut to the prediction's extent where that is a raster, as predicted
        polygons are to the extent of a raster of labels. In the same forms. A file without
        polygons, on either side, is that of a place without houses, which is said in the log.
    iou : float
        Intersection over union from which two polygons are the same house.
    min_area : float
        Smaller polygons of either side are left out, in square metres on the ground: what they
        overlap neither holds nor splits them.
    area : path or GeoDataFrame, optional
        Polygons, outside of which nothing counts: no pixel whose centre lies
        outside, and no house of either side whose representative point does; one that does not is
        scored as a whole.
    layer, where : str, optional
        Layer of the labels, and a condition in SQL that their features must meet.
    house_value : sequence of float
        Values of a raster of labels that are houses, all others being background.
    instances : bool
        Each value of a raster of labels besides 0 and nodata is a house of its own, or several,
        where its pixels are not 4-connected.
    matches : path, optional
        Vector file for the polygons of both sides with their outcome (tp, fp or fn), whether they
        are merged or split, and how many of the other side lie in them, or they in.
    report : path, optional
        Page (.html) to write: houses found, missed and false alarms to look at, and all scores.
    scene : path, optional
        Raster that the page shows below the houses.
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
    given = dict(locals())
    if not 0 < iou <= 1:
        raise UsageError(f"iou {iou}: give a number above 0, up to 1.")
    if not min_area >= 0:
        raise UsageError(f"min_area {min_area}: give a number from 0 up.")
    sources = (
        LabelSource.of(prediction),
        LabelSource.of(labels, layer, where, house_value, instances=instances),
    )
    paths = [source.path for source in sources]
    within = None if area is None else LabelSource.of(area)
    inputs = paths if within is None else [*paths, within.path]
    if scene is not None and report is None:
        raise UsageError("scene: it is shown in a report; give --report FILE.")
    shown = None if scene is None else open_scene(scene)
    with locked(matches, report):
        target = None if matches is None else check_vector_target(matches, overwrite, *inputs)
        if report is not None:
            seen = inputs if scene is None else [*inputs, scene]
            check_target(report, (".html",), overwrite, *seen)
        pixels = None
        if any(map(is_raster_path, paths)):
            pixels, sides, crs = _compare_on_raster(*sources, min_area, within, progress)
        else:
            sides, crs = read_both(*sources, min_area, within)
        ground = Ground(crs)
        counter, kept = ObjectCounter(ground), MatchFeatures()
        page = None if report is None else _page(report, given, shown, sides, crs)
        houses = sum(map(len, sides))
        with progress("matching", houses, "houses") as bar:
            for matched in match(*sides, iou):
                counter.add(matched)
                if target is not None:
                    kept.add(matched)
                if page is not None:
                    page.add(matched)
                bar.advance(len(matched.prediction) + len(matched.truth))
        for path, side in zip(paths, sides, strict=True):
            if side.repeated:
                log.warning(
                    "%s: %d of its houses repeat others and count for nothing.", path, side.repeated
                )
        if target is not None:
            features = kept.features(ground)
            write_polygons(
                target, features, crs, columns=MATCHES_COLUMNS, layer="matches", overwrite=True
            )
        scores = Evaluation(pixels, counter.scores())
        if page is not None:
            page.write(scores, iou)
        return scores


def _page(
    path: StrPath,
    given: Mapping[str, Any],
    scene: Scene | None,
    sides: tuple[SortedHouses, SortedHouses],
    crs: pyproj.CRS | CRS | None,
) -> EvaluationReport:
    """The report of an evaluation that was called with these arguments."""
    from geofcn.evaluation.report import EvaluationReport  # what draws it takes time to import
    from geofcn.report.call import Call

    lowest, highest = np.split(np.array([side.bounds for side in sides]), 2, axis=1)
    bounds = np.concatenate([lowest.min(axis=0), highest.max(axis=0)])
    plain = None if crs is None else pyproj.CRS.from_user_input(crs.to_wkt())
    return EvaluationReport(Path(path), Call.of(evaluate, given), scene, plain, bounds)


def _compare_on_raster(
    prediction: LabelSource,
    labels: LabelSource,
    min_area: float,
    within: LabelSource | None,
    progress: Progress,
) -> tuple[PixelScores, tuple[SortedHouses, SortedHouses], CRS | None]:
    """Pixel scores, the houses of both sides, and their CRS, from one pass over a raster."""
    is_raster = is_raster_path(prediction.path)
    mask = open_mask(str(prediction if is_raster else labels))
    reference = mask.raster
    other = _open_other(labels if is_raster else prediction, reference)
    predicted, truth = (mask, other) if is_raster else (other, mask)
    for side in (predicted, truth):
        if isinstance(side, Mask) and not (_is_complete(side) or has_background(side)):
            raise LabelsError(
                f"{side.path}: it knows houses and no background, for nodata counts for nothing; "
                "give a raster with 0 for background."
            )
    area, pixels_within = _open_area(within, reference)
    collectors = tuple(_collector(side, reference, min_area, area) for side in (predicted, truth))
    total = Confusion()
    with progress("comparing", reference.window.pixels, "px") as bar:
        for window, part, houses, counted in _read_bands(
            reference, predicted, truth, pixels_within
        ):
            total += part
            for collector, of_side in zip(collectors, houses, strict=True):
                collector.add(window, of_side, counted)
            bar.advance(window.pixels)
    refuse_changed([LabelledScene(reference, truth)])
    if total == Confusion():
        where = prediction.path if within is None else f"{prediction.path} within {within.path}"
        raise LabelsError(f"{labels.path}: no labelled pixel lies on {where}; check all CRS.")
    first, second = (collector.finish() for collector in collectors)
    return PixelScores(**total.scores()), (first, second), reference.crs


def _is_complete(mask: Mask) -> bool:
    """Whether a mask without background says that there is none, as one of `geofcn infer` does."""
    return not mask.raster.declares_blank or MODEL_TAG in read_tags(mask.raster)


def _open_other(source: LabelSource, reference: Scene) -> Labels:
    """The side that is not the reference: of polygons some lie on that, unless there are none."""
    if is_raster_path(source.path):
        return open_labels(source, reference)
    labels = VectorLabels.of(source, reference)
    if not labels.count:
        say_none(source)
    elif not labels.touching:
        raise is_beside(labels, reference.name)
    return labels


def _open_area(
    source: LabelSource | None, reference: Scene
) -> tuple[Area | None, VectorLabels | None]:
    """The area in which houses lie, and the same for pixels; it has to touch the raster."""
    if source is None:
        return None, None
    centre, _ = reference.transform * (reference.width / 2, reference.height / 2)
    area, pixels = Area(source, reference.crs, centre), VectorLabels.of(source, reference)
    if not pixels.touching:
        raise is_beside(pixels, reference.name)
    return area, pixels


def _collector(
    side: WindowLabels, reference: Scene, min_area: float, area: Area | None
) -> HouseCollector:
    if isinstance(side, VectorLabels):
        return LocatedHouses(side, reference, min_area, area)
    return TracedHouses(reference, min_area, area, isinstance(side, InstanceMask))


def _read_bands(
    reference: Scene, predicted: WindowLabels, truth: WindowLabels, within: VectorLabels | None
) -> Iterator[tuple[Window, Confusion, tuple[np.ndarray, np.ndarray], np.ndarray]]:
    """Each row band with its confusion, the houses of both sides, and what neither leaves blank.

    The houses are as a HouseCollector takes them.
    """
    rows = min(BAND_ROWS, band_height(reference.width))
    windows = list(row_bands(reference.height, reference.width, rows))
    bands = ThreadExecutor().stream(_read_band, (predicted, truth, within), windows, AHEAD)
    for window, band in zip(windows, bands, strict=True):
        yield window, *band


def _read_band(
    inputs: tuple[WindowLabels, WindowLabels, VectorLabels | None], window: Window
) -> tuple[Confusion, tuple[np.ndarray, np.ndarray], np.ndarray]:
    *sides, within = inputs
    predicted, truth = (houses_and_known(side.read(window)) for side in sides)
    counted = predicted[1] & truth[1]
    # Houses over the area's edge are traced as a whole.
    pixels = counted if within is None else counted & (within.read(window) == HOUSE)
    first, second = (
        side.instances(window) if isinstance(side, InstanceMask) else houses
        for side, (houses, _) in zip(sides, (predicted, truth), strict=True)
    )
    return confusion(predicted[0], truth[0], pixels), (first, second), counted
