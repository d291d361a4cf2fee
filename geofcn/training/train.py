"""Train a net: scenes and labels in, a run's folder with models, history and plots out."""

from __future__ import annotations

import json
import logging
import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import astuple, replace
from inspect import signature
from pathlib import Path
from typing import Any

import torch

from geofcn import __version__, defaults
from geofcn.core.geodesy import ground_resolution
from geofcn.core.pixels import Normalisation
from geofcn.core.resampling import FARTHEST, is_far, is_same
from geofcn.core.windows import ceil_div, round_up
from geofcn.errors import LabelsError, SceneError, TrainingError, UsageError
from geofcn.io.files import StrPath
from geofcn.io.label_source import LabelSource
from geofcn.io.labels import LabelledScene, open_labelled_scenes, refuse_changed
from geofcn.io.locks import locked
from geofcn.io.scene import absolute, names_apart
from geofcn.models.device import pick_device
from geofcn.models.model import Model, ModelMetadata, net_geometry
from geofcn.models.model_file import model_digest
from geofcn.models.nets import make_net
from geofcn.models.pretrained import load_pretrained
from geofcn.progress import Progress, silent
from geofcn.recipes import Recipe, epochs_for, make_recipe, scale_for
from geofcn.runtime import give_back_freed_memory
from geofcn.training.house_scores import calibrate_scores
from geofcn.training.layout import tile_layouts
from geofcn.training.loader import BatchLoader
from geofcn.training.loop import TrainingLoop
from geofcn.training.overlay import write_overlay
from geofcn.training.parent import described, load_parent, with_parents
from geofcn.training.result import TrainingResult
from geofcn.training.run import Run, checkpoint_to_resume, restore
from geofcn.training.sampling import Selection, held_out_blocks, point_out_corners, select
from geofcn.training.state import TrainingState
from geofcn.training.survey import Survey, load_survey, save_survey, survey
from geofcn.training.tensorboard import open_event_writer
from geofcn.training.tiles import SourceWindow, TileCache
from geofcn.training.trainer import Trainer
from geofcn.training.validation import Damping, make_validator, validation_extents

# The survey of the scenes, kept in the run's folder for the next training on them.
SURVEY = "survey.npz"

