"""Training: a scene and its labels in, a run's folder with models, history and pictures out."""

from __future__ import annotations

import csv
import io
import json
import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, astuple, dataclass, field, fields, replace
from pathlib import Path

import numpy as np
import torch

from geofcn import __version__, plots
from geofcn.batches import Batches
from geofcn.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from geofcn.config import Recipe, epochs_for, make_recipe, scale_for
from geofcn.errors import LabelsError, OutputError, TrainingError, UsageError
from geofcn.files import write_whole
from geofcn.grid import Window, blocks, round_up, training_windows
from geofcn.journal import Journal, open_journal
from geofcn.labels import Source, open_source
from geofcn.learner import Learner, learning_rate
from geofcn.metrics import Confusion
from geofcn.model import Card, Model, Predictor, net_geometry
from geofcn.modelfile import load_model, save_model
from geofcn.nets import keep_freed_memory, make_net, pick_device
from geofcn.pixels import BLANK, HOUSE
from geofcn.progress import Progress, silent
from geofcn.samples import (
    Selection,
    Survey,
    held_out_blocks,
    load_survey,
    save_survey,
    select,
    survey,
)
from geofcn.scene import absolute, ground_resolution
from geofcn.scoring import Judge, Verdict, judge_tiles, judge_windows
from geofcn.tiles import Place, Tiles

RUN_FILES = (
    "best-f1.safetensors",
    "best-accuracy.safetensors",
    "last.safetensors",
    "history.csv",
    "loss.png",
    "scores.png",
    "overlay.png",
)
# What else a run keeps: the scenes' survey, for the next training on them, and while it is not
# finished its state.
SURVEY = "survey.npz"
CHECKPOINT = "unfinished.safetensors"
CHECKPOINT_SECONDS = 30
# Windows that are predicted one by one for scores and overlay, pixels a side.
JUDGED_WINDOW = 1024
OVERLAY_PIXELS = 2048

log = logging.getLogger("geofcn")


@dataclass(frozen=True)
class Epoch:
    """One row of the history: what the epoch learnt, and the scores after it.

    loss, train_f1  means over the epoch's batches, of the net as it was then
    threshold       at which the validation scores stand: the one with the best F1
    ece             expected calibration error of the probabilities that are scored
    """

    epoch: int
    lr: float
    loss: float
    train_f1: float
    precision: float
    recall: float
    f1: float
    accuracy: float
    iou: float
    threshold: float
    ece: float


