"""Inference: a scene and a model in; a mask, probabilities and polygons out.

    reader -> net -> shard -> outputs

dask's tasks each read a few compute windows with their halo and predict them. One consumer, in the
caller's thread, turns every finished row band into a shard and hands it to the rasters' writers and
to the sweep, while the next bands are computed. When all shards stand the outputs get their names.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from itertools import groupby
from pathlib import Path

import numpy as np

from geofcn.core.pixels import HOUSE
from geofcn.core.windows import Window, round_up, row_bands
from geofcn.errors import OutputError, UsageError
from geofcn.executors import Executor, open_executor
from geofcn.inference.job import Job, prepare, run_remote_task, run_task, side_by_side
from geofcn.inference.schedule import Task, task_width, tasks_ahead, tasks_of
from geofcn.inference.shards import Arrays, Shards, claimed, unpack
from geofcn.inference.verify import Verification, verify_mask
from geofcn.io import cog_writer, raster_writer, vector_writer
from geofcn.io.scene import Scene, absolute, open_scene, undeclared_collar
from geofcn.models.device import one_torch_thread, pick_device
from geofcn.models.model_file import load_model
from geofcn.models.predictor import compute_window
from geofcn.polygons.footprints import BAND_ROWS, refuse_no_crs, write_footprints
from geofcn.polygons.outline import SIMPLIFIED, Outline
from geofcn.progress import Progress, silent

DEFAULT_MODEL = Path("geofcn-run/best-f1.safetensors")

log = logging.getLogger("geofcn")


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
    device: str = "auto",
    workers: int | None = None,
    scheduler: str | None = None,
    creation: Mapping[str, str] | None = None,
    verify: int = 0,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Verification | None:
    """Predict a whole scene; the result is that of one pass over it, whatever its size.

    mask         GeoTIFF to write: uint8, 0 background, 1 house, 255 blank
    probability  GeoTIFF to write: uint8 (0-254 for 0-1, 255 blank) or float32 (NaN blank)
    polygons     vector file to write, see `geofcn.polygonize`
    threshold    a pixel is a house where its probability reaches it; default: the model's
    tile         pixels of the scene a task takes on along a row, at the least; it changes no pixel
    nodata       a pixel with this value in every band is blank, besides what the file declares
    device       auto, cpu, cuda or mps
    workers      processes on this machine to compute in; default: threads of this process
    scheduler    address of a dask.distributed scheduler whose workers read the scene by its path
    creation     options of GDAL's COG driver for the rasters, as {"COMPRESS": "ZSTD"}
    verify       windows to compute again with a far larger context; what they show is returned

    A killed job goes on where it was when it is started again. Raises a GeofcnError that says in
    one sentence what is wrong.
    """
    dtype = None if probability is None else probability_dtype
    job = _job(scene, model, threshold, dtype, polygons is not None, nodata, device)
    targets = _check_targets(job, mask, probability, polygons, overwrite, allow_no_crs, model)
    _warn(job.scene)
    cog_writer.refuse_unknown_options(creation or {})
    if tile < 1:
        raise UsageError(f"tile {tile}: give a number of pixels from 1 up.")
    shards = Shards(_work_folder(targets["mask"]), job.fingerprint())
    if shards.restarted:
        log.warning("%s: left by another job; its work is deleted.", shards.folder)
    with ExitStack() as stack:
        writers = _open_writers(job, targets, creation, stack)
        executor = stack.enter_context(open_executor(workers, scheduler))
        with (
            one_torch_thread(),
            closing(_predicted(job, tile, shards, executor, progress)) as bands,
        ):
            _write(job, bands, writers, shards, targets, outline)
    shards.remove()
    if not verify:
        return None
    with one_torch_thread():
        return verify_mask(
            targets["mask"], job.scene, job.predictor, job.threshold, verify, progress
        )


def _job(
    scene: str | os.PathLike,
    model: str | os.PathLike,
    threshold: float | None,
    dtype: str | None,
    polygons: bool,
    nodata: float | None,
    device: str,
) -> Job:
    loaded = load_model(model)
    threshold = loaded.metadata.threshold if threshold is None else threshold
    if not 0 <= threshold <= 1:
        raise UsageError(f"threshold {threshold}: give a probability from 0 to 1.")
    fitting = loaded.fit(open_scene(absolute(scene), nodata))
    target = pick_device(device).type
    window = compute_window(loaded, target)
    return Job(fitting, loaded, threshold, dtype, polygons, window, target)


def _check_targets(
    job: Job,
    mask: str | os.PathLike,
    probability: str | os.PathLike | None,
    polygons: str | os.PathLike | None,
    overwrite: bool,
    allow_no_crs: bool,
    model: str | os.PathLike,
) -> dict[str, Path]:
    """The outputs' paths by kind; raises OutputError before anything is computed.

    The mask is the last to be published. A job killed just before left the others, and may replace
    them.
    """
    sources = (job.scene.path, model)
    targets = {"mask": raster_writer.check_raster_target(mask, overwrite, *sources)}
    own = claimed(_work_folder(targets["mask"]), job.fingerprint())
    if probability is not None:
        mine = overwrite or Path(probability).absolute() in own
        targets["probability"] = raster_writer.check_raster_target(probability, mine, *sources)
    if polygons is not None:
        mine = overwrite or Path(polygons).absolute() in own
        targets["polygons"] = vector_writer.check_vector_target(polygons, mine, *sources)
        refuse_no_crs(job.scene, allow_no_crs)
    if len({path.absolute() for path in targets.values()}) < len(targets):
        raise OutputError(f"{mask}: two outputs have this name; give each its own.")
    return targets


def _work_folder(mask: Path) -> Path:
    return mask.with_name(f".{mask.name}.work")


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


def _predicted(
    job: Job, tile: int, shards: Shards, executor: Executor, progress: Progress
) -> Iterator[Arrays]:
    """The arrays of every row band in order: out of its shard, or computed and kept in one.

    While the consumer is busy with a band the next ones are computed.
    """
    bands = list(_row_bands(job))
    done = {number for number in range(len(bands)) if number in shards}
    if done:
        log.warning("%d of %d row bands are done already.", len(done), len(bands))
    scene = job.scene
    width = task_width(
        scene.width, scene.block_shape[1], round_up(tile, job.window), executor.processes
    )
    missing = [number for number in range(len(bands)) if number not in done]
    tasks = [task for number in missing for task in tasks_of(number, bands[number], width)]
    ahead = tasks_ahead(scene.width, job.window, width, executor.processes)
    run = run_remote_task if executor.remote else run_task
    with (
        closing(executor.stream(run, job, tasks, ahead, prepare)) as parts,
        progress("inference", job.scene.window.pixels, "px") as bar,
    ):
        computed = groupby(zip(tasks, parts, strict=True), key=lambda pair: pair[0].band)
        for number, band in enumerate(bands):
            if number in done:
                arrays = shards.load(number)
            else:
                arrays = _joined(next(computed)[1], executor.remote)
                shards.save(number, arrays)
            bar.advance(band.pixels)
            yield arrays


def _joined(results: Iterable[tuple[Task, Arrays | bytes]], packed: bool) -> Arrays:
    """The arrays of a row band from those of its tasks."""
    return side_by_side([unpack(part) if packed else part for _, part in results])


def _open_writers(
    job: Job, targets: Mapping[str, Path], creation: Mapping[str, str] | None, stack: ExitStack
) -> dict[str, cog_writer.CogWriter]:
    """Writers of the rasters, by the name of the array they write; the mask gets its name last."""
    scene = job.scene
    given = {"tags": job.tags(), "options": creation}
    mask = cog_writer.mask_writer(targets["mask"], scene.grid, **given)
    writers = {"mask": stack.enter_context(mask)}
    if "probability" in targets:
        name = "quantised" if job.dtype == "uint8" else "probability"
        writer = cog_writer.probability_writer(
            targets["probability"], scene.grid, job.dtype, **given
        )
        writers[name] = stack.enter_context(writer)
    return writers


def _write(
    job: Job,
    bands: Iterable[Arrays],
    writers: Mapping[str, cog_writer.CogWriter],
    shards: Shards,
    targets: Mapping[str, Path],
    outline: Outline,
) -> None:
    """Hand every row band to the rasters' writers, and its houses to the polygons'.

    The rasters are completed while the last polygons are made.
    """

    def houses() -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        for band, arrays in zip(_row_bands(job), bands, strict=True):
            for name, writer in writers.items():
                writer.write(band, arrays[name])
                if band.bottom == job.scene.height:
                    writer.complete()
            yield from _pieces(arrays)
        # All shards stand: what gets its name from here on is this job's.
        shards.claim(targets.values())

    if "polygons" in targets:
        write_footprints(targets["polygons"], houses(), job.scene, outline)
    else:
        deque(houses(), maxlen=0)


def _pieces(arrays: Arrays) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """A row band as the sweep takes it: houses and, where they are wanted, uint8 probabilities."""
    for top in range(0, len(arrays["mask"]), BAND_ROWS):
        rows = slice(top, top + BAND_ROWS)
        quantised = arrays["quantised"][rows] if "quantised" in arrays else None
        yield arrays["mask"][rows] == HOUSE, quantised


def _row_bands(job: Job) -> Iterator[Window]:
    return row_bands(job.scene.height, job.scene.width, job.window)
