"""The command `geofcn polygonize`."""

from __future__ import annotations

from typing import Any

import click

import geofcn
from geofcn.progress import Progress
from geofcn_cli import options


@click.command()
@click.argument("mask", type=options.PATH)
@click.argument("polygons", type=options.PATH)
@click.option(
    "--probability",
    type=options.PATH,
    metavar="FILE",
    help="uint8 probabilities on the mask's grid, for the column `score`.",
)
@options.house_value
@options.instances
@options.outline
@options.simplify
@options.min_area
@options.fill_holes
@options.allow_no_crs
@options.overwrite
@options.verb
def polygonize(progress: Progress, mask: str, polygons: str, **given: Any) -> None:
    """Turn the houses of MASK into footprints; write them to POLYGONS.

    The format follows the ending: .gpkg, .geojson, .fgb, .parquet or .shp; the layer is `houses`.
    """
    options.report(geofcn.polygonize(mask, polygons, progress=progress, **given))
