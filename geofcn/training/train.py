"""Training: a scene and its labels in, a run's folder with models, history and pictures out."""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch

from geofcn import __version__
from geofcn.core.geodesy import ground_resolution
from geofcn.core.windows import ceil_div, round_up
from geofcn.errors import LabelsError, OutputError, UsageError
from geofcn.io.labels import Source, open_source
from geofcn.io.scene import absolute
from geofcn.models.device import pick_device
from geofcn.models.model import Card, Model, net_geometry
from geofcn.models.nets import make_net
from geofcn.progress import Progress, silent
from geofcn.recipes import Recipe, epochs_for, make_recipe, scale_for
from geofcn.runtime import give_back_freed_memory, keep_freed_memory
from geofcn.training.checkpoint import load_checkpoint
from geofcn.training.loader import Batches
from geofcn.training.overlay import _overlay
from geofcn.training.run import CHECKPOINT, Run, restore
from geofcn.training.sampling import Selection, held_out_blocks, select
from geofcn.training.state import Epoch, Standing
from geofcn.training.survey import Survey, load_survey, save_survey, survey
from geofcn.training.tensorboard import Journal, open_journal
from geofcn.training.tiles import Tiles
from geofcn.training.trainer import Learner, learning_rate
from geofcn.training.validation import Judge, _judge

# What a run keeps besides: the scenes' survey, for the next training on them.
SURVEY = "survey.npz"
CHECKPOINT_SECONDS = 30

log = logging.getLogger("geofcn")


def train(
    scene: str | os.PathLike,
    labels: str | os.PathLike,
    run: str | os.PathLike = "geofcn-run",
    *,
    others: Sequence[tuple[str | os.PathLike, str | os.PathLike]] = (),
    validate: tuple[str | os.PathLike, str | os.PathLike] | None = None,
    area: str | os.PathLike | None = None,
    recipe: str = "default",
    device: str = "auto",
    nodata: float | None = None,
    log_tensorboard: bool = False,
    overwrite: bool = False,
    progress: Progress = silent,
    **options,
) -> list[Epoch]:
    """Train a net on a scene and its labels; write models, history and plots into `run`.

    others           further (scene, labels) pairs to train on
    validate         a (scene, labels) pair to score on; default: what the recipe says
    area             polygons outside of which nothing is learnt or scored
    nodata           a pixel with this value in every band is blank, besides what the rasters
                     declare
    log_tensorboard  write loss and scores as TensorBoard events, too
    options          any field of config.Recipe, to override the recipe

    A training that was killed goes on where it was when it is started again, to the same weights,
    bit for bit. Returns the history. Raises a GeofcnError that says in one sentence what is wrong.
    """
    plan = make_recipe(recipe, options)
    if validate and options.get("validate_fraction"):
        raise UsageError("validation: give a scene to validate on or a fraction, not both.")
    target = pick_device(device)
    pairs = [(scene, labels), *others]
    sources = [open_source(*pair, nodata, area) for pair in pairs]
    judged = [open_source(*validate, nodata, area)] if validate else sources
    _refuse_unlike([*sources, *judged])
    plan = _with_scale(plan, sources[0], options.get("stride") is None)
    request = {
        "scene": absolute(scene),
        "labels": absolute(labels),
        "others": [[absolute(path) for path in pair] for pair in others],
        "validate": validate and [absolute(path) for path in validate],
        "area": area and absolute(area),
        "recipe": recipe,
        "device": device,
        "nodata": nodata,
        "log_tensorboard": log_tensorboard,
        **options,
    }
    kept = Run(Path(run), _fingerprint([*sources, *judged], plan, target), request)
    earlier = kept.unfinished(overwrite)

    tiles = Tiles(sources, plan.normalise == "image")
    surveyed = _surveyed(tiles, plan, kept.folder, progress)
    selection = _select(tiles, plan, surveyed, validate, progress)
    log.info("%d of %d tiles kept", len(selection.places), selection.candidates)
    plan = _with_class_weights(plan, selection.house_share)
    if plan.epochs == 0:
        plan = replace(plan, epochs=epochs_for(ceil_div(len(selection.places), plan.batch)))
        log.info("%d epochs", plan.epochs)
    learner = Learner(_untrained(sources, plan, target), plan)
    model = Model(learner.averaged, selection.normalisation, _card(sources, plan))
    standing = Standing() if earlier is None else restore(learner, earlier)
    if earlier is None:
        # Only now, when a training can start: an older run outlives a refusal.
        kept.empty()
        # From here on the folder tells an unfinished run from a finished one.
        kept.save(learner, standing)
    scored = tiles if judged is sources else Tiles(judged, plan.normalise == "image")
    judge = _judge(scored, selection.held_out, plan)
    with open_journal(kept.folder if log_tensorboard else None, len(standing.losses)) as journal:
        batches = Batches(
            tiles, selection.places, selection.normalisation, plan, selection.held_out
        )
        _fit(learner, model, batches, judge, standing, kept, journal, progress)
    tiles.forget()
    give_back_freed_memory()  # the overlay needs the room
    kept.plot(standing)
    _overlay(sources[0], kept.folder, progress)
    kept.finish()
    return standing.history


