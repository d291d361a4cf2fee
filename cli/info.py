"""geofcn info"""

from __future__ import annotations

import json

import click

from geofcn_cli import options


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.10g}"
    return "unknown" if value is None else str(value)


@click.command()
@click.argument("scene", type=options.PATH)
@click.option(
    "--model",
    type=options.PATH,
    metavar="FILE",
    help="Say also what this model is, and whether it fits the scene.",
)
@options.nodata
@options.as_json
@options.verb
def info(progress, scene, model, nodata, as_json):
    """Say what SCENE is: size, bands, place, resolution, blank share, layout."""
    from geofcn.inference.info import describe

    facts = describe(scene, model=model, nodata=nodata)
    if as_json:
        click.echo(json.dumps(facts))
        return
    for name, value in facts.items():
        click.echo(f"{name.replace('_', ' '):<22}{_shown(value)}")
