"""Train a net: scenes and labels in, a run's folder with models, history and plots out."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import astuple, replace
from inspect import signature
from pathlib import Path
from typing import Any, get_type_hints

from geofcn import defaults
from geofcn.errors import GeofcnError, TrainingError, UsageError
from geofcn.io.files import StrPath, absolute, without_new_folders
from geofcn.io.frames import takes_frames
from geofcn.io.label_source import LabelSource
from geofcn.io.labels import open_labelled_scenes, refuse_changed
from geofcn.io.locks import locked
from geofcn.models.device import pick_device
from geofcn.models.model import Model
from geofcn.progress import Progress, automatic
from geofcn.recipes import Recipe
from geofcn.report.call import Call
from geofcn.runtime import give_back_freed_memory
from geofcn.training.annotations import fits
from geofcn.training.announcement import announcement
from geofcn.training.checkpoint import Checkpoint
from geofcn.training.contacts import with_contact_labels, with_contacts
from geofcn.training.division import choose_tiles, tell_unvalidated
from geofcn.training.house_scores import calibrate_scores
from geofcn.training.label_shift import point_out_shift
from geofcn.training.layout import tile_layouts
from geofcn.training.loader import BatchLoader
from geofcn.training.loop import TrainingLoop
from geofcn.training.overlay import Overlay, make_overlay
from geofcn.training.parent import load_parent
from geofcn.training.plan import Plan, fingerprint
from geofcn.training.report import write_report
from geofcn.training.result import TrainingResult
from geofcn.training.run import Run, checkpoint_to_resume, withdraw_extension
from geofcn.training.sampling import Selection, point_out_corners
from geofcn.training.settings import recipe_for, with_class_weights, with_epochs, with_scale
from geofcn.training.sources import compare_resolutions, identity_of, seen_alike
from geofcn.training.start import starting_metadata, starting_net
from geofcn.training.state import TrainingState
from geofcn.training.survey import Survey, load_survey, save_survey, survey
from geofcn.training.tensorboard import open_event_writer, refuse_missing_tensorboard
from geofcn.training.tiles import TileCache
from geofcn.training.trainer import Trainer
from geofcn.training.validation import Damping, make_validator, validation_extents

# The survey of the scenes, kept in the run's folder for the next training on them.
SURVEY = "survey.npz"

log = logging.getLogger(__name__)


@takes_frames("scene", "labels", "and_", "validate", "area")
def train(
    scene: StrPath,
    labels: StrPath,
    output: StrPath = defaults.RUN,
    *,
    and_: Sequence[tuple[StrPath, StrPath]] = (),
    from_: StrPath | None = None,
    recipe: str | None = None,
    net: str | None = None,
    scale: int | str | None = None,
    upsample: str | None = None,
    tile: int | None = None,
    stride: int | None = None,
    epochs: int | None = None,
    batch: int | None = None,
    lr: float | None = None,
    momentum: float | None = None,
    weight_decay: float | None = None,
    class_weights: tuple[float, float] | str | None = None,
    contacts: str | None = None,
    augment: str | None = None,
    validate: tuple[StrPath, StrPath] | None = None,
    validate_fraction: float | None = None,
    area: StrPath | None = None,
    layer: str | None = None,
    where: str | None = None,
    house_value: Sequence[float] = (),
    instances: bool = False,
    shift_labels: Sequence[float] | None = None,
    patience: int | None = None,
    seed: int | None = None,
    log_tensorboard: bool = False,
    device: str = "auto",
    bands: Sequence[int] | None = None,
    nodata: float | None = None,
    overwrite: bool = False,
    progress: Progress = automatic,
    **fields: Any,
) -> TrainingResult:
    """Train a net on a scene and its labels; write models, history and plots into `output`.

    A training that was killed goes on where it was when it is started again, to the same weights,
    bit for bit. What is None is as the recipe says.

    Parameters
    ----------
    scene : path
        Raster to train on, one that rasterio has opened, or sheets, see `geofcn.infer`.
    labels : path or GeoDataFrame
        A raster (0 background, one other value house, nodata unknown), or polygons in any format
        and CRS. All labels may say what counts of them as QGIS does: ``town.gpkg|layername=roofs``,
        ``town.gpkg|subset=kind = 'house'``, and of rasters ``classes.tif|house=2,3`` or
        ``houses.tif|instances``.
    output : path
        The run's folder.
    and_ : sequence of (path, path)
        Further scenes and their labels; of another ground resolution, they are seen at that of the
        first.
    from_ : path, optional
        A model to start from instead of random weights: the new one has its net, its normalisation,
        its bands and the ground resolution of its training.
    recipe : {"default", "exercise", "teach"}, optional
        Where the other options start from; default: "teach" with `from_`, else "default".
    net : {"lite", "unet", "fcnn", "fcnn2"}, optional
        See `geofcn.models.nets`.
    scale : {1, 2, 4, 8, "auto"}, optional
        The net sees block means of this many pixels a side; auto: by the ground resolution.
    upsample : {"nearest", "bilinear"}, optional
        How fcnn upsamples.
    tile, stride : int, optional
        Side of a training tile, and from one to the next, in pixels of the scene.
    epochs, batch : int, optional
        Epochs, and tiles of a step.
    lr, momentum, weight_decay : float, optional
        Of the optimizer.
    class_weights : (float, float) or "auto", optional
        Weights of background and house in the loss; auto: from the share of houses.
    contacts : {"auto", "yes", "no"}, optional
        Whether the net learns where houses meet, so that those that touch are told apart; auto:
        where the labels, as polygons or instances, have enough of them.
    augment : {"none", "moves", "all"}, optional
        none: tiles as they are; moves: from places near by; all: turned, mirrored, in other size,
        light and colours as well.
    validate : (path, path), optional
        A scene and its labels to score on.
    validate_fraction : float, optional
        Share of the scenes kept from training, in blocks, to score on; 0: score on the scenes
        themselves.
    area : path or GeoDataFrame, optional
        Polygons outside of which nothing is learnt or scored, on the scenes that they touch.
    layer, where : str, optional
        Layer of `labels`, and a condition in SQL that their features must meet.
    house_value : sequence of float
        Values of a raster of `labels` that are houses, all others being background.
    instances : bool
        Each value of a raster of `labels` besides 0 and nodata is a house of its own.
    shift_labels : (float, float), optional
        By how many metres on the ground `labels` are moved along x and y of the scene's CRS.
    patience : int, optional
        Stop after so many epochs without a better validation F1; 0: never.
    seed : int, optional
        Random seed.
    log_tensorboard : bool
        Write loss and scores as TensorBoard events, too.
    device : {"auto", "cpu", "cuda", "mps"}
        Where the net is computed; auto: the first of cuda, mps and cpu that is there.
    bands : sequence of int, optional
        1-based numbers of the bands that the net looks at, the same in all scenes; default: all but
        alpha. The model keeps them.
    nodata : float, optional
        A pixel with this value in every band is blank, besides what the rasters declare.
    overwrite : bool
        Replace a run that exists.
    progress : callable, optional
        See `geofcn.progress.Progress`.
    **fields
        Any other field of `geofcn.recipes.Recipe`.

    Returns
    -------
    TrainingResult
        History, best epoch, and paths.

    Raises
    ------
    GeofcnError
        One sentence that says what is wrong: SceneError, LabelsError, ModelError, UsageError,
        OutputError or TrainingError.

    Notes
    -----
    A GeoDataFrame is what it holds: a training that was killed goes on when `train` is called again
    with an equal one, but not by `resume`, nor is it repeated by the run's ``run.toml``, which both
    look for a file.
    """
    options = {
        "net": net, "scale": scale, "upsample": upsample, "tile": tile, "stride": stride,
        "epochs": epochs, "batch": batch, "lr": lr, "momentum": momentum,
        "weight_decay": weight_decay, "class_weights": class_weights, "contacts": contacts,
        "augment": augment,
        "validate_fraction": validate_fraction, "patience": patience, "seed": seed, **fields,
    }  # fmt: skip
    parent = None if from_ is None else load_parent(from_, output)
    settings = recipe_for(recipe, options, parent, from_)
    if validate and validate_fraction:
        raise UsageError("validation: give a scene to validate on or a fraction, not both.")
    if log_tensorboard:
        refuse_missing_tensorboard()
    target = pick_device(device)
    main = LabelSource.of(labels, layer, where, house_value, shift_labels, instances)
    pairs = [(scene, main), *and_, *([validate] if validate else [])]
    opened = open_labelled_scenes(pairs, nodata, area, bands)
    opened = seen_alike(opened, parent)
    compare_resolutions(opened, settings, parent)
    sources = opened[: 1 + len(and_)]
    settings = with_contacts(
        settings, sources, parent, [name for name in options if options[name] is not None]
    )
    settings = with_scale(settings, sources[0], stride is None)
    sources = with_contact_labels(sources, settings)
    validation = opened[len(sources) :] or sources
    request = {
        "scene": absolute(scene),
        "labels": _found_anywhere(main),
        "and_": [_pair_found_anywhere(pair) for pair in and_],
        "validate": validate and _pair_found_anywhere(validate),
        "area": area and _found_anywhere(LabelSource.of(area)),
        "from_": from_ and absolute(from_),
        "recipe": recipe,
        "device": device,
        "bands": bands and list(bands),
        "nodata": nodata,
        "log_tensorboard": log_tensorboard,
        **options,
    }
    plan = Plan(sources, validation, settings, parent, target)
    with without_new_folders(Path(output)):
        run = Run(Path(output), fingerprint(plan), request)
        with locked(run.folder):
            return _train(plan, run, run.unfinished(overwrite), log_tensorboard, progress)


def _train(
    plan: Plan, run: Run, checkpoint: Checkpoint | None, has_events: bool, progress: Progress
) -> TrainingResult:
    """Train from a checkpoint, or from the start, to the end; the caller holds the run's lock."""
    sources, parent, recipe = plan.sources, plan.parent, plan.recipe
    tiles = TileCache(sources, recipe.normalise == "image")
    key = _survey_key(tiles, recipe)
    kept = load_survey(run.folder / SURVEY, key)
    statistics = kept or _survey(tiles, recipe, progress)
    point_out_corners(sources, statistics)
    if checkpoint is None:
        point_out_shift(sources[0])
    selection = choose_tiles(tiles, plan, statistics, progress)
    log.info("%d of %d tiles kept", len(selection.windows), selection.candidates)
    recipe = with_class_weights(recipe, selection.house_share)
    recipe = with_epochs(recipe, len(selection.windows))
    trainer = Trainer(starting_net(sources, recipe, plan.device, parent), recipe)
    metadata = starting_metadata(sources, recipe, parent)
    model = Model(trainer.averaged, selection.normalisation, metadata)
    state = TrainingState() if checkpoint is None else run.restore(trainer, checkpoint)
    is_validated = bool(plan.has_own_validation or selection.held_out)
    if not is_validated and recipe.normalise != "image":
        tell_unvalidated(plan)
    state.scored_on = "validation" if is_validated else "training"
    # Averaged weights get no worse towards the end: what was learnt from has nothing to choose by.
    state.keeps_last = not is_validated and bool(recipe.averaging)
    if checkpoint is None:
        # Only now, when a training can start: an older run outlives a refusal.
        run.empty()
        run.write_options()
        # From here on the folder tells an unfinished run from a finished one.
        run.save(trainer, state)
    if kept is None:
        save_survey(run.folder / SURVEY, key, statistics)
    validation_tiles = tiles
    if plan.has_own_validation:
        validation_tiles = TileCache(plan.validation, recipe.normalise == "image")
    damping = _damping(parent, is_validated)
    validator = make_validator(validation_tiles, selection.held_out, recipe, damping)
    batches = BatchLoader(
        tiles, selection.windows, selection.normalisation, recipe, selection.held_out
    )
    log.warning(
        "%s", announcement(recipe, metadata.resolution, len(batches.windows), len(state.losses))
    )
    with open_event_writer(run.folder if has_events else None, len(state.losses)) as events:
        loop = TrainingLoop(trainer, model, batches, validator, state, run, events, plan.scenes)
        loop.fit(progress)
    tiles.forget()
    give_back_freed_memory()  # before the overlay takes its own
    if recipe.normalise != "image" and (is_validated or parent is None):
        extents = validation_extents(validation_tiles, selection.held_out)
        run.calibrate_scores(
            lambda kept: calibrate_scores(kept, extents, plan.device.type, damping), plan.scenes
        )
    run.plot(state)
    overlays = list(_overlays(plan, selection, run.folder, progress))
    overlays[0].save(run.folder / "overlay.png")
    result = TrainingResult(run.folder, tuple(state.history), state.keeps_last)
    call = Call.of(train, {**run.request, "output": absolute(run.folder)})
    write_report(result.report, result, state.losses, recipe, sources, selection, overlays, call)
    refuse_changed(plan.scenes)
    run.write_options()  # which may be those of an extension by now
    run.finish()
    return result


