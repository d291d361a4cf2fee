"""The command `geofcn review`."""

from __future__ import annotations

from typing import Any

import click

import geofcn
from geofcn import defaults
from geofcn.progress import Progress
from geofcn_cli import options


@click.command()
@click.argument("probability", type=options.PATH)
@click.argument("boxes", type=options.PATH)
@click.option(
    "--count",
    type=click.IntRange(min=1),
    default=defaults.REVIEWED,
    show_default=True,
    metavar="N",
    help="Boxes, at the most.",
)
@click.option(
    "--size",
    type=click.FloatRange(min=0, min_open=True),
    default=defaults.BOX_SIZE,
    show_default=True,
    metavar="M",
    help="Side of a box, in metres on the ground.",
)
@click.option(
    "--map",
    "map_",
    type=options.PATH,
    metavar="FILE",
    help="A map of houses, maybe an old one, a raster or polygons: boxes where the model "
    "contradicts it come first.",
)
@click.option(
    "--report",
    nargs=2,
    type=options.PATH,
    metavar="SCENE PAGE",
    help="Write a page (.html) with a picture of each box in SCENE.",
)
@options.allow_no_crs
@options.overwrite
@options.verb
def review(progress: Progress, probability: str, boxes: str, **given: Any) -> None:
    """Find where a label would teach a model most; write these places, as boxes, to BOXES.

    PROBABILITY is what `geofcn infer --probability` wrote. The boxes are those with the most pixels
    that are expected to be wrong. Label all houses in some of them, and teach the model by
    `geofcn train SCENE LABELS --area BOXES --from MODEL`.
    """
    options.show(geofcn.review(probability, boxes, progress=progress, **given))
