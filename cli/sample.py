"""geofcn sample"""

from __future__ import annotations

import click

from geofcn_cli import options


@click.command()
@click.argument("folder", metavar="DIR", type=options.PATH)
@click.option(
    "--size",
    type=click.IntRange(min=128),
    default=2048,
    show_default=True,
    metavar="PX",
    help="Pixels a side.",
)
@click.option("--seed", type=int, default=0, show_default=True, metavar="N", help="Which one.")
@options.overwrite
@options.verb
def sample(progress, folder, size, seed, overwrite):
    """Write a synthetic aerial scene into DIR: scene.tif, labels.tif and labels.gpkg."""
    from geofcn.synthetic.sample import write_sample

    for path in write_sample(folder, size, seed, overwrite=overwrite, progress=progress):
        click.echo(path)