def _overlays(
    plan: Plan, selection: Selection, folder: Path, progress: Progress
) -> Iterator[Overlay]:
    """What the best model finds on the first scene, and on the one it was scored on."""
    first = plan.sources[0]
    held_out = [window for number, window in selection.held_out if number == 0]
    title = f"{first.scene.name}, learnt from"
    if plan.has_own_validation:
        title += f"; scored on {plan.validation[0].scene.name}"
    yield make_overlay(first, folder, progress, title, held_out)
    if plan.has_own_validation:
        scored = plan.validation[0]
        yield make_overlay(scored, folder, progress, f"{scored.scene.name}, scored on")


def _pair_found_anywhere(pair: tuple[StrPath, StrPath]) -> list[str]:
    """A scene and its labels as they are named from any folder."""
    return [absolute(pair[0]), _found_anywhere(LabelSource.of(pair[1]))]


def _found_anywhere(labels: LabelSource) -> str:
    return str(replace(labels, path=absolute(labels.path)))


def resume(
    run: StrPath, *, epochs: int | None = None, progress: Progress = automatic
) -> TrainingResult:
    """Go on with a training, as it was started, to the same weights, bit for bit.

    Parameters
    ----------
    run : path
        Folder of the training, which was stopped or, with `epochs`, may be finished.
    epochs : int, optional
        Epochs that it is to have, more than it was started with, whatever its patience says. The
        learning rate goes on as that of a training of so many epochs would from there.
    progress : callable, optional
        See `geofcn.progress.Progress`.

    Returns
    -------
    TrainingResult
        As `train` returns it.

    Raises
    ------
    OutputError
        Where `run` holds no such training, or its scenes or labels have changed.
    GeofcnError
        As `train` does.
    """
    with locked(run):
        checkpoint = checkpoint_to_resume(Path(run), epochs)
    request: Any = checkpoint.state.get("request")
    try:
        begun = signature(train).bind(output=run, progress=progress, **request)
        types = get_type_hints(train)
        for name in types.keys() & request.keys():
            if not fits(request[name], types[name]):
                raise TypeError(f"{name} {request[name]!r}")
    except TypeError as error:
        raise TrainingError(
            f"{run}: its unfinished training does not say how it was begun ({error}); give scene "
            "and labels, with --overwrite, to begin anew."
        ) from error
    try:
        return train(*begun.args, **begun.kwargs)
    except GeofcnError:
        with locked(run):
            withdraw_extension(Path(run))
        raise


def _damping(parent: Model | None, is_validated: bool) -> Damping | None:
    """A parent's threshold and calibration move by what is held out, and stay without that."""
    if parent is None:
        return None
    threshold = parent.metadata.threshold
    return Damping(threshold) if is_validated else Damping(threshold, math.inf)


def _survey_key(tiles: TileCache, recipe: Recipe) -> str:
    """Says of which scenes a survey is, and how they were counted."""
    return json.dumps(
        [
            [identity_of(source) for source in tiles.sources],
            [astuple(layout) for layout in tile_layouts(tiles.sources, recipe)],
            recipe.normalise == "image",
        ],
        default=str,
    )


def _survey(tiles: TileCache, recipe: Recipe, progress: Progress) -> Survey:
    """The survey of the scenes as they were when they were opened."""
    statistics = survey(tiles, recipe, progress)
    refuse_changed(tiles.sources)
    return statistics
