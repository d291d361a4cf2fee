"""geofcn evaluate"""

from __future__ import annotations

import json

import click

from geofcn_cli import options

NAMES = {"f1": "F1", "iou": "IoU"}


@click.command()
@click.argument("prediction", type=options.PATH)
@click.argument("labels", type=options.PATH)
@options.as_json
@options.verb
def evaluate(progress, prediction, labels, as_json):
    """Score PREDICTION (a mask) against LABELS (a raster or polygons), blank pixels left out."""
    from geofcn.evaluate import evaluate as score

    scores = score(prediction, labels, progress=progress)
    if as_json:
        # JSON knows no NaN: an undefined score is null.
        plain = {
            part: {name: None if value != value else value for name, value in values.items()}
            for part, values in scores.items()
        }
        click.echo(json.dumps(plain))
        return
    for part, values in scores.items():
        click.echo(part)
        for name, value in values.items():
            shown = "undefined" if value != value else f"{100 * value:6.2f} %"
            click.echo(f"  {NAMES.get(name, name):<10}{shown}")
