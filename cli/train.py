"""The command `geofcn train`."""

from __future__ import annotations

from typing import Any

import click

import geofcn
from geofcn import defaults
from geofcn.progress import Progress
from geofcn.recipes import (
    ALIASES,
    AUGMENTS,
    CONTACTS,
    DEFAULT,
    EXERCISE,
    NETS,
    OTHER_NETS,
    RECIPES,
    SCALES,
    TEACH,
    UPSAMPLES,
    Recipe,
)
from geofcn_cli import options


class ClassWeights(click.ParamType):
    """BACKGROUND,HOUSE as two positive numbers, or auto."""

    name = "B,H|auto"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, float] | str:
        """What was typed as a value, or a usage error."""
        if value == "auto" or not isinstance(value, str):
            return value
        try:
            background, house = (float(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not two numbers with a comma, as in 1,6, nor auto.")
        if not (background > 0 and house > 0):
            self.fail(f"{value!r}: both weights must be above 0.")
        return background, house


class Scale(click.ParamType):
    """1, 2, 4, 8 or auto."""

    name = "|".join(map(str, [*SCALES, "auto"]))

    def convert(self, value: Any, param: Any, ctx: Any) -> int | str:
        """What was typed as a value, or a usage error."""
        if value not in self.name.split("|"):
            self.fail(f"{value!r} is none of {', '.join(map(str, SCALES))} and auto.")
        return str(value) if value == "auto" else int(value)


class RecipeName(click.Choice):
    """The recipes, also by the names they had once, which help does not show."""

    def __init__(self) -> None:
        super().__init__(list(RECIPES))

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """What was typed as a value, or a usage error."""
        return str(super().convert(ALIASES.get(value, value), param, ctx))


def _refuse_others() -> None:
    """Raise UsageError where something else that decides a training is given beside --resume."""
    harmless = {"unfinished", "epochs", "verbose", "quiet", "debug"}
    if any(map(options.is_given, click.get_current_context().params.keys() - harmless)):
        raise click.UsageError(
            "--resume goes on as the training was started; drop the rest, but for --epochs."
        )


def _defaults(name: str) -> str:
    """What the recipes set an option to, for its help."""
    default = _spoken(DEFAULT, name)
    others = [*OTHER_NETS.items(), ("exercise", EXERCISE), ("teach", TEACH)]
    told: dict[str, list[str]] = {}
    for other, recipe in others:
        value = _spoken(recipe, name)
        if value != default and not (name == "net" and other in OTHER_NETS):
            told.setdefault(value, []).append(other)
    differing = (f"; {', '.join(names)}: {value}" for value, names in told.items())
    return f"  [default: {default}{''.join(differing)}]"


def _spoken(recipe: Recipe, name: str) -> str:
    """The value of a recipe's field, as one would give it."""
    value = getattr(recipe, name)
    if name == "scale" and value == 0:
        return "auto"
    if name == "epochs" and value == 0:
        return f"{recipe.least_epochs}, more for small scenes"
    if name == "stride":
        return f"W/{recipe.tile // recipe.stride}"
    if isinstance(value, tuple):
        return ",".join(f"{part:g}" for part in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


@click.command()
@click.argument("scene", type=options.PATH, required=False)
@click.argument("labels", type=options.PATH, required=False)
@click.option(
    "--and",
    "and_",
    nargs=2,
    multiple=True,
    type=options.PATH,
    metavar="SCENE LABELS",
    help="A further scene and its labels; may be given several times.",
)
@click.option(
    "-o",
    "--output",
    type=options.PATH,
    default=defaults.RUN,
    show_default=True,
    metavar="RUN",
    help="Folder for models, history and plots.",
)
@click.option(
    "--from",
    "from_",
    type=options.PATH,
    metavar="MODEL",
    help="Start from this model: it is taught by the labels.",
)
@click.option(
    "--recipe",
    type=RecipeName(),
    help="Where the other options start from."
    f"  [default: {DEFAULT.name}; with --from: {TEACH.name}]",
)
@click.option(
    "--net",
    type=click.Choice(NETS),
    help="lite starts from ImageNet's weights, the others from random ones; unet is faster, fcnn "
    "and fcnn2 see a few pixels." + _defaults("net"),
)
@click.option(
    "--scale",
    type=Scale(),
    help="The net sees block means of this many pixels a side; auto: by the ground resolution."
    + _defaults("scale"),
)
@click.option(
    "--upsample",
    type=click.Choice(UPSAMPLES),
    help="How fcnn upsamples." + _defaults("upsample"),
)
@click.option(
    "--tile",
    type=click.IntRange(min=1),
    metavar="W",
    help="Side of a training tile, in pixels." + _defaults("tile"),
)
@click.option(
    "--stride",
    type=click.IntRange(min=1),
    metavar="S",
    help="From one training tile to the next, in pixels." + _defaults("stride"),
)
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Epochs." + _defaults("epochs"),
)
@click.option(
    "--batch",
    type=click.IntRange(min=1),
    metavar="N",
    help="Tiles a step." + _defaults("batch"),
)
@click.option(
    "--lr",
    type=click.FloatRange(min=0, min_open=True),
    help="Learning rate: rises, then falls along a cosine; by the exercise's recipe it is halved "
    f"every {EXERCISE.lr_halved_every} epochs." + _defaults("lr"),
)
@click.option(
    "--momentum",
    type=click.FloatRange(min=0, max=1, max_open=True),
    help="Of SGD; AdamW's first beta." + _defaults("momentum"),
)
@click.option(
    "--weight-decay",
    type=click.FloatRange(min=0),
    help="Weight decay; teach: towards the weights of --from." + _defaults("weight_decay"),
)
@click.option(
    "--class-weights",
    type=ClassWeights(),
    help="Weights of background and house in the loss; auto: from the share of houses."
    + _defaults("class_weights"),
)
@click.option(
    "--contacts",
    type=click.Choice(CONTACTS),
    help="Whether the net learns where houses meet, so that those that touch are told apart; auto: "
    "where the labels, as polygons, have enough of them." + _defaults("contacts"),
)
@click.option(
    "--augment",
    type=click.Choice(AUGMENTS),
    help="none: tiles as they are; moves: from places near by; all: turned, mirrored, in other "
    "size, light and colours as well." + _defaults("augment"),
)
@click.option(
    "--validate",
    nargs=2,
    type=options.PATH,
    metavar="SCENE LABELS",
    help="Score every epoch on this scene.",
)
@click.option(
    "--validate-fraction",
    type=click.FloatRange(min=0, max=1, max_open=True),
    metavar="F",
    help="Keep this share of the scenes from training, in blocks, to score on; 0: score on the "
    "scenes themselves." + _defaults("validate_fraction"),
)
@click.option(
    "--area",
    type=options.PATH,
    metavar="FILE",
    help="Polygons outside of which nothing is learnt or scored, on the scenes they touch.",
)
@options.layer
@options.where
@options.house_value
@options.shift_labels
@click.option(
    "--patience",
    type=click.IntRange(min=0),
    metavar="N",
    help="Stop after N epochs without a better validation F1; 0: never." + _defaults("patience"),
)
@click.option("--seed", type=int, metavar="N", help="Random seed." + _defaults("seed"))
@click.option(
    "--log-tensorboard", is_flag=True, help="Write TensorBoard events into RUN/tensorboard, too."
)
@click.option(
    "--resume",
    "unfinished",
    type=options.PATH,
    metavar="RUN",
    help="Go on with the unfinished training in RUN, as it was started; with --epochs N, which are "
    "more than it has, with a finished one, too. Give nothing else.",
)
@options.device
@options.bands
@options.nodata
@options.overwrite
@options.lasting_verb
def train(
    progress: Progress,
    scene: str | None,
    labels: str | None,
    unfinished: str | None,
    **given: Any,
) -> None:
    """Train on SCENE and LABELS; write models, history and plots into RUN.

    LABELS is a raster (0 background, another value house) or polygons in any format and CRS; what
    counts of them is said by --layer, --where and --house-value, or as QGIS does, for all labels:
    "FILE|layername=NAME|subset=SQL", and "FILE|house=V" for rasters.

    A training that was stopped goes on when the same command is run again, or with --resume.
    """
    if unfinished is not None:
        _refuse_others()
        options.report(geofcn.resume(unfinished, epochs=given["epochs"], progress=progress))
    elif scene is None or labels is None:
        raise click.UsageError("Give SCENE and LABELS, or --resume RUN.")
    else:
        options.report(geofcn.train(scene, labels, progress=progress, **given))