def resume(run: str | os.PathLike, progress: Progress = silent) -> list[Epoch]:
    """Go on with the unfinished training in `run`, as it was started.

    Raises OutputError where there is none.
    """
    if not Path(run).is_dir():
        raise OutputError(f"{run}: there is no such folder; give that of an unfinished training.")
    checkpoint = load_checkpoint(Path(run) / CHECKPOINT)
    if checkpoint is None:
        raise OutputError(f"{run}: it holds no unfinished training; give a scene and labels.")
    request = checkpoint.state["request"]
    return train(run=run, progress=progress, **request)


def _fingerprint(sources: Sequence[Source], plan: Recipe, device: torch.device) -> dict:
    """Everything that decides a weight, as JSON gives it back."""
    facts = {
        "geofcn": __version__,
        "torch": torch.__version__,
        "device": device.type,
        "sources": [_identity(source) for source in sources],
        "recipe": plan.to_json(),
    }
    return json.loads(json.dumps(facts, default=str))


def _identity(source: Source) -> list:
    """What changes when a scene or its labels do."""
    scene = source.scene
    return [absolute(scene.path), scene.identity, repr(scene.nodata), source.labels.identity]


def _surveyed(tiles: Tiles, plan: Recipe, folder: Path, progress: Progress) -> Survey:
    """The survey of the scenes: the one kept in `folder` if it is theirs, else made and kept."""
    key = json.dumps(
        [
            [_identity(source) for source in tiles.sources],
            [plan.tile, plan.stride, plan.normalise == "image"],
        ],
        default=str,
    )
    found = load_survey(folder / SURVEY, key)
    if found is None:
        found = survey(tiles, plan, progress)
        save_survey(folder / SURVEY, key, found)
    return found


def _select(
    tiles: Tiles,
    plan: Recipe,
    found: Survey,
    validate: tuple | None,
    progress: Progress,
) -> Selection:
    """The tiles to train on, and the windows kept for scores: none where the scene is too small."""
    if validate or not plan.validate_fraction:
        return select(tiles, plan, found, (), progress)
    held_out = held_out_blocks(tiles.sources, found, plan)
    if held_out:
        try:
            return select(tiles, plan, found, held_out, progress)
        except LabelsError as error:
            log.info("%s", error)
    log.warning(
        "%s: too small, or with too few houses, to keep a part for validation; it is scored on "
        "what it is trained on.",
        tiles.sources[0].scene.name,
    )
    return select(tiles, plan, found, (), progress)


def _untrained(sources: Sequence[Source], plan: Recipe, device: torch.device) -> torch.nn.Module:
    torch.manual_seed(plan.seed)
    net = make_net(plan.net, len(sources[0].scene.bands), plan.scale, plan.upsample)
    return net.to(device, memory_format=torch.channels_last)


