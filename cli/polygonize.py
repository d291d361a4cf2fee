"""geofcn polygonize"""

from __future__ import annotations

import click

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
@click.option(
    "--value",
    type=float,
    metavar="V",
    help="The mask's value for houses.  [default: all but 0 and nodata]",
)
@options.outline
@options.simplify
@options.min_area
@options.fill_holes
@options.allow_no_crs
@options.overwrite
@options.verb
def polygonize(progress, mask, polygons, outline, tolerance, min_area, fill_holes, **given):
    """Turn the houses of MASK into footprints; write them to POLYGONS.

    The format follows the ending: .gpkg, .geojson, .fgb, .parquet or .shp; the layer is `houses`.
    """
    from geofcn.polygons.outline import Outline
    from geofcn.polygons.polygonize import polygonize as polygonize_mask

    count = polygonize_mask(
        mask,
        polygons,
        outline=Outline(outline, tolerance, min_area, fill_holes),
        progress=progress,
        **given,
    )
    click.echo(f"{polygons}: {count} polygons")
