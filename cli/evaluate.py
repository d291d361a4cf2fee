"""geofcn evaluate"""

from __future__ import annotations

import json

import click

from geofcn_cli import options

NAMES = {"f1": "F1", "iou": "IoU", "mean_iou": "mean IoU", "polis_m": "PoLiS"}
COUNTS = ("tp", "fp", "fn")


@click.command()
@click.argument("prediction", type=options.PATH)
@click.argument("labels", type=options.PATH)
@click.option(
    "--iou",
    type=click.FloatRange(min=0, max=1, min_open=True),
    default=0.5,
    show_default=True,
    metavar="SHARE",
    help="Intersection over union from which two polygons are the same house.",
)
@options.min_area
@click.option(
    "--matches",
    type=options.PATH,
    metavar="FILE",
    help="Write the polygons of both sides with their outcome (tp, fp, fn).",
)
@options.overwrite
@options.as_json
@options.verb
def evaluate(progress, prediction, labels, as_json, **given):
    """Score PREDICTION against LABELS: pixel by pixel, and house by house.

    Each is a raster (.tif, .tiff, .vrt, .png, .jp2, .img) or polygons of any format and CRS.
    Between two files of polygons no pixels are scored.

    A raster's houses are polygons along its pixels. A predicted polygon is right (TP) when it
    overlaps a true one by --iou or more, each true one counting once; the others are false alarms
    (FP), the true ones not found are missed (FN). What is blank, or off a raster, does not count.
    """
    from geofcn.evaluation.evaluate import evaluate as score

    scores = score(prediction, labels, progress=progress, **given)
    if as_json:
        click.echo(json.dumps(_without_nan(scores)))
        return
    for part, values in scores.items():
        if values is not None:
            click.echo(part)
            for name, value in values.items():
                if name not in (*COUNTS, "by_size"):
                    click.echo(f"  {NAMES.get(name, name):<10}{_shown(name, value)}")
    _show_counts(scores["objects"])


def _without_nan(value: object) -> object:
    """`value` for JSON, which knows no NaN: what is undefined is null."""
    if isinstance(value, dict):
        return {name: _without_nan(item) for name, item in value.items()}
    return None if value != value else value


def _shown(name: str, value: float) -> str:
    if value != value:
        return "undefined"
    return f"{value:6.2f} m" if name == "polis_m" else f"{100 * value:6.2f} %"


def _show_counts(objects: dict) -> None:
    """A table of TP, FP and FN: all, and by size class."""
    from geofcn.evaluation.object_scores import SIZES

    click.echo("  " + " " * 16 + "".join(f"{name.upper():>9}" for name in COUNTS))
    names = {}
    for size, below in SIZES.items():
        names[size] = size if below == float("inf") else f"{size} < {below:g} m2"
    rows = {"all": objects, **{names[size]: row for size, row in objects["by_size"].items()}}
    for name, row in rows.items():
        click.echo(f"  {name:<16}" + "".join(f"{row[count]:>9,}" for count in COUNTS))
