"""Training: a scene and its labels in, a run's folder with models, history and pictures out."""

from __future__ import annotations

import csv
import logging
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, astuple, dataclass, fields, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from geofcn import plots
from geofcn.config import Recipe, make_recipe, scale_for
from geofcn.errors import LabelsError, OutputError, TrainingError, UsageError
from geofcn.grid import Window, blocks, round_up, training_windows
from geofcn.labels import Source, open_source
from geofcn.model import Card, Model, Predictor, net_geometry
from geofcn.modelfile import load_model, save_model
from geofcn.nets import make_net, pick_device
from geofcn.pixels import BLANK, Normalisation
from geofcn.progress import Progress, silent
from geofcn.samples import Selection, Tile, TileSet, held_out_blocks, select
from geofcn.scene import Scene, ground_resolution
from geofcn.scoring import Judge, Verdict, judge_tiles, judge_windows

RUN_FILES = (
    "best-f1.safetensors",
    "best-accuracy.safetensors",
    "last.safetensors",
    "history.csv",
    "loss.png",
    "scores.png",
    "overlay.png",
)
# Shares of the training over which the learning rate rises, and of a deviation that colours move.
WARM_UP = 0.05
JITTER = 0.3
# Windows that are predicted one by one for scores and overlay, pixels a side.
JUDGED_WINDOW = 1024
OVERLAY_PIXELS = 2048

log = logging.getLogger("geofcn")


@dataclass(frozen=True)
class Epoch:
    """One row of the history: mean loss, and the scores after the epoch."""

    epoch: int
    lr: float
    loss: float
    precision: float
    recall: float
    f1: float
    accuracy: float
    iou: float
    threshold: float


def train(
    scene: str | os.PathLike,
    labels: str | os.PathLike,
    run: str | os.PathLike = "geofcn-run",
    *,
    others: Sequence[tuple[str | os.PathLike, str | os.PathLike]] = (),
    validate: tuple[str | os.PathLike, str | os.PathLike] | None = None,
    recipe: str = "default",
    device: str = "auto",
    nodata: float | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
    **options,
) -> list[Epoch]:
    """Train a net on a scene and its labels; write models, history and plots into `run`.

    others    further (scene, labels) pairs to train on
    validate  a (scene, labels) pair to score on; default: what the recipe says
    nodata    a pixel with this value in every band is blank, besides what the rasters declare
    options   any field of config.Recipe, to override the recipe

    Returns the history. Raises a GeofcnError that says in one sentence what is wrong.
    """
    plan = make_recipe(recipe, options)
    if validate and options.get("validate_fraction"):
        raise UsageError("validation: give a scene to validate on or a fraction, not both.")
    target = pick_device(device)
    sources = [open_source(*pair, nodata) for pair in [(scene, labels), *others]]
    judged = [open_source(*validate, nodata)] if validate else sources
    _refuse_unlike([*sources, *judged])
    plan = _with_scale(plan, sources[0])
    folder = _run_folder(Path(run), overwrite)

    held_out = [] if validate else _held_out(sources, plan)
    selection, held_out = _select(sources, plan, held_out, bool(validate), progress)
    log.info("%d of %d tiles kept", len(selection.places), selection.candidates)
    plan = _with_class_weights(plan, selection.house_share)
    model = _untrained(sources, plan, selection.normalisation, target)
    judge = _judge(judged, held_out, plan)
    tiles = TileSet(sources, plan, selection.places)
    # Only now, when a training can start: an older run outlives a refusal.
    _empty(folder)
    history = _fit(model, tiles, plan, judge, folder, progress)

    plots.scores_plot([asdict(row) for row in history], folder / "scores.png")
    _overlay(sources[0].scene, folder, progress)
    return history


def _select(
    sources: Sequence[Source],
    plan: Recipe,
    held_out: list[tuple[int, Window]],
    validated: bool,
    progress: Progress,
) -> tuple[Selection, list[tuple[int, Window]]]:
    """The tiles to train on, and the windows kept for scores: none where the scene is too small."""
    if held_out:
        try:
            return select(sources, plan, held_out, progress), held_out
        except LabelsError as error:
            log.info("%s", error)
    if plan.validate_fraction and not validated:
        log.warning(
            "%s: too small, or with too few houses, to keep a part for validation; it is scored on "
            "what it is trained on.",
            sources[0].scene.name,
        )
    return select(sources, plan, [], progress), []


def _untrained(
    sources: Sequence[Source], plan: Recipe, normalisation: Normalisation, device: torch.device
) -> Model:
    torch.manual_seed(plan.seed)
    net = make_net(plan.net, len(sources[0].scene.bands), plan.scale, plan.upsample)
    net.to(device, memory_format=torch.channels_last)
    return Model(net, normalisation, _card(sources, plan))


