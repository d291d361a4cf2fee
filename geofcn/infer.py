"""Inference: a scene and a model in; a mask, probabilities and polygons out.

    reader -> net -> shard -> outputs

dask's tasks each read a few compute windows with their halo and predict them. One writer turns
every finished row band into a shard. When all shards stand, one pass over them writes the rasters
and feeds the polygons.

A compute window always has the same size and place, whatever the options: float rounding depends on
the shape of a pass and on torch's threads, so both are fixed and the bytes do not depend on how the
work is cut.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path

import numpy as np
import torch

from geofcn import __version__, rasterout, vectorout
from geofcn.errors import OutputError, UsageError
from geofcn.flow import Engine, open_engine
from geofcn.grid import Window, blocks, origins, round_up, row_bands
from geofcn.model import Model, Predictor, compute_window
from geofcn.modelfile import load_model, model_digest
from geofcn.pixels import classify, quantise
from geofcn.polygonize import SIMPLIFIED, Outline, refuse_no_crs, write_footprints
from geofcn.progress import Progress, silent
from geofcn.scene import Scene, open_scene, undeclared_collar
from geofcn.shards import Shards, pack, unpack

DEFAULT_MODEL = Path("geofcn-run/best-f1.safetensors")

# Tasks under way or waiting for the writer, at the least.
AHEAD = 8

log = logging.getLogger("geofcn")


@dataclass(frozen=True)
class Job:
    """What decides the pixels, as every task gets it.

    dtype      of the probability raster, or None where none is wanted
    steps      whether uint8 probabilities are needed (for the raster or the polygons' score)
    window     side of a compute window, in pixels of the scene
    """

    scene: Scene
    model: Model
    threshold: float
    dtype: str | None
    steps: bool
    window: int

    @cached_property
    def predictor(self) -> Predictor:
        """The model ready to predict windows; made once in every process."""
        return Predictor(self.model)

    def fingerprint(self) -> dict:
        """Everything that decides a byte of a shard."""
        return {
            "geofcn": __version__,
            "torch": torch.__version__,
            "scene": [self.scene.path, *self.scene.identity, *self.scene.bands],
            "nodata": repr(self.scene.nodata),
            "model": model_digest(self.model),
            "net": [self.model.card.net, self.model.card.scale, self.model.card.upsample],
            "threshold": self.threshold,
            "arrays": [self.dtype, self.steps],
            "window": self.window,
        }

    def tags(self) -> dict[str, str]:
        """Of the outputs: the model, and the options that change a pixel."""
        tags = {
            "GEOFCN_MODEL_SHA256": model_digest(self.model),
            "GEOFCN_THRESHOLD": f"{self.threshold:.6g}",
        }
        if self.scene.nodata is not None:
            tags["GEOFCN_NODATA"] = f"{self.scene.nodata:g}"
        return tags


@dataclass(frozen=True)
class Task:
    """Some compute windows of one row band, next to each other."""

    band: int
    window: Window


def infer(
    scene: str | os.PathLike,
    mask: str | os.PathLike,
    *,
    model: str | os.PathLike = DEFAULT_MODEL,
    probability: str | os.PathLike | None = None,
    polygons: str | os.PathLike | None = None,
    probability_dtype: str = "uint8",
    threshold: float | None = None,
    tile: int = 1024,
    nodata: float | None = None,
    outline: Outline = SIMPLIFIED,
    allow_no_crs: bool = False,
    workers: int | None = None,
    scheduler: str | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> None:
    """Predict a whole scene; the result is that of one pass over it, whatever its size.

    mask         GeoTIFF to write: uint8, 0 background, 1 house, 255 blank
    probability  GeoTIFF to write: uint8 (0-254 for 0-1, 255 blank) or float32 (NaN blank)
    polygons     vector file to write, see `geofcn.polygonize`
    threshold    a pixel is a house where its probability reaches it; default: the model's
    tile         pixels of the scene a task takes on along a row; it changes no pixel
    nodata       a pixel with this value in every band is blank, besides what the file declares
    workers      processes on this machine to compute in; default: threads of this process
    scheduler    address of a dask.distributed scheduler whose workers read the scene by its path

    A killed job goes on where it was when it is started again. Raises a GeofcnError that says in
    one sentence what is wrong.
    """
    job = _job(scene, model, threshold, probability and probability_dtype, polygons, nodata)
    targets = _check_targets(job, mask, probability, polygons, overwrite, allow_no_crs, model)
    _warn(job.scene)
    if tile < 1:
        raise UsageError(f"tile {tile}: give a number of pixels from 1 up.")
    folder = targets["mask"].with_name(f".{targets['mask'].name}.work")
    shards = Shards(folder, job.fingerprint())
    if shards.restarted:
        log.warning("%s: left by another job; its work is deleted.", folder)
    with open_engine(workers, scheduler) as engine:
        _predict(job, tile, shards, engine, progress)
    _write_outputs(job, shards, targets, outline, progress)
    shards.remove()


def _job(
    scene: str | os.PathLike,
    model: str | os.PathLike,
    threshold: float | None,
    dtype: str | None,
    polygons: str | os.PathLike | None,
    nodata: float | None,
) -> Job:
    loaded = load_model(model)
    threshold = loaded.card.threshold if threshold is None else threshold
    if not 0 <= threshold <= 1:
        raise UsageError(f"threshold {threshold}: give a probability from 0 to 1.")
    fitting = loaded.fit(open_scene(scene, nodata))
    steps = dtype == "uint8" or polygons is not None
    return Job(fitting, loaded, threshold, dtype or None, steps, compute_window(loaded))


def _check_targets(
    job: Job,
    mask: str | os.PathLike,
    probability: str | os.PathLike | None,
    polygons: str | os.PathLike | None,
    overwrite: bool,
    allow_no_crs: bool,
    model: str | os.PathLike,
) -> dict[str, Path]:
    """The outputs' paths by kind; raises OutputError before anything is computed."""
    sources = (job.scene.path, model)
    targets = {"mask": rasterout.check_target(mask, overwrite, *sources)}
    if probability is not None:
        targets["probability"] = rasterout.check_target(probability, overwrite, *sources)
    if polygons is not None:
        targets["polygons"] = vectorout.check_target(polygons, overwrite, *sources)
        refuse_no_crs(job.scene, allow_no_crs)
    if len({path.absolute() for path in targets.values()}) < len(targets):
        raise OutputError(f"{mask}: two outputs have this name; give each its own.")
    return targets


def _warn(scene: Scene) -> None:
    if scene.crs is None:
        log.warning("%s: it has no CRS, and so will the mask.", scene.name)
    collar = undeclared_collar(scene)
    if collar is not None:
        log.warning(
            "%s: much of it is %g in every band and not declared blank; if that is a collar, give "
            "--nodata %g.",
            scene.name,
            collar,
            collar,
        )


def _predict(job: Job, tile: int, shards: Shards, engine: Engine, progress: Progress) -> None:
    """Compute every row band that has no shard yet, in order."""
    bands = list(row_bands(job.scene.height, job.scene.width, job.window))
    missing = [number for number in range(len(bands)) if number not in shards]
    if len(missing) < len(bands):
        log.warning("%d of %d row bands are done already.", len(bands) - len(missing), len(bands))
    width = round_up(tile, job.window)
    tasks = [task for number in missing for task in _tasks(number, bands[number], width)]
    # Enough for one row band, so that the writer's bands come without a wait in between.
    ahead = max(AHEAD, len(origins(job.scene.width, width)))
    run = run_remote_task if engine.remote else run_task
    with progress("inference", job.scene.window.pixels, "px") as bar, one_torch_thread():
        bar.advance(job.scene.window.pixels - sum(bands[number].pixels for number in missing))
        results = zip(tasks, engine.stream(run, job, tasks, ahead), strict=True)
        for number, parts in groupby(results, key=lambda pair: pair[0].band):
            arrays = [unpack(part) if engine.remote else part for _, part in parts]
            shards.save(number, _side_by_side(arrays))
            bar.advance(bands[number].pixels)


def _tasks(number: int, band: Window, width: int) -> Iterator[Task]:
    for col in origins(band.width, width):
        yield Task(number, Window(band.row, col, band.height, width).intersect(band))


def _side_by_side(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts], axis=1) for name in parts[0]}


