"""Report of a training: what the best model finds, losses and scores, plan and model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from geofcn.io.labels import LabelledScene
from geofcn.models.card import model_card
from geofcn.models.model_file import load_model
from geofcn.recipes import Recipe
from geofcn.report.call import Call
from geofcn.report.charts import line_chart, running_mean
from geofcn.report.picture import Kind, Picture, layer_of, photograph_of
from geofcn.report.report import Chart, Report, Table, percent, settled
from geofcn.training.overlay import Overlay
from geofcn.training.plots import NAMES, OVERLAY, overlay_masks
from geofcn.training.result import TrainingResult
from geofcn.training.sampling import Selection
from geofcn.training.sources import names_of
from geofcn.training.state import Epoch

SCORES = "f1", "precision", "recall", "iou", "accuracy"


def write_report(
    path: Path,
    result: TrainingResult,
    losses: Sequence[float],
    recipe: Recipe,
    sources: Sequence[LabelledScene],
    selection: Selection,
    overlays: Sequence[Overlay],
    call: Call,
) -> None:
    """Write the page of a training that has come to its end.

    Parameters
    ----------
    path : Path
        The page.
    result : TrainingResult
        With the folder of the models, and the history.
    losses : sequence of float
        Of every step.
    recipe : Recipe
        All that was settled.
    sources : sequence of LabelledScene
        What was learnt from.
    selection : Selection
        The tiles, and what was kept for validation.
    overlays : sequence of Overlay
        The pictures to show.
    call : Call
        How it was done.

    Raises
    ------
    ModelError
        Where the model cannot be read.
    OutputError
        Where the page cannot be written.
    """
    best, names = result.best, names_of(sources)
    notes = []
    if best.scored_on == "training":
        notes.append("Nothing was held out: the scores are those of what was learnt from.")
    if len(sources) > 1:
        notes.append(f"Of the {len(sources)} scenes that were learnt from the first one is shown.")
    Report(
        "Training",
        ", ".join(names),
        [
            (percent(best.f1), "F1 of pixels"),
            (percent(best.precision), "precision"),
            (percent(best.recall), "recall"),
            (f"{best.epoch} of {len(result.epochs)}", "epoch of the weights"),
        ],
        call,
        [_picture(overlay) for overlay in overlays],
        charts=list(_charts(result.epochs, losses)),
        tables=[
            _scores(best),
            _plan(recipe, sources, selection),
            Table("The model", model_card(load_model(result.model))),
            Table("The recipe", settled(recipe.to_json())),
        ],
        notes=notes,
    ).write(path)


def _picture(overlay: Overlay) -> Picture:
    height, width = overlay.predicted.shape
    classes, kinds = np.zeros((height, width), np.uint8), []
    for name, mask in overlay_masks(overlay).items():
        kinds.append(Kind(name, OVERLAY[name]))
        classes[mask] = len(kinds)
    return Picture(
        overlay.title,
        height,
        width,
        photograph_of(overlay.image, overlay.valid),
        kinds,
        layer=layer_of(classes, kinds),
        blocks=[(w.col, w.row, w.width, w.height) for w in overlay.held_out],
    )


def _charts(epochs: Sequence[Epoch], losses: Sequence[float]) -> Iterator[Chart]:
    values = np.array(losses, float)
    steps = np.arange(1, len(values) + 1)
    mean = running_mean(values, len(values) // len(epochs))
    lines = {"mean over an epoch": mean, "each step": (steps, values)}
    loss = line_chart(
        lines,
        title="Loss of each step",
        x_name="step",
        y_name="cross entropy",
        faint=("each step",),
        logarithmic=True,
    )
    yield Chart("Loss", loss)
    numbers = np.array([row.epoch for row in epochs])
    scores = {
        NAMES.get(name, name): (numbers, np.array([100 * getattr(row, name) for row in epochs]))
        for name in SCORES
    }
    scores["F1 while it learnt"] = numbers, np.array([100 * row.train_f1 for row in epochs])
    title = f"{epochs[-1].scored_on.capitalize()} scores"
    drawing = line_chart(scores, title=title, x_name="epoch", y_name="%", limits=(0, 100))
    yield Chart(title, drawing)


def _scores(best: Epoch) -> Table:
    rows = [(NAMES.get(name, name), percent(getattr(best, name))) for name in SCORES]
    rows += [
        ("threshold", f"{best.threshold:.3g}"),
        ("expected calibration error", percent(best.ece)),
        ("loss", f"{best.loss:.4g}"),
    ]
    return Table(f"Scores after epoch {best.epoch}", rows)


def _plan(recipe: Recipe, sources: Sequence[LabelledScene], selection: Selection) -> Table:
    blocks = len(selection.held_out)
    steps = -(-len(selection.windows) // recipe.batch)
    rows = [
        (name, f"{source.scene.width:,} x {source.scene.height:,} pixels")
        for name, source in zip(names_of(sources), sources, strict=True)
    ]
    rows += [
        ("tiles", f"{len(selection.windows):,} of {selection.candidates:,}, {recipe.tile} pixels"),
        ("houses in them", f"{percent(selection.house_share)} of what is labelled"),
        ("kept for validation", f"{blocks} block(s)" if blocks else "nothing of these scenes"),
        ("scale", f"means of {recipe.scale} x {recipe.scale} pixels"),
        ("planned", f"{recipe.epochs} epochs of {steps:,} steps"),
    ]
    return Table("The plan", rows)