def _run_folder(folder: Path, overwrite: bool) -> Path:
    """The run's folder, made if need be. Raises OutputError where it must not or cannot be used."""
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: this is a file; give the name of a folder.")
    if not overwrite and any((folder / name).exists() for name in RUN_FILES):
        raise OutputError(f"{folder}: it holds a run already; give --overwrite or another -o.")
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
    for name in RUN_FILES:
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


def _with_scale(plan: Recipe, source: Source) -> Recipe:
    """Settle an `auto` scale, and check that tile and stride fit the net's total stride."""
    if plan.scale == 0:
        plan = replace(plan, scale=scale_for(ground_resolution(source.scene)))
        log.info("scale %d", plan.scale)
    bands = len(source.scene.bands)
    stride = net_geometry(plan.net, bands, plan.scale, plan.upsample).stride
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


def _held_out(sources: Sequence[Source], plan: Recipe) -> list[tuple[int, Window]]:
    if plan.validate_fraction == 0:
        return []
    return [
        (number, block)
        for number, source in enumerate(sources)
        for block in held_out_blocks(source, plan.tile, plan.validate_fraction)
    ]


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


def _judge(
    sources: Sequence[Source], held_out: Sequence[tuple[int, Window]], plan: Recipe
) -> Judge:
    """How each epoch is scored: on held-out windows, else on the whole of `sources`."""
    places = list(held_out) or [(n, source.scene.window) for n, source in enumerate(sources)]
    if plan.normalise == "image":
        windows = [
            (number, piece) for number, place in places for piece in _padded_tiles(place, plan.tile)
        ]
        tiles = TileSet(sources, plan, windows)
        return judge_tiles(lambda: tiles(range(len(tiles))))
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
    model: Model, tiles: TileSet, plan: Recipe, judge: Judge, folder: Path, progress: Progress
) -> list[Epoch]:
    """Train for plan.epochs epochs; after each, score and keep the weights that are best so far."""
    optimizer = make_optimizer(model.net, plan)
    history: list[Epoch] = []
    losses: list[float] = []
    steps = -(-len(tiles) // plan.batch)
    with progress("training", plan.epochs * len(tiles), "tiles") as bar:
        for epoch in range(1, plan.epochs + 1):
            model.net.train()
            for number, batch in enumerate(batches(tiles, model.normalisation, plan, epoch)):
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate(plan, epoch, number / steps)
                losses.append(_step(model, optimizer, plan, batch, epoch))
                shown = {"f1": history[-1].f1} if history else {}
                bar.advance(len(batch[0]), loss=losses[-1], **shown)
            model.net.eval()
            verdict = judge(model)
            history.append(_row(epoch, group["lr"], losses[-steps:], verdict))
            _keep(model, history, verdict, folder)
            _write_history(history, folder / "history.csv")
    plots.loss_plot(losses, plan.epochs, folder / "loss.png")
    return history


def make_optimizer(net: nn.Module, plan: Recipe) -> torch.optim.Optimizer:
    """SGD with momentum, or AdamW whose first beta is the momentum; biases are decayed too."""
    if plan.optimizer == "sgd":
        return torch.optim.SGD(
            net.parameters(), lr=plan.lr, momentum=plan.momentum, weight_decay=plan.weight_decay
        )
    return torch.optim.AdamW(
        net.parameters(), lr=plan.lr, betas=(plan.momentum, 0.999), weight_decay=plan.weight_decay
    )


def learning_rate(plan: Recipe, epoch: int, within: float) -> float:
    """The rate in `epoch` (from 1), after the share `within` (0 to 1) of its steps.

    Halved every plan.lr_halved_every epochs; else a linear warm-up, then half a cosine down to 0
    at the end of the training (Loshchilov and Hutter, SGDR, 2017).
    """
    if plan.lr_halved_every:
        return plan.lr * 0.5 ** ((epoch - 1) // plan.lr_halved_every)
    done = (epoch - 1 + within) / plan.epochs
    if done < WARM_UP:
        return plan.lr * (0.05 + 0.95 * done / WARM_UP)
    return plan.lr * 0.5 * (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP)))


def weighted_loss(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor):
    """Cross entropy, the mean over pixels weighted by their class; label 255 does not count.

    logits (batch, 2, rows, columns), labels (batch, rows, columns) int64, weights (2,).
    """
    return F.cross_entropy(logits, labels, weight=weights, ignore_index=BLANK)


def _step(
    model: Model,
    optimizer: torch.optim.Optimizer,
    plan: Recipe,
    batch: tuple[np.ndarray, np.ndarray],
    epoch: int,
) -> float:
    device = next(model.net.parameters()).device
    images, labels = (torch.from_numpy(array).to(device) for array in batch)
    logits = model.net(images)
    weights = torch.tensor(plan.class_weights, dtype=torch.float32, device=device)
    loss = weighted_loss(logits, labels.long(), weights)
    value = loss.item()
    if not math.isfinite(value):
        raise TrainingError(
            f"the loss became {value} in epoch {epoch}; the weights of the epochs before are "
            "kept: train again with a lower --lr."
        )
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return value