def run_task(job: Job, task: Task) -> dict[str, np.ndarray]:
    """Predict a task's pixels: `mask`, and `steps` and `probability` where the job wants them."""
    return _side_by_side(
        [_predict_compute_window(job, window) for window in blocks(task.window, job.window)]
    )


def run_remote_task(job: Job, task: Task) -> bytes:
    """run_task in a process of its own; the arrays travel compressed."""
    with one_torch_thread():
        return pack(run_task(job, task))


def _predict_compute_window(job: Job, window: Window) -> dict[str, np.ndarray]:
    prediction = job.predictor.window(job.scene, window)
    probability, valid = prediction.probability, prediction.valid
    arrays = {"mask": classify(probability, valid, job.threshold)}
    if job.steps:
        arrays["steps"] = quantise(probability, valid)
    if job.dtype == "float32":
        arrays["probability"] = np.where(valid, probability, np.float32(np.nan))
    return arrays


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Let every worker thread run its own pass: faster than all of them sharing one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _write_outputs(
    job: Job, shards: Shards, targets: dict[str, Path], outline: Outline, progress: Progress
) -> None:
    """One pass over the shards writes every output."""
    scene = job.scene
    frame = rasterout.Frame(scene.height, scene.width, scene.crs, scene.transform)
    with ExitStack() as stack:
        bar = stack.enter_context(progress("writing", scene.window.pixels, "px"))
        writers = {"mask": rasterout.mask_writer(targets["mask"], frame, tags=job.tags())}
        if "probability" in targets:
            kind = "steps" if job.dtype == "uint8" else "probability"
            writers[kind] = rasterout.probability_writer(
                targets["probability"], frame, job.dtype, tags=job.tags()
            )
        for writer in writers.values():
            stack.enter_context(writer)

        def bands() -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
            for number, band in enumerate(row_bands(scene.height, scene.width, job.window)):
                arrays = shards.load(number)
                for name, writer in writers.items():
                    writer.write(band, arrays[name])
                yield arrays["mask"] == 1, arrays.get("steps")
                bar.advance(band.pixels)

        if "polygons" in targets:
            write_footprints(targets["polygons"], bands(), scene, outline)
        else:
            for _ in bands():
                pass
