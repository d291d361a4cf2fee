"""The command `geofcn infer`."""

from __future__ import annotations

import math
from typing import Any

import click

import geofcn
from geofcn import defaults
from geofcn.progress import Progress
from geofcn_cli import options


class CreationOption(click.ParamType):
    """NAME=VALUE, as GDAL's tools take it."""

    name = "NAME=VALUE"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """What was typed, with an upper-case name, or a usage error."""
        option, equals, setting = value.partition("=")
        if not (option and equals):
            self.fail(f"{value!r} is not NAME=VALUE, as in COMPRESS=ZSTD.")
        return f"{option.upper()}={setting}"


class Threshold(click.ParamType):
    """A probability from 0 to 1, or the word for one that is found from the scene or the model."""

    name = "P|scene|model"

    def convert(self, value: Any, param: Any, ctx: Any) -> float | str:
        """What was typed as a value, or a usage error."""
        if value in (defaults.SCENE_THRESHOLD, defaults.MODEL_THRESHOLD):
            return str(value)
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not 0 <= number <= 1:
            self.fail(f"{value!r} is neither a threshold from 0 to 1 nor `scene` or `model`.")
        return number


def _refuse_idle(polygons: str | None) -> None:
    """Raise UsageError for options that concern polygons where none are wanted."""
    idle = ("outline", "simplify", "min_area", "fill_holes")
    if not polygons and any(map(options.is_given, idle)):
        raise click.UsageError("Outlines and areas concern polygons; give --polygons FILE.")


@click.command()
@click.argument("scene", type=options.PATH)
@click.argument("mask", type=options.PATH, required=False)
@click.option(
    "--model",
    type=options.PATH,
    default=defaults.MODEL,
    show_default=True,
    metavar="FILE",
    help="The model, from `geofcn train`.",
)
@click.option(
    "--probability",
    type=options.PATH,
    metavar="FILE",
    help="Write the house probability too, as a GeoTIFF.",
)
@click.option(
    "--probability-dtype",
    type=click.Choice(defaults.PROBABILITY_DTYPES),
    default=defaults.PROBABILITY_DTYPES[0],
    show_default=True,
    help="uint8: 0-254 for 0-1, 255 blank; float32: NaN blank.",
)
@click.option(
    "--polygons",
    type=options.PATH,
    metavar="FILE",
    help="Write the footprints too (.gpkg, .geojson, .fgb, .parquet, .shp).",
)
@options.area
@options.report_page
@click.option(
    "--threshold",
    type=Threshold(),
    metavar="P|scene|model",
    help="A pixel is a house where its probability reaches P. scene: the P that suits this scene's "
    "share of houses; model: the one that suited the training's.  [default: scene; model where the "
    "model was not calibrated]",
)
@click.option(
    "--tile",
    type=click.IntRange(min=1),
    default=defaults.TILE,
    show_default=True,
    metavar="N",
    help="Pixels a task takes on along a row, rounded up to what exact tiling needs.",
)
@options.device
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Compute in N processes.  [default: in threads of one]",
)
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Compute on the dask.distributed cluster at this address (tcp://host:port), whose workers "
    "read SCENE by the same path.",
)
@click.option(
    "--verify",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="N",
    help="Compute N windows again with a far larger context and print what differs.",
)
@click.option(
    "--co",
    type=CreationOption(),
    multiple=True,
    metavar="NAME=VALUE",
    help="An option of GDAL's COG driver for the rasters; may be given several times.",
)
@options.outline
@options.simplify
@options.min_area
@options.fill_holes
@options.bands
@options.nodata
@options.allow_no_crs
@options.overwrite
@options.lasting_verb
def infer(
    progress: Progress, scene: str, mask: str | None, co: tuple[str, ...], **given: Any
) -> None:
    """Find the houses of SCENE with a trained model; write them to MASK.

    MASK is a GeoTIFF on the scene's grid: 0 background, 1 house, 255 blank; it can be left out
    where --polygons or --probability is given. The answer is that of one pass over the whole scene,
    whatever its size. A killed job goes on when it is started again.
    """
    _refuse_idle(given["polygons"])
    result = geofcn.infer(
        scene, mask, co=dict(option.split("=", 1) for option in co), progress=progress, **given
    )
    options.report(result, asked=result.verification)