log = logging.getLogger(__name__)


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
    augment: str | None = None,
    validate: tuple[StrPath, StrPath] | None = None,
    validate_fraction: float | None = None,
    area: StrPath | None = None,
    layer: str | None = None,
    where: str | None = None,
    house_value: Sequence[float] = (),
    patience: int | None = None,
    seed: int | None = None,
    log_tensorboard: bool = False,
    device: str = "auto",
    bands: Sequence[int] | None = None,
    nodata: float | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
    **fields: Any,
) -> TrainingResult:
    """Train a net on a scene and its labels; write models, history and plots into `output`.

    A training that was killed goes on where it was when it is started again, to the same weights,
    bit for bit. What is None is as the recipe says.

    Parameters
    ----------
    scene : path
        Raster to train on.
    labels : path
        A raster (0 background, one other value house, nodata unknown), or polygons in any format
        and CRS. All labels may say what counts of them as QGIS does: ``town.gpkg|layername=roofs``,
        ``town.gpkg|subset=kind = 'house'``, and of rasters ``classes.tif|house=2,3``.
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
    augment : {"none", "moves", "all"}, optional
        none: tiles as they are; moves: from places near by; all: turned, mirrored, in other size,
        light and colours as well.
    validate : (path, path), optional
        A scene and its labels to score on.
    validate_fraction : float, optional
        Share of the scenes kept from training, in blocks, to score on; 0: score on the scenes
        themselves.
    area : path, optional
        Polygons outside of which nothing is learnt or scored, on the scenes that they touch.
    layer, where : str, optional
        Layer of `labels`, and a condition in SQL that their features must meet.
    house_value : sequence of float
        Values of a raster of `labels` that are houses, all others being background.
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
    """
    options = {
        "net": net, "scale": scale, "upsample": upsample, "tile": tile, "stride": stride,
        "epochs": epochs, "batch": batch, "lr": lr, "momentum": momentum,
        "weight_decay": weight_decay, "class_weights": class_weights, "augment": augment,
        "validate_fraction": validate_fraction, "patience": patience, "seed": seed, **fields,
    }  # fmt: skip
    parent = None if from_ is None else load_parent(from_, output)
    settings = _recipe(recipe, options, parent, from_)
    if validate and validate_fraction:
        raise UsageError("validation: give a scene to validate on or a fraction, not both.")
    target = pick_device(device)
    main = LabelSource.of(labels, layer, where, house_value)
    pairs = [(scene, main), *and_, *([validate] if validate else [])]
    opened = open_labelled_scenes(pairs, nodata, area, bands)
    opened = _seen_alike(opened, parent)
    _compare_resolutions(opened, settings, parent)
    sources = opened[: 1 + len(and_)]
    validation = opened[len(sources) :] or sources
    settings = with_scale(settings, sources[0], stride is None)
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
    fingerprint = _fingerprint([*sources, *validation], settings, target, parent)
    run = Run(Path(output), fingerprint, request)
    with locked(run.folder):
        checkpoint = run.unfinished(overwrite)

        tiles = TileCache(sources, settings.normalise == "image")
        statistics = _survey(tiles, settings, run.folder, progress)
        point_out_corners(sources, statistics)
        normalisation = parent.normalisation if parent else None
        selection = _select(tiles, settings, statistics, bool(validate), normalisation, progress)
        log.info("%d of %d tiles kept", len(selection.windows), selection.candidates)
        settings = _with_class_weights(settings, selection.house_share)
        if settings.epochs == 0:
            steps = ceil_div(len(selection.windows), settings.batch)
            settings = replace(settings, epochs=epochs_for(settings, steps))
            log.info("%d epochs", settings.epochs)
        trainer = Trainer(_starting_net(sources, settings, target, parent), settings)
        model = Model(
            trainer.averaged, selection.normalisation, _metadata(sources, settings, parent)
        )
        state = TrainingState() if checkpoint is None else restore(trainer, checkpoint)
        is_validated = bool(validate or selection.held_out)
        state.scored_on = "validation" if is_validated else "training"
        # Averaged weights get no worse towards the end: what was learnt from has nothing to choose
        # by.
        state.keeps_last = not is_validated and bool(settings.averaging)
        if checkpoint is None:
            # Only now, when a training can start: an older run outlives a refusal.
            run.empty()
            # From here on the folder tells an unfinished run from a finished one.
            run.save(trainer, state)
        validation_tiles = tiles
        if validation is not sources:
            validation_tiles = TileCache(validation, settings.normalise == "image")
        damping = _damping(parent, is_validated)
        validator = make_validator(validation_tiles, selection.held_out, settings, damping)
        batches = BatchLoader(
            tiles, selection.windows, selection.normalisation, settings, selection.held_out
        )
        with open_event_writer(
            run.folder if log_tensorboard else None, len(state.losses)
        ) as events:
            loop = TrainingLoop(trainer, model, batches, validator, state, run, events, opened)
            loop.fit(progress)
        tiles.forget()
        give_back_freed_memory()  # before the overlay takes its own
        if settings.normalise != "image":
            extents = validation_extents(validation_tiles, selection.held_out)
            run.calibrate_scores(lambda kept: calibrate_scores(kept, extents, target.type), opened)
        run.plot(state)
        write_overlay(sources[0], run.folder, progress)
        run.finish()
        return TrainingResult(run.folder, tuple(state.history), state.keeps_last)


def _pair_found_anywhere(pair: tuple[StrPath, StrPath]) -> list[str]:
    """A scene and its labels as they are named from any folder."""
    return [absolute(pair[0]), _found_anywhere(LabelSource.of(pair[1]))]


def _found_anywhere(labels: LabelSource) -> str:
    return str(replace(labels, path=absolute(labels.path)))


