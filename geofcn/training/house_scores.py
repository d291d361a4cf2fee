"""Which predicted houses are right on labelled windows, and the scores that say so beforehand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely

from geofcn import defaults
from geofcn.core.calibration import ScoreCalibration, fit_scores
from geofcn.core.geodesy import ground_resolution
from geofcn.core.pixels import HOUSE, classify, houses_and_known, quantise
from geofcn.core.ragged import intersection_over_union
from geofcn.core.windows import Window, blocks
from geofcn.io.contact_labels import instances_of
from geofcn.io.labels import LabelledScene
from geofcn.models.model import Model
from geofcn.models.predictor import Prediction, Predictor
from geofcn.polygons.convert import to_shapely
from geofcn.polygons.footprints import RowBand, mean_probabilities, trace_band
from geofcn.polygons.outline import DEFAULT_OUTLINE
from geofcn.training.validation import VALIDATION_WINDOW, Damping, count_houses


def calibrate_scores(
    model: Model,
    extents: Sequence[tuple[LabelledScene, Window]],
    device: str,
    damping: Damping | None = None,
) -> ScoreCalibration | None:
    """Fit the scores of a model's footprints on labelled windows.

    Parameters
    ----------
    model : Model
        Houses are found at its threshold.
    extents : sequence of (LabelledScene, Window)
        With labels that the model was not trained on; see `validation_extents`.
    device : str
        Where the net is computed.
    damping : Damping, optional
        Of the threshold: with too few houses for it, the calibration is the one the model has.

    Returns
    -------
    ScoreCalibration or None
        None where no house is found, or the right ones are not the more probable ones.
    """
    found: list[tuple[np.ndarray, np.ndarray]] = []
    pixels = 0
    for source, extent in extents:
        predictor = Predictor(model.at_resolution_of(source.scene), merge=False, device=device)
        pixel = ground_resolution(source.scene.grid)
        least = DEFAULT_OUTLINE.least_area(pixel is not None) / (pixel or 1) ** 2
        for window in blocks(extent, predictor.model.side(VALIDATION_WINDOW)):
            labels = source.labels.read(window)
            _, known = houses_and_known(labels)
            if not known.any():
                continue
            prediction = predictor.window(source.scene, window)
            counted = known & prediction.valid
            truth = _true_houses(source, window, labels, counted)
            pixels += int(np.count_nonzero(truth.houses))
            found.append(judge(_predicted_houses(model, prediction, counted), truth, least))
    if damping is not None and not damping.is_enough(count_houses(pixels, model)):
        return model.metadata.score_calibration
    if not found:
        return None
    probability, right = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return fit_scores(probability, right)


def _predicted_houses(model: Model, prediction: Prediction, counted: np.ndarray) -> RowBand:
    """What `geofcn infer` makes polygons of, where a window counts."""
    houses = classify(prediction.probability, counted, model.metadata.threshold) == HOUSE
    contacts = None
    if model.metadata.contacts is not None and prediction.contact is not None:
        contacts = model.metadata.contacts.found(prediction.contact)
    return RowBand(houses, quantise(prediction.probability), contacts)


def _true_houses(
    source: LabelledScene, window: Window, labels: np.ndarray, counted: np.ndarray
) -> RowBand:
    """The labelled houses where a window counts, each by itself if the labels tell them apart."""
    houses, _ = houses_and_known(labels)
    known = instances_of(source.labels)
    numbers = None if known is None else np.where(counted, known.instances(window), 0)
    return RowBand(houses & counted, numbers=numbers)


def judge(predicted: RowBand, truth: RowBand, least: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean probabilities of the predicted houses of a window, and whether each is right.

    Parameters
    ----------
    predicted, truth : RowBand
        The window as predicted, with probabilities, and as labelled; houses that touch are one
        where nothing tells them apart.
    least : float
        Predicted houses of fewer pixels do not count.

    Returns
    -------
    probability : (n,) array
        From 0 to 1.
    right : (n,) array of bool
        Whether the intersection over union with a labelled house is defaults.IOU or more.
    """
    traced = trace_band(predicted)
    footprints, true = to_shapely(traced), to_shapely(trace_band(truth))
    right = np.zeros(len(footprints), bool)
    first, second = shapely.STRtree(true).query(footprints)
    iou = intersection_over_union(footprints[first], true[second])
    right[first[iou >= defaults.IOU]] = True
    large = traced.pixels >= least
    return mean_probabilities(traced)[large], right[large]
