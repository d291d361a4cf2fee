"""The calibration of scores as tags of a probability raster, by which polygonize finds it."""

from __future__ import annotations

import math
from collections.abc import Mapping

from geofcn.core.calibration import ScoreCalibration

SLOPE, OFFSET = "GEOFCN_SCORE_SLOPE", "GEOFCN_SCORE_OFFSET"


def score_tags(calibration: ScoreCalibration) -> dict[str, str]:
    """Tags that say a calibration to its last digit.

    Examples
    --------
    >>> score_tags(ScoreCalibration(0.5, -1.0))
    {'GEOFCN_SCORE_SLOPE': '0.5', 'GEOFCN_SCORE_OFFSET': '-1.0'}
    """
    return {SLOPE: repr(calibration.slope), OFFSET: repr(calibration.offset)}


def calibration_in(tags: Mapping[str, str]) -> ScoreCalibration | None:
    """The calibration that `score_tags` put among a raster's tags; None where there is none.

    Examples
    --------
    >>> calibration_in({"GEOFCN_SCORE_SLOPE": "0.5", "GEOFCN_SCORE_OFFSET": "-1.0"})
    ScoreCalibration(slope=0.5, offset=-1.0)
    >>> calibration_in({"GEOFCN_SCORE_SLOPE": "steep"})
    """
    try:
        slope, offset = float(tags[SLOPE]), float(tags[OFFSET])
    except (KeyError, ValueError):
        return None
    sound = math.isfinite(slope) and math.isfinite(offset) and slope > 0
    return ScoreCalibration(slope, offset) if sound else None