def batches(
    tiles: TileSet, normalisation: Normalisation, plan: Recipe, epoch: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The epoch's batches: images (batch, bands, W, W) float32, labels (batch, W, W) uint8.

    Order and augmentation depend on the seed and the epoch alone.
    """
    random = np.random.default_rng([plan.seed, epoch])
    order = random.permutation(len(tiles)) if plan.shuffle else np.arange(len(tiles))
    stream = tiles(order.tolist())
    while group := list(islice(stream, plan.batch)):
        pairs = [prepare(tile, normalisation) for tile in group]
        if plan.augment:
            pairs = [augment(*pair, random) for pair in pairs]
        images, labels = zip(*pairs, strict=True)
        yield np.stack(images), np.stack(labels)


def prepare(tile: Tile, normalisation: Normalisation) -> tuple[np.ndarray, np.ndarray]:
    """A tile's normalised image and its labels."""
    return normalisation.apply(tile.image, tile.valid, 0, 0), tile.labels


def augment(
    image: np.ndarray, labels: np.ndarray, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A random flip and quarter turn of both; another brightness, contrast and tint of the image.

    Pixels that are 0 in the image stay 0 in every band: blank remains blank.
    """
    turns, flip = random.integers(4), random.integers(2)
    image, labels = np.rot90(image, turns, axes=(1, 2)), np.rot90(labels, turns)
    if flip:
        image, labels = image[:, :, ::-1], labels[:, ::-1]
    blank = (image == 0).all(axis=0)
    contrast = 1 + random.uniform(-JITTER, JITTER)
    shift = random.uniform(-JITTER, JITTER) + random.uniform(-JITTER, JITTER, len(image)) / 3
    image = image * np.float32(contrast) + shift.astype(np.float32)[:, None, None]
    image[:, blank] = 0
    return image, labels


def _row(epoch: int, lr: float, losses: Sequence[float], verdict: Verdict) -> Epoch:
    scores = verdict.confusion.scores()
    return Epoch(epoch, lr, sum(losses) / len(losses), **scores, threshold=verdict.threshold)


def _keep(model: Model, history: Sequence[Epoch], verdict: Verdict, folder: Path) -> None:
    """Save the last weights, and those with the best F1 or accuracy; the first of equals stays."""
    card = replace(model.card, threshold=verdict.threshold, scores=_plain(history[-1]))
    kept = replace(model, card=card)
    save_model(kept, folder / "last.safetensors")
    for name in ("f1", "accuracy"):
        if is_best([getattr(row, name) for row in history]):
            save_model(kept, folder / f"best-{name}.safetensors")


def is_best(values: Sequence[float]) -> bool:
    """Whether the last value is the first, or above all before it; NaN counts as below all."""
    last, *before = np.nan_to_num(np.array(values[::-1], float), nan=-1.0)
    return not before or bool(last > max(before))


def _plain(row: Epoch) -> dict:
    """The row as JSON takes it: a score that is undefined is null."""
    return {key: None if value != value else value for key, value in asdict(row).items()}


def _write_history(history: Sequence[Epoch], path: Path) -> None:
    partial = path.with_name(f".{path.name}.partial")
    with open(partial, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(field.name for field in fields(Epoch))
        for row in history:
            writer.writerow(f"{v:.6g}" if isinstance(v, float) else v for v in astuple(row))
    partial.replace(path)


def _overlay(scene: Scene, folder: Path, progress: Progress) -> None:
    """Paint what the best model finds over the scene, reduced to OVERLAY_PIXELS a side."""
    model = load_model(folder / "best-f1.safetensors")
    predictor = Predictor(model)
    step = max(1, math.ceil(max(scene.height, scene.width) / OVERLAY_PIXELS))
    shape = math.ceil(scene.height / step), math.ceil(scene.width / step)
    houses = np.zeros(shape, bool)
    with progress("painting the overlay", scene.window.pixels, "px") as bar:
        # Windows are multiples of the step, so that a reduced pixel belongs to one window only.
        for window in blocks(scene.window, round_up(JUDGED_WINDOW, step * model.geometry.stride)):
            mask = predictor.window(scene, window).probability >= model.card.threshold
            reduced = mask[::step, ::step]
            row, col = window.row // step, window.col // step
            houses[row : row + reduced.shape[0], col : col + reduced.shape[1]] = reduced
            bar.advance(window.pixels)
    plots.overlay_plot(scene.read_reduced(shape), houses, folder / "overlay.png")
