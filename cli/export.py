"""The command `geofcn export`."""

from __future__ import annotations

from typing import Any

import click

import geofcn
from geofcn.progress import Progress
from geofcn_cli import options


@click.command()
@click.argument("model", type=options.PATH)
@click.argument("out", type=options.PATH)
@click.option(
    "--stac",
    type=options.PATH,
    metavar="FILE",
    help="Write a STAC item (.json) with the Machine Learning Model extension, too.",
)
@options.overwrite
@options.verb
def export(progress: Progress, model: str, out: str, **given: Any) -> None:
    """Write MODEL as ONNX to OUT (.onnx), for other programs such as QGIS's plugin Deepness.

    It takes tiles of one size, of values divided by 255, and gives house probabilities.
    """
    options.report(geofcn.export(model, out, **given))