@dataclass
class Standing:
    """How far a training has come: the epoch under way, its steps that are done, what they saw."""

    epoch: int = 1
    step: int = 0
    seen: Confusion = field(default_factory=Confusion)
    losses: list[float] = field(default_factory=list)
    history: list[Epoch] = field(default_factory=list)


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
    fingerprint = _fingerprint([*sources, *judged], plan, target)
    folder = _run_folder(Path(run))
    earlier = _earlier(folder, fingerprint, overwrite)

    tiles = Tiles(sources, plan.normalise == "image")
    selection = _select(tiles, plan, _surveyed(tiles, plan, folder, progress), validate, progress)
    log.info("%d of %d tiles kept", len(selection.places), selection.candidates)
    plan = _with_class_weights(plan, selection.house_share)
    if plan.epochs == 0:
        plan = replace(plan, epochs=epochs_for(-(-len(selection.places) // plan.batch)))
        log.info("%d epochs", plan.epochs)
    learner = Learner(_untrained(sources, plan, target), plan)
    model = Model(learner.averaged, selection.normalisation, _card(sources, plan))
    standing = Standing() if earlier is None else _restore(learner, earlier)

    def save() -> None:
        state = {"fingerprint": fingerprint, "request": request, **_plain_standing(standing)}
        save_checkpoint(folder / CHECKPOINT, Checkpoint(_tensors(learner, standing), state))

    if earlier is None:
        # Only now, when a training can start: an older run outlives a refusal.
        _empty(folder)
        # From here on the folder tells an unfinished run from a finished one.
        save()
    scored = tiles if judged is sources else Tiles(judged, plan.normalise == "image")
    judge = _judge(scored, selection.held_out, plan)
    with open_journal(folder if log_tensorboard else None, len(standing.losses)) as journal:
        batches = Batches(
            tiles, selection.places, selection.normalisation, plan, selection.held_out
        )
        _fit(learner, model, batches, judge, standing, folder, save, journal, progress)
    history = standing.history
    plots.loss_plot(standing.losses, len(history), folder / "loss.png")
    plots.scores_plot([asdict(row) for row in history], folder / "scores.png")
    _overlay(sources[0], folder, progress)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return history


def resume(run: str | os.PathLike, progress: Progress = silent) -> list[Epoch]:
    """Go on with the unfinished training in `run`, as it was started.

    Raises OutputError where there is none.
    """
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


def _earlier(folder: Path, fingerprint: dict, overwrite: bool) -> Checkpoint | None:
    """The state of the same training, if one was left unfinished in `folder`.

    Raises OutputError where the folder holds another training and must not be overwritten.
    """
    try:
        checkpoint = load_checkpoint(folder / CHECKPOINT)
    except TrainingError:
        if not overwrite:
            raise
        checkpoint = None
    if checkpoint is not None and checkpoint.state.get("fingerprint") == fingerprint:
        log.warning("%s: an unfinished training goes on.", folder)
        return checkpoint
    if checkpoint is not None and not overwrite:
        raise OutputError(
            f"{folder}: it holds an unfinished training with other options, or its files have "
            f"changed; give --overwrite or another -o (`geofcn train --resume {folder}` goes on "
            "with the old options)."
        )
    if not overwrite and any((folder / name).exists() for name in RUN_FILES):
        raise OutputError(f"{folder}: it holds a run already; give --overwrite or another -o.")
    return None


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


def _run_folder(folder: Path) -> Path:
    """The run's folder, made if need be. Raises OutputError where it cannot be used."""
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: this is a file; give the name of a folder.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(f"{folder}: it cannot be written ({error}); give another -o.") from error
    return folder


def _empty(folder: Path) -> None:
    """Remove an older run's files: none of them must be taken for this run's."""
    for name in (*RUN_FILES, CHECKPOINT):
        (folder / name).unlink(missing_ok=True)


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
        plan = replace(plan, scale=scale_for(ground_resolution(source.scene)))
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
        resolution=ground_resolution(scene),
    )


def _judge(tiles: Tiles, held_out: Sequence[Place], plan: Recipe) -> Judge:
    """How each epoch is scored: on held-out windows, else on the whole of the tiles' sources."""
    sources = tiles.sources
    places = list(held_out) or [(n, source.scene.window) for n, source in enumerate(sources)]
    if plan.normalise == "image":
        windows = [
            (number, piece) for number, place in places for piece in _padded_tiles(place, plan.tile)
        ]
        return judge_tiles(lambda: map(tiles.read, windows))
    return judge_windows(
        [
            (sources[number], piece)
            for number, place in places
            for piece in blocks(place, JUDGED_WINDOW)
        ]
    )


def _padded_tiles(place: Window, size: int) -> Iterator[Window]:
    """`place` cut into whole tiles, the last ones reaching beyond it; column order."""
    for window in training_windows(place.height, place.width, size, size):
        yield Window(place.row + window.row, place.col + window.col, size, size)


def _fit(
    learner: Learner,
    model: Model,
    batches: Batches,
    judge: Judge,
    standing: Standing,
    folder: Path,
    save: Callable[[], None],
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
                    save()
                    saved = time.monotonic()
            verdict = judge(model)
            row = _row(standing, plan, steps, verdict)
            standing.history.append(row)
            journal.epoch(len(standing.losses), asdict(row))
            log.info(
                "epoch %d of %d: loss %.4f, F1 %.2f in training, %.2f in validation",
                row.epoch, plan.epochs, row.loss, 100 * row.train_f1, 100 * row.f1,
            )  # fmt: skip
            _keep(model, standing.history, verdict, folder)
            _write_history(standing.history, folder / "history.csv")
            standing.epoch, standing.step, standing.seen = standing.epoch + 1, 0, Confusion()
    save()


def _shown(standing: Standing) -> dict[str, float]:
    return {"F1": standing.history[-1].f1} if standing.history else {}


def _finished(standing: Standing, plan: Recipe) -> bool:
    """Whether all epochs are done, or plan.patience of them in a row brought no better F1."""
    if standing.epoch > plan.epochs:
        return True
    scores = [row.f1 for row in standing.history]
    return bool(plan.patience and scores and len(scores) - best_of(scores) >= plan.patience)


def best_of(values: Sequence[float]) -> int:
    """Number (from 1) of the first of the largest values; NaN counts as below all."""
    return int(np.argmax(np.nan_to_num(np.array(values, float), nan=-1.0))) + 1


def _row(standing: Standing, plan: Recipe, steps: int, verdict: Verdict) -> Epoch:
    losses = standing.losses[-steps:]
    return Epoch(
        standing.epoch,
        learning_rate(plan, standing.epoch, (steps - 1) / steps),
        sum(losses) / len(losses),
        standing.seen.f1,
        **verdict.confusion.scores(),
        threshold=verdict.threshold,
        ece=verdict.ece,
    )


def _keep(model: Model, history: Sequence[Epoch], verdict: Verdict, folder: Path) -> None:
    """Save the last weights, and those with the best F1 or accuracy; the first of equals stays."""
    card = replace(model.card, threshold=verdict.threshold, scores=_plain(history[-1]))
    kept = replace(model, card=card)
    save_model(kept, folder / "last.safetensors")
    for name in ("f1", "accuracy"):
        if best_of([getattr(row, name) for row in history]) == len(history):
            save_model(kept, folder / f"best-{name}.safetensors")


def _plain(row: Epoch) -> dict:
    """The row as JSON takes it: a score that is undefined is null."""
    return {key: None if value != value else value for key, value in asdict(row).items()}


def _plain_standing(standing: Standing) -> dict:
    """All of it but the losses, as JSON; `_restore` reads it."""
    return {
        "threads": torch.get_num_threads(),
        "epoch": standing.epoch,
        "step": standing.step,
        "seen": astuple(standing.seen),
        "history": [astuple(row) for row in standing.history],
    }


def _tensors(learner: Learner, standing: Standing) -> dict[str, torch.Tensor]:
    return learner.state() | {"losses": torch.tensor(standing.losses, dtype=torch.float64)}


def _restore(learner: Learner, checkpoint: Checkpoint) -> Standing:
    """Bring the learner back to the checkpoint, and say how far it had come."""
    state, losses = checkpoint.state, checkpoint.tensors["losses"].tolist()
    # Sums round otherwise in other numbers of threads.
    torch.set_num_threads(state["threads"])
    learner.restore(checkpoint.tensors, len(losses))
    return Standing(
        state["epoch"],
        state["step"],
        Confusion(*state["seen"]),
        losses,
        [Epoch(*row) for row in state["history"]],
    )


def _write_history(history: Sequence[Epoch], path: Path) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(field.name for field in fields(Epoch))
    for row in history:
        writer.writerow(f"{v:.6g}" if isinstance(v, float) else v for v in astuple(row))
    write_whole(path, text.getvalue().encode())


def _overlay(source: Source, folder: Path, progress: Progress) -> None:
    """Paint what the best model finds and misses over the scene, reduced to OVERLAY_PIXELS."""
    scene = source.scene
    model = load_model(folder / "best-f1.safetensors")
    predictor = Predictor(model)
    step = max(1, math.ceil(max(scene.height, scene.width) / OVERLAY_PIXELS))
    shape = math.ceil(scene.height / step), math.ceil(scene.width / step)
    found, labels = np.zeros(shape, bool), np.full(shape, np.uint8(BLANK))
    with progress("painting the overlay", scene.window.pixels, "px") as bar:
        # Windows are multiples of the step, so that a reduced pixel belongs to one window only.
        for window in blocks(scene.window, round_up(JUDGED_WINDOW, step * model.geometry.stride)):
            mask = predictor.window(scene, window).probability >= model.card.threshold
            target = Window(
                window.row // step,
                window.col // step,
                -(-window.height // step),
                -(-window.width // step),
            ).slices
            found[target] = mask[::step, ::step]
            labels[target] = source.labels.read(window)[::step, ::step]
            bar.advance(window.pixels)
    plots.overlay_plot(
        scene.read_reduced(shape), found, labels == HOUSE, labels != BLANK, folder / "overlay.png"
    )
