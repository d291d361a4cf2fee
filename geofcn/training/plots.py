"""Plots of a training's loss, scores and overlay, drawn from plain arrays."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imsave
from matplotlib.patches import Patch

from geofcn.core.colours import FALSE_ALARM, FOUND, MISSED, NOT_LABELLED, hex_of
from geofcn.core.pixels import picture_of
from geofcn.io.files import write_whole

if TYPE_CHECKING:
    from geofcn.training.overlay import Overlay

COLOURS = {
    "precision": "#3b7dd8",
    "recall": "#e08a1e",
    "f1": "#c0392b",
    "accuracy": "#7f8c8d",
    "iou": "#2e9e6b",
}
NAMES = {"f1": "F1", "iou": "IoU"}
OVERLAY = {
    "hit": FOUND,
    "missed": MISSED,
    "false alarm": FALSE_ALARM,
    "found, not labelled": NOT_LABELLED,
}
TITLE_ROWS, LEGEND_ROWS = 28, 36


def loss_plot(losses: Sequence[float], epochs: int, path: Path) -> None:
    """Plot the loss of every iteration, with its running mean over an epoch, as a PNG.

    Parameters
    ----------
    losses : sequence of float
        Of every step.
    epochs : int
        In which they were taken.
    path : Path
        File to write.
    """
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    values = np.asarray(losses, float)
    steps = np.arange(1, len(values) + 1)
    axes.plot(steps, values, color="#b9c6d8", linewidth=0.6, label="each iteration")
    span = max(1, len(values) // max(1, epochs))
    means = np.convolve(values, np.full(span, 1 / span), mode="valid")
    axes.plot(steps[span - 1 :], means, color="#1f4e8c", linewidth=1.6, label="mean over an epoch")
    positive = values[values > 0]
    if len(positive):
        axes.set_yscale("log")
        axes.set_ylim(bottom=np.quantile(positive, 0.01) / 2)
    axes.set(xlabel="iteration", ylabel="weighted cross entropy", title="Training loss")
    axes.legend(frameon=False)
    axes.grid(alpha=0.25)
    _save(figure, path)


def scores_plot(history: Sequence[Mapping[str, Any]], path: Path, keeps_last: bool = False) -> None:
    """Plot the scores after every epoch, the F1 of the weights to use marked, as a PNG.

    The F1 while it learnt, on tiles as they were learnt from, is dashed.

    Parameters
    ----------
    history : sequence of mapping
        One row an epoch: its number `epoch`, and `precision`, `recall`, `f1`, `accuracy`, `iou`
        and `train_f1` as fractions of 1, NaN if undefined; and what they were `scored_on`.
    path : Path
        File to write.
    keeps_last : bool
        Whether the weights to use are the last ones, and not those with the best F1.
    """
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    epochs = [row["epoch"] for row in history]
    marker = "o" if len(history) < 3 else None
    for name, colour in COLOURS.items():
        scores = [100 * row[name] for row in history]
        width = 2.2 if name == "f1" else 1.3
        label = NAMES.get(name, name)
        axes.plot(epochs, scores, color=colour, linewidth=width, label=label, marker=marker)
    train_f1 = [100 * row["train_f1"] for row in history]
    axes.plot(
        epochs, train_f1, color=COLOURS["f1"], linestyle="--", linewidth=1, label="F1, learning"
    )
    f1 = np.array([row["f1"] for row in history], float)
    if np.isfinite(f1).any():
        best = len(f1) - 1 if keeps_last else int(np.nanargmax(f1))
        axes.axvline(epochs[best], color=COLOURS["f1"], linestyle=":", linewidth=1)
        axes.annotate(
            f"{'' if keeps_last else 'best '}F1 {100 * f1[best]:.2f}, epoch {epochs[best]}",
            (epochs[best], 2),
            xytext=(-6, 0),
            textcoords="offset points",
            ha="right" if best > len(history) / 2 else "left",
            color=COLOURS["f1"],
        )
    title = f"{history[-1]['scored_on'].capitalize()} scores"
    axes.set(xlabel="epoch", ylabel="%", ylim=(0, 101), title=title)
    axes.legend(frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 0.06))
    axes.grid(alpha=0.25)
    _save(figure, path)


def overlay_masks(overlay: Overlay) -> dict[str, np.ndarray]:
    """Where each class of OVERLAY is on an overlay, of those that there are: bool arrays."""
    predicted, houses, known = overlay.predicted, overlay.houses, overlay.known
    masks = {
        "hit": predicted & houses & known,
        "missed": ~predicted & houses & known,
        "false alarm": predicted & ~houses & known,
        "found, not labelled": predicted & ~known,
    }
    return {name: mask for name, mask in masks.items() if known.any() and mask.any()}


def overlay_plot(overlay: Overlay, path: Path) -> None:
    """Paint hits, misses and false alarms over the scene, as a PNG.

    A pixel of the arrays is one of the picture; a strip of TITLE_ROWS with the title is added
    above, one of LEGEND_ROWS with the legend below.

    Parameters
    ----------
    overlay : Overlay
        What to paint.
    path : Path
        File to write.
    """
    masks = overlay_masks(overlay)
    picture = picture_of(overlay.image, overlay.valid).astype(np.float32)
    for name, mask in masks.items():
        picture[mask] = 0.45 * picture[mask] + 0.55 * np.array(OVERLAY[name], np.float32)
    for window in overlay.held_out:
        _frame(picture[window.slices])
    width = picture.shape[1]
    handles = [Patch(color=hex_of(OVERLAY[name]), label=name) for name in masks]
    if overlay.held_out:
        handles.append(Patch(facecolor="white", edgecolor="black", label="kept for validation"))
    parts = [
        _strip(width, TITLE_ROWS, overlay.title, []),
        picture.astype(np.uint8),
        _strip(width, LEGEND_ROWS, "", handles),
    ]
    save_picture(np.concatenate(parts), path)


def _frame(block: np.ndarray) -> None:
    """Draw a white line with a black one inside along the border of a part of a picture."""
    for distance, grey in ((0, 255), (1, 255), (2, 0)):
        rows, cols = block.shape[:2]
        if min(rows, cols) > 2 * distance:
            inner = block[distance : rows - distance, distance : cols - distance]
            inner[[0, -1]] = grey
            inner[:, [0, -1]] = grey


def _strip(width: int, rows: int, title: str, handles: Sequence[Patch]) -> np.ndarray:
    """A white strip (rows, width, 3) with a title, or colours and names, cut to the width."""
    dpi = 100
    figure = Figure(figsize=(max(width, 420) / dpi, rows / dpi), dpi=dpi)
    figure.text(8 / max(width, 420), 0.5, title, va="center", fontsize=10, parse_math=False)
    if handles:
        figure.legend(handles=handles, loc="center left", ncols=5, frameon=False, fontsize=9)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:rows, :width, :3].copy()


def save_picture(picture: np.ndarray, path: Path) -> None:
    """Write a picture (rows, columns, 3) of uint8 as a PNG, in one step."""
    content = io.BytesIO()
    imsave(content, picture, format="png")
    write_whole(path, content.getvalue())


def _save(figure: Figure, path: Path) -> None:
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=120)
    write_whole(path, content.getvalue())
