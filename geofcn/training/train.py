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
from geofcn.io.labels import LabelledScene, open_labelled_scene
from geofcn.io.scene import absolute
from geofcn.models.device import pick_device
from geofcn.models.model import Model, ModelMetadata, net_geometry
from geofcn.models.nets import make_net
from geofcn.progress import Progress, silent
from geofcn.recipes import Recipe, epochs_for, make_recipe, scale_for
from geofcn.runtime import give_back_freed_memory, keep_freed_memory
from geofcn.training.checkpoint import load_checkpoint
from geofcn.training.loader import BatchLoader
from geofcn.training.overlay import write_overlay
from geofcn.training.run import CHECKPOINT, Run, restore
from geofcn.training.sampling import Selection, held_out_blocks, select
from geofcn.training.state import Epoch, TrainingState
from geofcn.training.survey import Survey, load_survey, save_survey, survey
from geofcn.training.tensorboard import EventWriter, open_event_writer
from geofcn.training.tiles import TileCache
from geofcn.training.trainer import Trainer, learning_rate
from geofcn.training.validation import Validator, make_validator

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
    sources = [open_labelled_scene(*pair, nodata, area) for pair in pairs]
    judged = [open_labelled_scene(*validate, nodata, area)] if validate else sources
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

    tiles = TileCache(sources, plan.normalise == "image")
    surveyed = _surveyed(tiles, plan, kept.folder, progress)
    selection = _select(tiles, plan, surveyed, validate, progress)
    log.info("%d of %d tiles kept", len(selection.places), selection.candidates)
    plan = _with_class_weights(plan, selection.house_share)
    if plan.epochs == 0:
        plan = replace(plan, epochs=epochs_for(ceil_div(len(selection.places), plan.batch)))
        log.info("%d epochs", plan.epochs)
    trainer = Trainer(_untrained(sources, plan, target), plan)
    model = Model(trainer.averaged, selection.normalisation, _metadata(sources, plan))
    state = TrainingState() if earlier is None else restore(trainer, earlier)
    if earlier is None:
        # Only now, when a training can start: an older run outlives a refusal.
        kept.empty()
        # From here on the folder tells an unfinished run from a finished one.
        kept.save(trainer, state)
    scored = tiles if judged is sources else TileCache(judged, plan.normalise == "image")
    validate_model = make_validator(scored, selection.held_out, plan)
    with open_event_writer(kept.folder if log_tensorboard else None, len(state.losses)) as events:
        batches = BatchLoader(
            tiles, selection.places, selection.normalisation, plan, selection.held_out
        )
        _fit(trainer, model, batches, validate_model, state, kept, events, progress)
    tiles.forget()
    give_back_freed_memory()  # the overlay needs the room
    kept.plot(state)
    write_overlay(sources[0], kept.folder, progress)
    kept.finish()
    return state.history


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


def _fingerprint(sources: Sequence[LabelledScene], plan: Recipe, device: torch.device) -> dict:
    """Everything that decides a weight, as JSON gives it back."""
    facts = {
        "geofcn": __version__,
        "torch": torch.__version__,
        "device": device.type,
        "sources": [_identity(source) for source in sources],
        "recipe": plan.to_json(),
    }
    return json.loads(json.dumps(facts, default=str))


def _identity(source: LabelledScene) -> list:
    """What changes when a scene or its labels do."""
    scene = source.scene
    return [absolute(scene.path), scene.identity, repr(scene.nodata), source.labels.identity]


def _surveyed(tiles: TileCache, plan: Recipe, folder: Path, progress: Progress) -> Survey:
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
    tiles: TileCache,
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


def _untrained(
    sources: Sequence[LabelledScene], plan: Recipe, device: torch.device
) -> torch.nn.Module:
    torch.manual_seed(plan.seed)
    net = make_net(plan.net, len(sources[0].scene.bands), plan.scale, plan.upsample)
    return net.to(device, memory_format=torch.channels_last)


def _refuse_unlike(sources: Sequence[LabelledScene]) -> None:
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


def _with_scale(plan: Recipe, source: LabelledScene, free_stride: bool) -> Recipe:
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


def _metadata(sources: Sequence[LabelledScene], plan: Recipe) -> ModelMetadata:
    scene = sources[0].scene
    return ModelMetadata(
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
    trainer: Trainer,
    model: Model,
    batches: BatchLoader,
    validate_model: Validator,
    state: TrainingState,
    run: Run,
    events: EventWriter,
    progress: Progress,
) -> None:
    """Train to the end of the recipe; after each epoch score, and keep the best weights so far."""
    plan, steps = trainer.plan, len(batches)
    keep_freed_memory()
    saved = time.monotonic()
    with progress("training", plan.epochs * len(batches.places), "tiles") as bar:
        bar.advance(min(plan.batch * len(state.losses), plan.epochs * len(batches.places)))
        while not _finished(state, plan):
            for batch in batches.epoch(state.epoch, state.step):
                done = trainer.step(batch, state.epoch, state.step / steps)
                state.step += 1
                state.losses.append(done.loss)
                state.seen += done.confusion
                events.step(len(state.losses), done.loss)
                bar.advance(len(batch.images), loss=done.loss, **_shown(state))
                if time.monotonic() - saved > CHECKPOINT_SECONDS:
                    run.save(trainer, state)
                    saved = time.monotonic()
            rate = learning_rate(plan, state.epoch, (steps - 1) / steps)
            scored = validate_model(model)
            row = state.end_epoch(rate, scored.confusion, scored.threshold, scored.ece)
            events.epoch(len(state.losses), asdict(row))
            log.info(
                "epoch %d of %d: loss %.4f, F1 %.2f in training, %.2f in validation",
                row.epoch, plan.epochs, row.loss, 100 * row.train_f1, 100 * row.f1,
            )  # fmt: skip
            run.keep(model, state.history)
    run.save(trainer, state)


def _shown(state: TrainingState) -> dict[str, float]:
    return {"F1": state.history[-1].f1} if state.history else {}


def _finished(state: TrainingState, plan: Recipe) -> bool:
    """Whether all epochs are done, or plan.patience of them in a row brought no better F1."""
    if state.epoch > plan.epochs:
        return True
    return bool(plan.patience and state.epochs_without_gain() >= plan.patience)
