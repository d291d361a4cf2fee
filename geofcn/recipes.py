"""Training recipes: every option that decides what a training does, and its defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from math import inf
from numbers import Real
from typing import Any

from geofcn.core.windows import ceil_div
from geofcn.errors import UsageError, whole_number

# The scale `auto` brings the ground resolution nearest to this (metres per pixel of the net).
NET_RESOLUTION = {"lite": 0.3, "unet": 0.7, "fcnn": 0.7, "fcnn2": 0.7}
# A wall in common is thin: where a net is to see it, its pixels are this share of that.
CONTACT_RESOLUTION = 0.5
SCALES = (1, 2, 4, 8)
NETS = ("lite", "unet", "fcnn", "fcnn2")
AUGMENTS = ("none", "moves", "all")
UPSAMPLES = ("nearest", "bilinear")
OPTIMIZERS = ("adamw", "sgd")
NORMALISATIONS = ("bands", "image")
CONTACTS = ("auto", "yes", "no")
# Of a weight in the loss: float32 computes with it.
LARGEST = 1e12
# What fields of a recipe may be: one of these words, a number, or a whole one from these up.
CHOICES = {
    "net": NETS,
    "augment": AUGMENTS,
    "upsample": UPSAMPLES,
    "optimizer": OPTIMIZERS,
    "normalise": NORMALISATIONS,
    "contacts": CONTACTS,
}
NUMBERS = ("validate_fraction", "averaging", "encoder_lr", "tilt", "lr", "momentum", "weight_decay")
LEAST = {
    "tile": 1,
    "stride": 1,
    "batch": 1,
    "epochs": 1,
    "least_epochs": 1,
    "least_steps": 1,
    "lr_halved_every": 0,
    "patience": 0,
    "seed": 0,
}


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a training does; stored in the model.

    Attributes
    ----------
    name : str
        Of the recipe it was made from.
    net : {"lite", "unet", "fcnn", "fcnn2"}
        The net, see `geofcn.models.nets`.
    scale : {0, 1, 2, 4, 8}
        Side of the pixel means that are the net's input, in pixels of the scene; 0 is `auto`, see
        `scale_for`.
    upsample : {"nearest", "bilinear"}
        How the net enlarges its features.
    tile, stride : int
        Side of a training tile, and steps from one to the next, in pixels of the scene.
    epochs : int
        How often the tiles are gone through; 0 is `auto`, see `epochs_for`.
    least_epochs, least_steps : int
        What `auto` epochs are at the least; small scenes have few tiles, and are seen more often.
    batch : int
        Tiles a step.
    optimizer : {"adamw", "sgd"}
        AdamW (Loshchilov and Hutter, 2019), or gradient descent with momentum.
    lr : float
        Learning rate, at its highest.
    encoder_lr : float
        Of that, the share that an encoder with pretrained weights learns at.
    lr_halved_every : int
        Epochs after which the learning rate is halved; 0: a cosine over the training, after a short
        warm-up.
    momentum : float
        Of gradient descent; AdamW's first beta.
    weight_decay : float
        As the optimiser takes it.
    class_weights : (float, float) or None
        Weights of background and house in the loss; None: from the labels' share of houses.
    normalise : {"bands", "image"}
        bands: each band's mean and deviation; image: the mean image of the tiles is subtracted.
    shuffle : bool
        Whether tiles come in a new order each epoch.
    augment : {"none", "moves", "all"}
        none: tiles as they are; moves: from places near by; all: turned, mirrored, in other size,
        light and colours as well.
    tilt : float
        Degrees by which tiles are turned at most, either way.
    validate_fraction : float
        Share of the scene that is kept from training, in blocks, 0 to below 1; 0: scored on the
        training tiles themselves.
    averaging : float
        The net to use is a running mean of the weights, which keeps this share of itself in a step,
        0 to below 1; 0: the weights of the last step.
    patience : int
        Epochs without a better F1 after which training ends early; 0: never.
    seed : int
        Of all random numbers.
    freeze_norms : bool
        Whether batch normalisation keeps the statistics that the net starts with: those of a few
        tiles are no good ones.
    decay_to_start : bool
        Whether weights decay towards those that the training starts from, and not towards 0
        (L2-SP: Li, Grandvalet and Davoine, ICML 2018).
    resolution : float or None
        Metres on the ground that a tile's pixel is wide, whatever the scenes'; None: as in the
        first scene.
    contacts : {"auto", "yes", "no"}
        Whether the net learns where houses meet, so that those that touch are told apart; auto:
        where the labels have enough of them.
    """

    name: str
    net: str
    scale: int
    upsample: str
    tile: int
    stride: int
    epochs: int
    batch: int
    optimizer: str
    lr: float
    lr_halved_every: int
    momentum: float
    weight_decay: float
    class_weights: tuple[float, float] | None
    normalise: str
    shuffle: bool
    augment: str
    validate_fraction: float
    averaging: float
    patience: int
    seed: int
    least_epochs: int = 80
    least_steps: int = 1500
    encoder_lr: float = 1.0
    tilt: float = 45.0
    freeze_norms: bool = False
    decay_to_start: bool = False
    resolution: float | None = None
    contacts: str = "no"

    def to_json(self) -> dict[str, Any]:
        """Every option by name, as plain JSON types: as kept in the model file."""
        plain = asdict(self)
        if self.contacts == "no":
            del plain["contacts"]  # as it was before there were any
        if self.class_weights is not None:
            plain["class_weights"] = list(self.class_weights)
        return plain


