"""The `geofcn` command. Its verbs are imported when they are called for, so that help is quick."""

from __future__ import annotations

from importlib import import_module

import click

from geofcn import __version__

VERBS = ("sample", "info", "train", "infer", "polygonize", "review", "evaluate", "export")
COMMANDS = (*VERBS, "completion")


class Verbs(click.Group):
    """A group whose commands live in modules of their own name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all verbs, in the order of their use, and what is none."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a verb, from its module."""
        if cmd_name not in COMMANDS:
            return None
        return getattr(import_module(f"geofcn_cli.{cmd_name}"), cmd_name)


# By its name rasterio lists it among those of `rio`.
@click.command(
    "geofcn",
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="geofcn")
def main() -> None:
    """House polygons from aerial scenes of any size.

    \b
    geofcn train scene.tif labels.tif          a model, in geofcn-run/
    geofcn infer scene.tif mask.tif            a georeferenced mask
    geofcn polygonize mask.tif houses.gpkg     polygons for a GIS
    """  # noqa: D301