def resume(
    run: StrPath, *, epochs: int | None = None, progress: Progress = silent
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
    except TypeError as error:
        raise TrainingError(
            f"{run}: its unfinished training does not say how it was begun ({error}); give scene "
            "and labels, with --overwrite, to begin anew."
        ) from error
    return train(*begun.args, **begun.kwargs)


def _recipe(
    name: str | None, options: Mapping[str, Any], parent: Model | None, path: StrPath | None
) -> Recipe:
    """The recipe, and what a model to start from says of it."""
    if parent is None or path is None:
        if name == "teach":
            raise UsageError("recipe teach: it starts from a model; give that by --from.")
        return make_recipe(name or "default", options)
    return make_recipe(name or "teach", with_parents(options, parent, path))


def _damping(parent: Model | None, is_validated: bool) -> Damping | None:
    """A parent's threshold moves by what was not learnt from, and stays where there is nothing."""
    if parent is None:
        return None
    threshold = parent.metadata.threshold
    return Damping(threshold) if is_validated else Damping(threshold, math.inf)


def _fingerprint(
    sources: Sequence[LabelledScene], recipe: Recipe, device: torch.device, parent: Model | None
) -> dict[str, Any]:
    """Everything that decides a weight, as JSON gives it back."""
    facts = {
        "geofcn": __version__,
        "torch": torch.__version__,
        "device": device.type,
        "sources": [
            _identity(source) + ([layout.zoom] if layout.zoom != 1 else [])
            for source, layout in zip(sources, tile_layouts(sources, recipe), strict=True)
        ],
        "recipe": recipe.to_json(),
        "parent": parent and [model_digest(parent), parent.metadata.threshold],
    }
    return dict(json.loads(json.dumps(facts, default=str)))


def _identity(source: LabelledScene) -> list[object]:
    """What changes when a scene or its labels do; another one each time where nobody knows."""
    scene = source.scene
    return [
        absolute(scene.path),
        scene.reading,
        scene.identity or uuid.uuid4().hex,
        repr(scene.nodata),
        source.labels.identity or uuid.uuid4().hex,
    ]


def _survey(tiles: TileCache, recipe: Recipe, folder: Path, progress: Progress) -> Survey:
    """The survey of the scenes: the one kept in `folder` if it is theirs, else made and kept."""
    key = json.dumps(
        [
            [_identity(source) for source in tiles.sources],
            [astuple(layout) for layout in tile_layouts(tiles.sources, recipe)],
            recipe.normalise == "image",
        ],
        default=str,
    )
    statistics = load_survey(folder / SURVEY, key)
    if statistics is None:
        statistics = survey(tiles, recipe, progress)
        refuse_changed(tiles.sources)
        save_survey(folder / SURVEY, key, statistics)
    return statistics


def _select(
    tiles: TileCache,
    recipe: Recipe,
    statistics: Survey,
    validated: bool,
    normalisation: Normalisation | None,
    progress: Progress,
) -> Selection:
    """The tiles to train on, and the windows held out for validation.

    None are held out where validation has a scene of its own (`validated`), or the scenes are too
    small for it.
    """

    def choose(held_out: Sequence[SourceWindow]) -> Selection:
        return select(tiles, recipe, statistics, held_out, progress, normalisation)

    if validated or not recipe.validate_fraction:
        return choose(())
    held_out = held_out_blocks(tiles.sources, statistics, recipe)
    if held_out:
        try:
            return choose(held_out)
        except LabelsError as error:
            log.info("%s", error)
    log.warning(
        "%s: too small, or with too few houses, to keep a part for validation; it is scored on "
        "what it is trained on.",
        ", ".join(_names(tiles.sources)),
    )
    return choose(())


def _starting_net(
    sources: Sequence[LabelledScene], recipe: Recipe, device: torch.device, parent: Model | None
) -> torch.nn.Module:
    """A net with the weights of the parent, if there is one, else pretrained or random ones."""
    torch.manual_seed(recipe.seed)
    net = make_net(recipe.net, len(sources[0].scene.bands), recipe.scale, recipe.upsample)
    if parent is None:
        load_pretrained(net)
    else:
        net.load_state_dict(parent.net.state_dict())
    # The stubs know memory_format with a tensor only.
    return net.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def _seen_alike(sources: Sequence[LabelledScene], parent: Model | None) -> list[LabelledScene]:
    """All scenes with the same bands, and values in the encoding of the parent's, or of the first.

    Raises UsageError for a scene with other bands, in another order, or of a type that cannot be
    brought to that of the first; ModelError for one that does not fit the parent.
    """
    if parent is not None:
        return [replace(source, scene=parent.select_bands(source.scene)) for source in sources]
    first = sources[0].scene
    seen = []
    for source in sources:
        scene = source.scene
        if scene.colours != first.colours:
            raise UsageError(
                f"{scene.path}: its bands are {', '.join(scene.colours)}, those of {first.path} "
                f"{', '.join(first.colours)}; train on scenes of one kind."
            )
        try:
            seen.append(replace(source, scene=scene.seen_as(first.encoding, first.path)))
        except SceneError as error:
            raise UsageError(str(error)) from error
    return seen


def _compare_resolutions(
    sources: Sequence[LabelledScene], recipe: Recipe, parent: Model | None
) -> None:
    """Say which scenes have another ground resolution than the first, or than the parent's.

    Raise UsageError for one that the recipe cannot make up for; a mean image, which is made of
    pixels, for none.
    """
    wanted, whose = ground_resolution(sources[0].scene.grid), sources[0].scene.name
    if parent is not None:
        wanted, whose = parent.metadata.resolution, "the training of the model to start from"
    for source in sources:
        resolution = ground_resolution(source.scene.grid)
        if not (wanted and resolution) or is_same(wanted, resolution):
            continue
        found = f"{source.scene.path}: it has {resolution:.3g} m per pixel, {whose} {wanted:.3g} m"
        if recipe.normalise == "image":
            raise UsageError(
                f"{found}; a mean image needs scenes of one resolution: resample one of them, or "
                "train by --recipe default."
            )
        if is_far(wanted, resolution):
            raise UsageError(f"{found}; resample it to less than {FARTHEST} times of that.")
        log.info("%s; it is seen at that.", found)


def with_scale(recipe: Recipe, source: LabelledScene, free_stride: bool) -> Recipe:
    """Settle an `auto` scale, and check that tile and stride fit the net's total stride.

    A stride that nobody asked for (`free_stride`) becomes one that fits.
    """
    if recipe.scale == 0:
        recipe = replace(recipe, scale=scale_for(recipe.net, ground_resolution(source.scene.grid)))
        log.info("scale %d", recipe.scale)
    bands = len(source.scene.bands)
    stride = net_geometry(recipe.net, bands, recipe.scale, recipe.upsample).stride
    if free_stride:
        recipe = replace(recipe, stride=min(recipe.tile, round_up(recipe.stride, stride)))
    for name in ("tile", "stride"):
        if getattr(recipe, name) % stride:
            raise UsageError(
                f"{name} {getattr(recipe, name)}: {recipe.net} at scale {recipe.scale} needs a "
                f"multiple of {stride}."
            )
    return recipe


def _with_class_weights(recipe: Recipe, house_share: float) -> Recipe:
    """Settle `auto` class weights: the square root of the ratio of background to houses."""
    if recipe.class_weights is not None:
        return recipe
    return replace(recipe, class_weights=(1.0, round(math.sqrt(1 / house_share - 1), 3)))


def _names(sources: Sequence[LabelledScene]) -> tuple[str, ...]:
    return names_apart([source.scene.path for source in sources])


def _metadata(
    sources: Sequence[LabelledScene], recipe: Recipe, parent: Model | None
) -> ModelMetadata:
    scene = sources[0].scene
    encoding = scene.encoding
    metadata = ModelMetadata(
        net=recipe.net,
        scale=recipe.scale,
        upsample=recipe.upsample,
        colours=scene.colours,
        dtype=encoding.dtype,
        bands=scene.bands if scene.named else (),
        scales=encoding.scales,
        offsets=encoding.offsets,
        recipe=recipe.to_json(),
        scenes=_names(sources),
        crs=scene.crs.to_wkt() if scene.crs else None,
        resolution=ground_resolution(scene.grid),
    )
    if parent is None:
        return metadata
    # Its net goes on seeing as many metres of the ground.
    about = parent.metadata
    return replace(
        metadata,
        dtype=about.dtype,
        bands=metadata.bands or about.bands,
        scales=about.scales,
        offsets=about.offsets,
        parent=described(parent),
        resolution=about.resolution,
    )