EXERCISE = Recipe(
    name="exercise",
    net="fcnn2",
    scale=1,
    upsample="nearest",
    tile=128,
    stride=64,
    epochs=200,
    batch=1,
    optimizer="sgd",
    lr=1e-4,
    lr_halved_every=40,
    momentum=0.9,
    weight_decay=5e-3,
    class_weights=(1.0, 6.0),
    normalise="image",
    shuffle=False,
    augment="none",
    validate_fraction=0.0,
    averaging=0.0,
    patience=0,
    seed=1984,
)

DEFAULT = Recipe(
    name="default",
    net="lite",
    scale=0,
    upsample="nearest",
    tile=256,
    stride=128,
    epochs=0,
    least_epochs=24,
    least_steps=750,
    batch=16,
    optimizer="adamw",
    lr=3e-3,
    encoder_lr=0.25,
    lr_halved_every=0,
    momentum=0.9,
    weight_decay=1e-2,
    class_weights=(1.0, 2.0),
    normalise="bands",
    shuffle=True,
    augment="all",
    tilt=90.0,
    validate_fraction=0.1,
    averaging=0.998,
    patience=0,
    seed=1984,
    contacts="auto",
)

# What the default recipe does otherwise for the nets that start from random weights. Turned
# further, the sun would shine from where it never does: which side of a roof is lit, and where its
# shadow falls, is much of what tells it to them. The exercise's have some 10,000 weights: nothing
# is spent on other angles, light and sizes.
UNET = replace(
    DEFAULT, net="unet", lr=4e-3, encoder_lr=1.0, least_epochs=80, least_steps=1500, tilt=45.0
)
OTHER_NETS = {
    "unet": UNET,
    "fcnn": replace(UNET, net="fcnn", augment="moves", batch=8, lr=8e-3),
    "fcnn2": replace(UNET, net="fcnn2", augment="moves", batch=8, lr=8e-3),
}

# A model learns from some labels of a new place, and is to forget nothing: small steps that stay
# near its weights. Labels are few and all learnt from: none are held out.
TEACH = replace(
    DEFAULT,
    name="teach",
    least_epochs=15,
    least_steps=300,
    batch=8,
    lr=1e-3,
    weight_decay=300.0,
    validate_fraction=0.0,
    freeze_norms=True,
    decay_to_start=True,
)

RECIPES = {"default": DEFAULT, "exercise": EXERCISE, "teach": TEACH}
# The name that "exercise" had in the first version.
ALIASES = {"seed": "exercise"}


