"""The command `geofcn sample`."""

from __future__ import annotations

from typing import Any

import click

import geofcn
from geofcn import defaults
from geofcn.progress import Progress
from geofcn_cli import options


@click.command()
@click.argument("folder", metavar="DIR", type=options.PATH)
@click.option(
    "--size",
    type=click.IntRange(min=defaults.LEAST_SAMPLE_SIZE),
    default=defaults.SAMPLE_SIZE,
    show_default=True,
    metavar="PX",
    help="Pixels a side.",
)
@click.option("--seed", type=int, default=0, show_default=True, metavar="N", help="Which one.")
@click.option("--dense", is_flag=True, help="A town, its houses wall to wall, instead of villages.")
@options.overwrite
@options.verb
def sample(progress: Progress, folder: str, **given: Any) -> None:
    """Write a synthetic aerial scene into DIR: scene.tif, labels.tif and labels.gpkg."""
    options.report(geofcn.sample(folder, progress=progress, **given))
