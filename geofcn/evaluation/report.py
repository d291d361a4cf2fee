"""Report of an evaluation: houses found, missed and false alarms on the scene, and all scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyproj

from geofcn.core.colours import FALSE_ALARM, FOUND, MISSED
from geofcn.core.geodesy import Ground
from geofcn.evaluation.matching import Matched, Outcomes
from geofcn.evaluation.object_scores import GROUPINGS
from geofcn.evaluation.result import Evaluation
from geofcn.io.scene import Scene
from geofcn.report.call import Call
from geofcn.report.houses import Features, HouseMap, area_chart, share_chart
from geofcn.report.picture import Canvas, Kind, photograph, reduced_shape
from geofcn.report.report import Report, Table, percent

TP, FP, FN = 0, 1, 2
KINDS = Kind("found", FOUND), Kind("false alarm", FALSE_ALARM), Kind("missed", MISSED, dashed=True)

# What decides the scores, and what it is called on the page.
PLAN = {
    "min_area": "smallest house, in m²",
    "area": "only within",
    "layer": "layer of the labels",
    "where": "of them those with",
    "house_value": "values of houses",
}


class EvaluationReport:
    """Takes houses with their outcome as they come, and shows them on a page.

    Parameters
    ----------
    path : Path
        The page.
    call : Call
        How they were scored.
    scene : Scene or None
        What is shown below the houses, in any CRS.
    crs : CRS or None
        Of the houses.
    bounds : (4,) array
        West, south, east and north of all houses, infinite where there is none.
    """

    def __init__(
        self,
        path: Path,
        call: Call,
        scene: Scene | None,
        crs: pyproj.CRS | None,
        bounds: np.ndarray,
    ):
        self._path, self._call, self._scene = path, call, scene
        self._ground = Ground(crs)
        canvas = Canvas.of_bounds(bounds) if scene is None else Canvas.of_grid(scene.grid)
        self._houses = HouseMap(canvas, KINDS, crs)
        self._number = 0

    def add(self, matched: Matched) -> None:
        """Take some houses: all predictions, and the true houses that were missed."""
        predicted, missed = matched.prediction, matched.truth.select(~matched.truth.is_matched)
        kinds = np.where(predicted.is_matched, TP, FP)
        self._houses.add(self._features("prediction", predicted, kinds))
        self._houses.add(self._features("truth", missed, np.full(len(missed), FN)))

    def _features(self, side: str, outcomes: Outcomes, kinds: np.ndarray) -> Features:
        count = len(outcomes)
        areas, _ = self._ground.measure(outcomes.houses.polygons)
        ids = np.arange(self._number, self._number + count) + 1
        self._number += count
        words = np.full(count, None)
        words[outcomes.holds_several] = GROUPINGS[side]
        # What went wrong is to be looked at first, and of that the largest.
        ranks = np.where(kinds == TP, 0.0, -1.0) - areas / (1.0 + areas)
        return Features(outcomes.houses.polygons, kinds, ranks, ids, areas, outcomes.iou, words)

    def write(self, scores: Evaluation, iou: float) -> None:
        """Write the page, once all houses have come.

        Raises
        ------
        SceneError
            Where the scene cannot be read, or has changed.
        OutputError
            Where the page cannot be written.
        """
        scene, shown = self._scene, ""
        if scene is not None:
            shown = photograph(scene, reduced_shape(scene.height, scene.width))
            scene.refuse_changed()
        notes = ["Found houses are shown as they were predicted, missed ones as in the labels."]
        if scene is None:
            notes.append("Give --scene to see them on the scene.")
        picture = self._houses.picture("Found, missed and false alarms", shown, _tell, notes)
        charts = [area_chart(self._houses)]
        if scores.objects.tp:
            charts.append(share_chart(self._houses, "How well the found ones fit", "IoU", TP))
        Report(
            "Evaluation",
            " against ".join(_name(path) for path in self._call.positional),
            _headline(scores),
            self._call,
            [picture] if self._number else [],
            charts=charts if self._number else [],
            tables=[*_tables(scores), _plan(self._call, iou)],
        ).write(self._path)


def _tell(house: Features, i: int) -> str:
    known = [KINDS[int(house.kinds[i])].name, f"{house.areas[i]:,.0f} m²"]
    if not np.isnan(house.shares[i]):
        known.append(f"IoU {house.shares[i]:.2f}")
    return ", ".join([*known, house.words[i]] if house.words[i] else known)


def _headline(scores: Evaluation) -> Sequence[tuple[str, str]]:
    objects = scores.objects
    shown = [
        (percent(objects.f1), "F1 of houses"),
        (percent(objects.precision), "of those predicted are right"),
        (percent(objects.recall), "of the true ones are found"),
    ]
    return shown if scores.pixels is None else [*shown, (percent(scores.pixels.f1), "F1 of pixels")]


def _tables(scores: Evaluation) -> Iterator[Table]:
    for title, rows in scores.tables().items():
        yield Table(f"Scores of {title}", rows)
    head, *counts = scores.counts()
    yield Table("Houses by their size", counts, head)


def _plan(call: Call, iou: float) -> Table:
    prediction, labels = call.positional
    rows = [
        ("prediction", str(prediction)),
        ("labels", str(labels)),
        ("the same house", f"from an intersection over union of {iou:g} on"),
    ]
    rows += [(name, str(call.options[word])) for word, name in PLAN.items() if word in call.options]
    return Table("The plan", rows)


def _name(path: object) -> str:
    """Of a file of which something may be chosen."""
    return Path(str(path).partition("|")[0]).name
