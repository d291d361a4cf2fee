"""What a training is about to do, in one line."""

from __future__ import annotations

from geofcn.core.windows import ceil_div
from geofcn.recipes import Recipe


def announcement(recipe: Recipe, resolution: float | None, tiles: int, done: int = 0) -> str:
    """Say what a training is about to do, or what is left of it.

    Parameters
    ----------
    recipe : Recipe
        With scale and epochs settled.
    resolution : float or None
        Metres on the ground of a pixel that `recipe.scale` counts; None: unknown.
    tiles : int
        Tiles that are learnt from in each epoch.
    done : int
        Steps that an earlier process has done.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from geofcn.recipes import DEFAULT
    >>> announcement(replace(DEFAULT, scale=2, epochs=40), 0.138, tiles=297)
    'training lite at scale 2, net pixels of 0.276 m, on 297 tiles of 256 px: 40 epochs, 760 steps'
    """
    ground = "" if resolution is None else f", net pixels of {resolution * recipe.scale:.3g} m,"
    steps = recipe.epochs * ceil_div(tiles, recipe.batch)
    left = f", {steps - done:,} of them left" if done else ""
    most = "at most " if recipe.patience else ""
    return (
        f"training {recipe.net} at scale {recipe.scale}{ground} on {_count(tiles, 'tile')} of "
        f"{recipe.tile} px: {most}{_count(recipe.epochs, 'epoch')}, {_count(steps, 'step')}{left}"
    )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