def _refuse_unlike(sources: Sequence[Source]) -> None:
    """Raise UsageError unless all scenes have the same bands, in the same order, of one type."""
    first = sources[0].scene
    for source in sources[1:]:
        scene = source.scene
        if (scene.dtype, scene.colours) != (first.dtype, first.colours):
            raise UsageError(
                f"{scene.path}: its bands are {', '.join(scene.colours)} ({scene.dtype}), those of "
                f"{first.name} {', '.join(first.colours)} ({first.dtype}); train on scenes of one "
                "kind."
            )


def _with_scale(plan: Recipe, source: Source, free_stride: bool) -> Recipe:
    """Settle an `auto` scale, and check that tile and stride fit the net's total stride.

    free_stride  the stride was not asked for: it becomes one that fits
    """
    if plan.scale == 0:
        plan = replace(plan, scale=scale_for(ground_resolution(source.scene.grid)))
        log.info("scale %d", plan.scale)
    bands = len(source.scene.bands)
    stride = net_geometry(plan.net, bands, plan.scale, plan.upsample).stride
    if free_stride:
        plan = replace(plan, stride=min(plan.tile, round_up(plan.stride, stride)))
    for name in ("tile", "stride"):
        if getattr(plan, name) % stride:
            raise UsageError(
                f"{name} {getattr(plan, name)}: {plan.net} at scale {plan.scale} needs a multiple "
                f"of {stride}."
            )
    return plan


def _with_class_weights(plan: Recipe, house_share: float) -> Recipe:
    """Settle `auto` class weights: the square root of the ratio of background to houses."""
    if plan.class_weights is not None:
        return plan
    return replace(plan, class_weights=(1.0, round(math.sqrt(1 / house_share - 1), 3)))


def _card(sources: Sequence[Source], plan: Recipe) -> Card:
    scene = sources[0].scene
    return Card(
        net=plan.net,
        scale=plan.scale,
        upsample=plan.upsample,
        colours=scene.colours,
        dtype=scene.dtype,
        recipe=plan.to_json(),
        scenes=tuple(source.scene.name for source in sources),
        crs=scene.crs.to_wkt() if scene.crs else None,
        resolution=ground_resolution(scene.grid),
    )


def _fit(
    learner: Learner,
    model: Model,
    batches: Batches,
    judge: Judge,
    standing: Standing,
    run: Run,
    journal: Journal,
    progress: Progress,
) -> None:
    """Train to the end of the recipe; after each epoch score, and keep the best weights so far."""
    plan, steps = learner.plan, len(batches)
    keep_freed_memory()
    saved = time.monotonic()
    with progress("training", plan.epochs * len(batches.places), "tiles") as bar:
        bar.advance(min(plan.batch * len(standing.losses), plan.epochs * len(batches.places)))
        while not _finished(standing, plan):
            for batch in batches.epoch(standing.epoch, standing.step):
                done = learner.step(batch, standing.epoch, standing.step / steps)
                standing.step += 1
                standing.losses.append(done.loss)
                standing.seen += done.confusion
                journal.step(len(standing.losses), done.loss)
                bar.advance(len(batch.images), loss=done.loss, **_shown(standing))
                if time.monotonic() - saved > CHECKPOINT_SECONDS:
                    run.save(learner, standing)
                    saved = time.monotonic()
            rate = learning_rate(plan, standing.epoch, (steps - 1) / steps)
            verdict = judge(model)
            row = standing.end_epoch(rate, verdict.confusion, verdict.threshold, verdict.ece)
            journal.epoch(len(standing.losses), asdict(row))
            log.info(
                "epoch %d of %d: loss %.4f, F1 %.2f in training, %.2f in validation",
                row.epoch, plan.epochs, row.loss, 100 * row.train_f1, 100 * row.f1,
            )  # fmt: skip
            run.keep(model, standing.history)
    run.save(learner, standing)


def _shown(standing: Standing) -> dict[str, float]:
    return {"F1": standing.history[-1].f1} if standing.history else {}


def _finished(standing: Standing, plan: Recipe) -> bool:
    """Whether all epochs are done, or plan.patience of them in a row brought no better F1."""
    if standing.epoch > plan.epochs:
        return True
    return bool(plan.patience and standing.epochs_without_gain() >= plan.patience)
