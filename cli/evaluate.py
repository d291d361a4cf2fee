"""The command `geofcn evaluate`."""

from __future__ import annotations

import json
from math import isnan
from typing import Any

import click

import geofcn
from geofcn import defaults
from geofcn.progress import Progress
from geofcn_cli import options


@click.command()
@click.argument("prediction", type=options.PATH)
@click.argument("labels", type=options.PATH)
@click.option(
    "--iou",
    type=click.FloatRange(min=0, max=1, min_open=True),
    default=defaults.IOU,
    show_default=True,
    metavar="SHARE",
    help="Intersection over union from which two polygons are the same house.",
)
@options.min_area_of_both
@click.option(
    "--area",
    type=options.PATH,
    metavar="FILE",
    help="Polygons outside of which nothing counts: no pixel, and no house whose representative "
    "point lies outside.",
)
@click.option(
    "--matches",
    type=options.PATH,
    metavar="FILE",
    help="Write the polygons of both sides with their outcome (tp, fp, fn), grouping (merged, "
    "split), and how many of the other side lie in them by more than half (holds).",
)
@options.report_page
@click.option(
    "--scene",
    type=options.PATH,
    metavar="FILE",
    help="What the page of --report shows below the houses.",
)
@options.layer
@options.where
@options.house_value
@options.instances
@options.overwrite
@options.as_json
@options.verb
def evaluate(progress: Progress, prediction: str, labels: str, as_json: bool, **given: Any) -> None:
    """Score PREDICTION against LABELS: pixel by pixel, and house by house.

    Each is a raster (.tif, .tiff, .vrt, .png, .jp2, .img, .jpg) or polygons of any format and CRS;
    what counts of it may be said as in "FILE|layername=NAME|subset=SQL", "FILE|house=V" and
    "FILE|instances". Between two files of polygons no pixels are scored.

    A raster's houses are polygons along its pixels. A predicted polygon is right (TP) when it
    overlaps a true one by --iou or more, each true one counting once; the others are false alarms
    (FP), the true ones not found are missed (FN). What is blank, or off a raster, does not count.

    A prediction is merged when several true houses lie in it, each by more than half of itself; a
    true house is split when several predictions do. PQ is the panoptic quality, SQ x RQ.
    """
    scores = geofcn.evaluate(prediction, labels, progress=progress, **given)
    if as_json:
        click.echo(json.dumps(_without_nan(scores.to_dict())))
    else:
        options.show(scores)


def _without_nan(value: Any) -> Any:
    """`value` for JSON, which knows no NaN: what is undefined is null."""
    if isinstance(value, dict):
        return {name: _without_nan(item) for name, item in value.items()}
    return None if isinstance(value, float) and isnan(value) else value
