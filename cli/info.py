"""The command `geofcn info`."""

from __future__ import annotations

import json
from typing import Any

import click

import geofcn
from geofcn.progress import Progress
from geofcn_cli import options


@click.command()
@click.argument("scene", type=options.PATH)
@click.argument("labels", type=options.PATH, required=False)
@click.option(
    "--model",
    type=options.PATH,
    metavar="FILE",
    help="Say also what this model is, and what inference with it takes: time, memory, disk.",
)
@options.area
@options.layer
@options.where
@options.house_value
@options.bands
@options.nodata
@options.as_json
@options.verb
def info(progress: Progress, scene: str, labels: str | None, as_json: bool, **given: Any) -> None:
    """Say what SCENE is, and what is odd about it: a line each, that ends with what to do.

    With LABELS say also what these are, and what a training on them takes: time, memory, disk.
    """
    facts = geofcn.info(scene, labels, **given)
    if as_json:
        click.echo(json.dumps(facts.to_dict()))
    else:
        options.show(facts)
