"""Tiled inference of a whole scene: model in, mask, probabilities and polygons out.

::

    reader -> net -> shard -> outputs

dask's tasks each read a few compute windows with their halo and predict them. One consumer, in the
caller's thread, turns every finished block into a shard. When those of a row of blocks stand, it
reads them again in row bands, for the rasters' writers and the sweep, while the next blocks are
computed. When all shards stand the outputs get their names. A threshold that is found from the
scene's probabilities is known then only: the shards are read once more to make the outputs.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geofcn import defaults
from geofcn.core.calibration import Calibration
from geofcn.core.windows import round_up
from geofcn.errors import OutputError, UsageError, whole_number
from geofcn.executors import Executor, leave_if_imported_by_a_worker, open_executor
from geofcn.inference.admission import admit, conditions
from geofcn.inference.area import Area, open_area
from geofcn.inference.bands import Bands, read_bands
from geofcn.inference.job import Job, joined, run_task, warm_up
from geofcn.inference.outputs import Outputs
from geofcn.inference.result import InferenceResult
from geofcn.inference.schedule import task_width, tasks_ahead, tasks_of
from geofcn.inference.shards import Shards, pack, unfinished, unpack
from geofcn.inference.threshold import SceneThreshold, classified, find_threshold
from geofcn.inference.verify import verify_mask
from geofcn.io.cog_writer import refuse_unknown_options
from geofcn.io.files import StrPath, absolute
from geofcn.io.frames import takes_frames
from geofcn.io.locks import locked
from geofcn.io.opening import open_scene
from geofcn.io.scene import Scene, undeclared_collar
from geofcn.models.device import one_torch_thread, pick_device
from geofcn.models.model import Model
from geofcn.models.model_file import load_model
from geofcn.models.predictor import compute_window_side
from geofcn.polygons.outline import Outline, make_outline
from geofcn.progress import Progress, automatic

if TYPE_CHECKING:
    from geofcn.inference.report import InferenceReport

log = logging.getLogger(__name__)


@takes_frames("scene", "area")
def infer(
    scene: StrPath,
    mask: StrPath | None = None,
    *,
    model: StrPath = defaults.MODEL,
    probability: StrPath | None = None,
    probability_dtype: str = "uint8",
    polygons: StrPath | None = None,
    area: StrPath | None = None,
    bounds: Sequence[float] | None = None,
    bounds_crs: str | None = None,
    report: StrPath | None = None,
    threshold: float | str | None = None,
    tile: int = defaults.TILE,
    device: str = "auto",
    workers: int | None = None,
    scheduler: str | None = None,
    verify: int = 0,
    co: Mapping[str, str] | None = None,
    outline: str | Outline = "simplify",
    simplify: float | None = None,
    min_area: float | None = None,
    fill_holes: float | None = None,
    bands: Sequence[int] | None = None,
    nodata: float | None = None,
    allow_no_crs: bool = False,
    overwrite: bool = False,
    compute_window: int | None = None,
    progress: Progress = automatic,
) -> InferenceResult:
    """Predict a whole scene; the result is that of one pass over it, whatever its size.

    A killed job goes on where it was when it is started again.

    Parameters
    ----------
    scene : path
        Raster to predict: a file, a URL or a GDAL path; or its sheets: a folder of rasters, a
        pattern, or a text file (.txt) that lists them.
    mask : path, optional
        GeoTIFF to write, on the scene's grid: uint8, 0 background, 1 house, 255 blank. It may be
        left out where probabilities or polygons are wanted.
    model : path
        A model of `geofcn.train`.
    probability : path, optional
        GeoTIFF to write: house probabilities.
    probability_dtype : {"uint8", "float32"}
        uint8: 0-254 for 0-1, 255 blank; float32: NaN blank.
    polygons : path, optional
        Vector file to write, see `geofcn.polygonize`.
    area : path, optional
        A vector file of polygons, in which alone houses are looked for: a pixel is in it when its
        centre is, a house when the first of its pixels is. Rasters cover its extent, blank beside
        it; polygons of houses go on beyond it, for at least 100 m.
    bounds : (west, south, east, north), optional
        The same for a rectangle, in the CRS of the scene or in `bounds_crs`.
    bounds_crs : str, optional
        As EPSG:4326.
    report : path, optional
        Page (.html) to write: the scene with what was found, and how.
    threshold : float, "scene" or "model", optional
        A pixel is a house where its probability reaches it. "scene": the one that suits the share
        of houses of this scene, see `geofcn.inference.threshold`; "model": the model's own.
        Default: the scene's, or the model's where it was not calibrated.
    tile : int
        Pixels of the scene a task takes on along a row, at the least; it changes no pixel.
    device : {"auto", "cpu", "cuda", "mps"}
        Where the net is computed; auto: the first of cuda, mps and cpu that the machine has.
    workers : int, optional
        Processes on this machine to compute in; default: threads of this process.
    scheduler : str, optional
        Address of a dask.distributed scheduler whose workers read the scene by its path.
    verify : int
        Windows to compute again with a far larger context.
    co : dict, optional
        Creation options of GDAL's COG driver for the rasters, as ``{"COMPRESS": "ZSTD"}``.
    outline : str or Outline
        How polygons are cleaned: a method with `simplify`, `min_area` and `fill_holes`, or all of
        these in one; see `geofcn.Outline`.
    simplify : float, optional
        How far a simplified outline may stray, in pixels. Default: 1.5, but for `square` 1.25 net
        pixels where that is more.
    min_area, fill_holes : float, optional
        Smaller footprints are left out, smaller holes filled; square metres on the ground. Default:
        4, but 0 without a CRS; and 0.
    bands : sequence of int, optional
        1-based numbers of the scene's bands that the net looks at, in the order of the training's.
        Default: those that the model was trained on, by their colours or numbers.
    nodata : float, optional
        A pixel with this value in every band is blank, besides what the file declares.
    allow_no_crs : bool
        Write polygons of a scene without CRS, in the units of its transform.
    overwrite : bool
        Replace outputs that exist, and finished blocks of a job with other options.
    compute_window : int, optional
        Side of the windows that the net computes, in pixels of the scene, rounded up to the net's
        stride. Default: by the net. It decides the rounding of the last digits, and memory.
    progress : callable, optional
        See `geofcn.progress.Progress`.

    Returns
    -------
    InferenceResult
        Paths, counts, seconds, and what the verification shows.

    Raises
    ------
    SceneError, ModelError, OutputError, UsageError, WorkersError
        All of them GeofcnError, in one sentence that says what is wrong.
    """
    given = dict(locals())
    if workers:
        leave_if_imported_by_a_worker()
    start = time.monotonic()
    cleaning = make_outline(outline, simplify, min_area, fill_holes)
    dtype = None if probability is None else probability_dtype
    job = _make_job(scene, model, threshold, dtype, polygons is not None, bands, nodata, device)
    job = _within(job, open_area(job.scene, area, bounds, bounds_crs))
    cleaning = cleaning.at_net_pixel(job.model.ratio.number)
    if compute_window is not None:
        side = whole_number("compute_window", compute_window, 1)
        job = replace(job, window=round_up(side, job.model.geometry.stride))
    tile, verify = whole_number("tile", tile, 1), whole_number("verify", verify, 0)
    refuse_unknown_options(co or {})
    if verify and mask is None:
        raise UsageError("verify: it compares the mask; name a MASK, too.")
    with locked(mask, probability, polygons, report):
        outputs = Outputs.check(
            job,
            mask,
            probability,
            polygons,
            report,
            model=model,
            overwrite=overwrite,
            allow_no_crs=allow_no_crs,
        )
        _warn(job.scene)
        shards = _open_shards(outputs.work_folder, job, overwrite)
        found: SceneThreshold | None = None
        predicted = _predicted_bands(job, tile, shards, workers, scheduler, progress)
        with _telling_what_is_kept(shards, len(job.layout)):
            if job.calibration is not None:
                with predicted as in_order:
                    found = find_threshold(_in_area(in_order, job), job.calibration, job.threshold)
                job = found.settle(job)
                predicted = _classified_bands(job, shards, progress)
            page = _page(outputs, job, given, cleaning, found)
            with outputs.open(job, co or {}) as writer, predicted as in_order:
                count = writer.write(in_order, shards, cleaning, page)
        shards.remove()
        seconds = time.monotonic() - start
        verification = None
        if verify and outputs.mask is not None:
            with one_torch_thread():
                verification = verify_mask(outputs.mask, job, verify, progress)
    return InferenceResult(
        outputs.mask,
        outputs.probability,
        outputs.polygons,
        job.extent.pixels,
        count,
        seconds,
        verification,
        found,
        outputs.report,
    )


def _make_job(
    scene: StrPath,
    model: StrPath,
    threshold: float | str | None,
    dtype: str | None,
    scored: bool,
    bands: Sequence[int] | None,
    nodata: float | None,
    device: str,
) -> Job:
    """The job that the options ask for: model loaded, scene opened, device chosen."""
    loaded = load_model(model)
    number, calibration = _settled(threshold, model, loaded)
    if dtype not in (None, *defaults.PROBABILITY_DTYPES):
        raise UsageError(
            f"probability_dtype {dtype}: choose {' or '.join(defaults.PROBABILITY_DTYPES)}."
        )
    fitting = loaded.select_bands(open_scene(absolute(scene), nodata, bands))
    resampled = loaded.at_resolution_of(fitting)
    device = pick_device(device).type
    window = compute_window_side(resampled, device)
    return Job(fitting, resampled, number, dtype, scored, window, device, calibration)


def _page(
    outputs: Outputs,
    job: Job,
    given: Mapping[str, Any],
    outline: Outline,
    found: SceneThreshold | None,
) -> InferenceReport | None:
    """The report of an inference that was called with these arguments, where one is wanted."""
    if outputs.report is None:
        return None
    from geofcn.inference.report import InferenceReport  # what draws it takes time to import
    from geofcn.report.call import Call

    cleaning = None if outputs.polygons is None else outline
    return InferenceReport(outputs.report, job, Call.of(infer, given), cleaning, found)


def _settled(
    threshold: float | str | None, path: StrPath, model: Model
) -> tuple[float, Calibration | None]:
    """The threshold, and what one for the scene is found by where that is wanted.

    Raises UsageError for what is no threshold.
    """
    own, calibration = model.metadata.threshold, model.metadata.calibration
    if threshold is None:
        return own, calibration
    if threshold == defaults.MODEL_THRESHOLD:
        return own, None
    if threshold == defaults.SCENE_THRESHOLD:
        if calibration is None:
            raise UsageError(
                f"{path}: its probabilities were not calibrated when it was trained, so no "
                "threshold can be found for a scene; give a number, or train again by the default "
                "recipe."
            )
        return own, calibration
    if isinstance(threshold, str) or not 0 <= threshold <= 1:
        raise UsageError(f"threshold {threshold}: give a probability from 0 to 1, scene or model.")
    return threshold, None


def _within(job: Job, area: Area | None) -> Job:
    """The same job in an area alone: computed around it, too, where its polygons are wanted."""
    if area is None or not job.scored:
        return replace(job, area=area)
    return replace(job, area=area.reaching(job.scene))


def _open_shards(folder: Path, job: Job, overwrite: bool) -> Shards:
    """The shards of a job, with a warning where those of another one had to go.

    Raises OutputError where these could be gone on with, unless they may be overwritten.
    """
    other, finished = unfinished(folder)
    options = job.options_unlike(other)
    if finished and options and not overwrite:
        raise OutputError(
            f"{folder}: {finished} finished block(s) of an unfinished job with another "
            f"{' and '.join(options)} are kept there; repeat its command to go on with it, or give "
            "--overwrite to delete them."
        )
    shards = Shards(folder, job.fingerprint())
    if shards.restarted:
        whose = "another job (or on another type of processor)"
        if not job.scene.identity:
            whose = "a job of what may have changed since"
        log.warning("%s: left by %s; its work is deleted.", folder, whose)
    return shards


def _warn(scene: Scene) -> None:
    """Point out what is odd about a scene."""
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


@contextmanager
def _telling_what_is_kept(shards: Shards, count: int) -> Iterator[None]:
    """Note on Ctrl-C how many of so many blocks are finished."""
    try:
        yield
    except KeyboardInterrupt as stop:
        stop.add_note(f"{len(shards)} of {count} blocks are kept")
        raise


def _in_area(bands: Bands, job: Job) -> Bands:
    """The row bands of what the outputs cover, blank beside the area."""
    for window, arrays in bands:
        yield (window, arrays) if job.area is None else job.area.cut(window, arrays)


@contextmanager
def _predicted_bands(
    job: Job,
    tile: int,
    shards: Shards,
    workers: int | None,
    scheduler: str | None,
    progress: Progress,
) -> Iterator[Bands]:
    """The row bands of a scene whose blocks are computed, while there is what computes them."""
    with (
        open_executor(workers, scheduler) as executor,
        one_torch_thread(),
        closing(_predict_blocks(job, tile, shards, executor, progress)) as numbers,
    ):
        yield read_bands(job.layout, shards, numbers)


def _predict_blocks(
    job: Job, tile: int, shards: Shards, executor: Executor, progress: Progress
) -> Generator[int]:
    """The number of every block in order, once it has its shard: from before, or computed.

    While the consumer is busy the next blocks are computed.
    """
    scene, layout = job.scene, job.layout
    blocks = list(layout.blocks())
    finished = {number for number in range(len(blocks)) if number in shards}
    if finished:
        log.warning("%d of %d blocks are done already.", len(finished), len(blocks))
    least = round_up(tile, job.window)
    width = task_width(layout, scene.block_shape[1], least, executor.processes)
    missing = [number for number in range(len(blocks)) if number not in finished]
    tasks = [task for number in missing for task in tasks_of(number, blocks[number], width)]
    if job.area is not None:
        tasks = [job.area.thinned(task, job.window) for task in tasks]
    ahead = tasks_ahead(layout, width, executor.processes)
    prepare = partial(admit, conditions(job)) if executor.elsewhere else warm_up
    results = executor.stream(
        run_task, job, tasks, ahead, prepare=prepare, encode=pack, decode=unpack
    )
    with closing(results), progress("inference", layout.extent.pixels, "px") as bar:
        computed = groupby(zip(tasks, results, strict=True), key=lambda pair: pair[0].block)
        for number, block in enumerate(blocks):
            if number not in finished:
                _, pairs = next(computed)
                parts = ((task.window, arrays) for task, arrays in pairs)
                shards.save(number, joined(block, parts))
            bar.advance(block.pixels)
            yield number


@contextmanager
def _classified_bands(job: Job, shards: Shards, progress: Progress) -> Iterator[Bands]:
    """The row bands of a scene whose shards all stand, at the threshold that was found."""
    with progress("writing", job.layout.extent.pixels, "px") as bar:
        bands = read_bands(job.layout, shards, range(len(job.layout)))
        yield classified(bands, job.threshold, bar.advance)