def make_recipe(name: str, overrides: Mapping[str, Any]) -> Recipe:
    """A recipe with some of its options set otherwise.

    Parameters
    ----------
    name : str
        Of RECIPES, or of ALIASES.
    overrides : dict
        Values by the names of `Recipe`; None: as in the recipe. `scale` and `class_weights` may be
        "auto". A new `tile` without a `stride` keeps the recipe's ratio of the two.

    Raises
    ------
    UsageError
        For an unknown recipe or option, or a value that cannot be.

    Examples
    --------
    >>> recipe = make_recipe("default", {"tile": 128, "epochs": None})
    >>> recipe.tile, recipe.stride, recipe.epochs
    (128, 64, 0)
    >>> make_recipe("default", {"lr": 0})
    Traceback (most recent call last):
    geofcn.errors.UsageError: learning rate 0: give a number above 0.
    """
    name = ALIASES.get(name, name)
    if name not in RECIPES:
        raise UsageError(f"recipe {name}: there is none; choose one of {', '.join(RECIPES)}.")
    base = RECIPES[name]
    if name == "default":
        base = OTHER_NETS.get(overrides.get("net", ""), base)
    if name == "teach" and overrides.get("net", "") in OTHER_NETS:
        other = OTHER_NETS[overrides["net"]]
        base = replace(base, augment=other.augment, tilt=other.tilt, encoder_lr=other.encoder_lr)
    known = {field.name for field in fields(Recipe)}
    options = {key: value for key, value in overrides.items() if value is not None}
    if unknown := options.keys() - known:
        raise UsageError(f"option {sorted(unknown)[0]}: training takes no such option.")
    for name in sorted(LEAST.keys() & options.keys()):
        options[name] = whole_number(name, options[name], LEAST[name])
    if "tile" in options and "stride" not in options:
        options["stride"] = max(1, options["tile"] * base.stride // base.tile)
    # `auto` is a value like any other; None means "not given" and cannot stand for it.
    if options.get("class_weights") == "auto":
        options["class_weights"] = None
    if options.get("scale") == "auto":
        options["scale"] = 0
    recipe = replace(base, **options)
    _check(recipe)
    return recipe


def _check(recipe: Recipe) -> None:
    if recipe.scale not in (0, *SCALES):
        raise UsageError(f"scale {recipe.scale}: choose 1, 2, 4, 8 or auto.")
    for name, choices in CHOICES.items():
        if getattr(recipe, name) not in choices:
            raise UsageError(f"{name} {getattr(recipe, name)}: choose {' or '.join(choices)}.")
    for name in NUMBERS:
        if not _is_number(getattr(recipe, name)):
            raise UsageError(f"{name} {getattr(recipe, name)!r}: give a number.")
    if recipe.stride > recipe.tile:
        raise UsageError(
            f"stride {recipe.stride}: it is larger than the tile ({recipe.tile}), so pixels would "
            "be left out; give at most the tile's size."
        )
    if not 0 <= recipe.validate_fraction < 1:
        raise UsageError(
            f"validation fraction {recipe.validate_fraction}: give one from 0 to below 1."
        )
    if not 0 <= recipe.averaging < 1:
        raise UsageError(f"averaging {recipe.averaging}: give a number from 0 to below 1.")
    if not 0 <= recipe.encoder_lr < inf:
        raise UsageError(f"encoder_lr {recipe.encoder_lr}: give a number from 0 up.")
    if not 0 <= recipe.tilt <= 180:
        raise UsageError(f"tilt {recipe.tilt}: give degrees from 0 to 180.")
    if not 0 < recipe.lr < inf:
        raise UsageError(f"learning rate {recipe.lr}: give a number above 0.")
    if not 0 <= recipe.momentum < 1:
        raise UsageError(f"momentum {recipe.momentum}: give a number from 0 to below 1.")
    if not 0 <= recipe.weight_decay < inf:
        raise UsageError(f"weight decay {recipe.weight_decay}: give a number from 0 up.")
    if recipe.seed >= 2**63:
        raise UsageError(f"seed {recipe.seed}: give a whole number from 0 to 2**63 - 1.")
    _check_class_weights(recipe.class_weights)


def _is_number(value: object) -> bool:
    """Whether a value is a number, which from Python it need not be."""
    return isinstance(value, Real)


def _check_class_weights(weights: tuple[float, float] | None) -> None:
    if weights is not None and not (
        len(weights) == 2 and all(_is_number(w) and 0 < w < LARGEST for w in weights)
    ):
        raise UsageError(
            f"class weights {weights}: give two numbers above 0, background and house, or auto."
        )


def epochs_for(recipe: Recipe, steps: int) -> int:
    """How many epochs `auto` is: as many as make `least_steps`, but at least `least_epochs`.

    Parameters
    ----------
    recipe : Recipe
        What is at least made.
    steps : int
        Of an epoch.

    Examples
    --------
    >>> epochs_for(UNET, 10), epochs_for(UNET, 1000), epochs_for(TEACH, 10)
    (150, 80, 30)
    """
    return max(recipe.least_epochs, ceil_div(recipe.least_steps, steps))


def scale_for(net: str, ground_resolution: float | None, contacts: bool = False) -> int:
    """The scale that `auto` is: its net pixel is nearest to NET_RESOLUTION on the ground, by ratio.

    Parameters
    ----------
    net : str
        Name of the net.
    ground_resolution : float or None
        Metres per pixel of the scene; None where it is unknown: the scale is 1.
    contacts : bool
        Whether the net is to tell where houses meet: then its pixels are as much smaller as
        CONTACT_RESOLUTION says.

    Examples
    --------
    >>> scale_for("unet", 0.2), scale_for("lite", 0.2), scale_for("unet", None)
    (4, 2, 1)
    >>> scale_for("lite", 0.2, contacts=True)
    1
    """
    if ground_resolution is None:
        return 1
    wanted = NET_RESOLUTION[net] * (CONTACT_RESOLUTION if contacts else 1)
    return min(SCALES, key=lambda scale: _ratio(scale * ground_resolution / wanted))


def _ratio(value: float) -> float:
    return max(value, 1 / value)
