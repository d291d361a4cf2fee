"""Estimate what a training by the default recipe will take, from a sample of its tiles."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from itertools import cycle, islice

import numpy as np
import torch

from geofcn.core.pixels import Normalisation, houses_and_known, is_kept, nonblank_values
from geofcn.core.windows import Window, ceil_div, training_windows
from geofcn.errors import LabelsError
from geofcn.io.gdal import CACHE_BYTES as GDAL_CACHE_BYTES
from geofcn.io.labels import LabelledScene
from geofcn.models.model import Model, ModelMetadata
from geofcn.models.nets import make_net
from geofcn.models.predictor import Predictor, compute_window_side
from geofcn.recipes import DEFAULT, Recipe, epochs_for
from geofcn.runtime import peak_memory
from geofcn.training.contacts import with_contacts
from geofcn.training.loader import BatchLoader
from geofcn.training.sampling import PART_TILES
from geofcn.training.settings import with_scale
from geofcn.training.tiles import CACHE_BYTES, SourceWindow, TileCache
from geofcn.training.trainer import Trainer

# Candidates that are looked at.
SAMPLED_TILES = 128
# Copies of the weights in a run's folder, at the peak: three models, and of the unfinished
# training's net, mean and two moments, while they are written anew. And its plots.
COPIES, PLOT_BYTES = 11, 4 * 2**20


@dataclass(frozen=True)
class TrainingEstimate:
    """What a training on a scene and its labels by the default recipe will take.

    Attributes
    ----------
    net : str
        The net.
    scale : int
        Side of the pixel means that are its input, in pixels of the scene.
    tiles, epochs, steps : int
        Tiles to learn from, from a sample; how often each is learnt from; steps of all epochs.
    core_minutes : float
        Of one core of this machine, from a step and a compute window that were timed, for the steps
        and for the scores after each epoch.
    memory_mb : float
        What the process will hold, in units of 2**20 bytes.
    run_folder_mb : float
        What its folder will take at the most, in units of 2**20 bytes.
    """

    net: str
    scale: int
    tiles: int
    epochs: int
    steps: int
    core_minutes: float
    memory_mb: float
    run_folder_mb: float


def estimate_training(source: LabelledScene) -> TrainingEstimate:
    """What a training by the default recipe will take on this machine's processors.

    Raises
    ------
    LabelsError
        Where no sampled tile can be learnt from.
    SceneError
        Where the scene cannot be read.
    """
    recipe = with_scale(with_contacts(DEFAULT, [source]), source, free_stride=True)
    tiles = TileCache([source])
    candidates = list(
        training_windows(source.scene.height, source.scene.width, recipe.tile, recipe.stride)
    )
    sampled = candidates[:: ceil_div(len(candidates), SAMPLED_TILES)]
    kept = [window for window in sampled if _is_learnt_from(tiles, window)]
    if not kept:
        raise LabelsError(
            f"{source.labels.path}: no tile of a sample is both labelled and not blank; check that "
            "labels and scene overlap."
        )
    height, width = source.scene.window.shape
    held_out, lost = _held_out_shares(height, width, recipe)
    count = max(1, round(len(candidates) * len(kept) / len(sampled) * (1 - lost)))
    steps = ceil_div(count, recipe.batch)
    epochs = epochs_for(recipe, steps)
    bands, contacts = len(source.scene.bands), recipe.contacts == "yes"
    net = make_net(recipe.net, bands, recipe.scale, recipe.upsample, contacts)
    timed = replace(recipe, batch=ceil_div(count, steps), epochs=1)
    seconds = steps * _seconds_of_a_step(tiles, kept, net, timed)
    # Without a part that is held out all of the scene is scored.
    scored = (held_out or 1) * source.scene.window.pixels
    seconds += scored * _seconds_of_a_pixel(source, net, recipe)
    weights = sum(tensor.numel() * tensor.element_size() for tensor in net.state_dict().values())
    return TrainingEstimate(
        net=recipe.net,
        scale=recipe.scale,
        tiles=count,
        epochs=epochs,
        steps=epochs * steps,
        core_minutes=epochs * seconds / 60,
        memory_mb=(peak_memory() + min(CACHE_BYTES, tiles.total_bytes()) + GDAL_CACHE_BYTES)
        / 2**20,
        run_folder_mb=(COPIES * weights + PLOT_BYTES) / 2**20,
    )


def _is_learnt_from(tiles: TileCache, window: Window) -> bool:
    """Whether the sampling of a training keeps a tile."""
    tile = tiles.read(SourceWindow(0, window))
    houses, known = houses_and_known(tile.labels)
    values = int(nonblank_values(tile.image, tile.valid).sum())
    return bool(known.any()) and is_kept(values, tile.image.size, int(houses.sum()))


def _held_out_shares(height: int, width: int, recipe: Recipe) -> tuple[float, float]:
    """Of a scene, about what is kept for validation, and what training loses with the gap to it."""
    held_out = lost = 1.0
    for length in (height, width):
        part = min(length, PART_TILES * recipe.tile)
        side = max(1, round(part * recipe.validate_fraction**0.5 / recipe.tile)) * recipe.tile
        if side >= part:
            return 0.0, 0.0
        held_out, lost = held_out * side / part, lost * min(1.0, (side + recipe.tile) / part)
    # Where nothing would be left to learn from, nothing is held out.
    return (held_out, lost) if lost < 1 else (0.0, 0.0)


def _seconds_of_a_step(
    tiles: TileCache, windows: list[Window], net: torch.nn.Module, recipe: Recipe
) -> float:
    """Processor seconds of a step, with the preparation of its batch; the first one warms up."""
    of_two_steps = [SourceWindow(0, window) for window in islice(cycle(windows), 2 * recipe.batch)]
    bands = len(tiles.sources[0].scene.bands)
    batches = BatchLoader(tiles, of_two_steps, _plain_normalisation(bands), recipe)
    # The stubs know memory_format with a tensor only.
    placed = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    trainer = Trainer(placed, recipe)
    start = end = time.process_time()
    for number, batch in enumerate(batches.epoch(1, 0)):
        trainer.step(batch, 1, number / 2)
        start, end = end, time.process_time()
    return end - start


def _seconds_of_a_pixel(source: LabelledScene, net: torch.nn.Module, recipe: Recipe) -> float:
    """Processor seconds for the score of a pixel after an epoch."""
    scene = source.scene
    metadata = ModelMetadata(recipe.net, recipe.scale, recipe.upsample, scene.colours, scene.dtype)
    model = Model(net.eval(), _plain_normalisation(len(scene.bands)), metadata)
    side = compute_window_side(model)
    window = Window(0, 0, side, side).clip(scene.height, scene.width)
    predictor = Predictor(model)
    start = time.process_time()
    predictor.window(scene, window)
    return (time.process_time() - start) / window.pixels


def _plain_normalisation(bands: int) -> Normalisation:
    return Normalisation(np.zeros((bands, 1, 1), np.float32), np.full(bands, 100, np.float32))
