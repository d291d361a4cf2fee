"""Estimate time, memory and disk that inference of a scene will take, from a few windows of it."""

from __future__ import annotations

import time
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geofcn.core.pixels import classify, quantise
from geofcn.core.windows import (
    Window,
    band_height,
    blocks,
    ceil_div,
    count_blocks,
    sample_windows,
)
from geofcn.inference.area import Area
from geofcn.inference.schedule import AHEAD_PIXELS, Layout
from geofcn.io.gdal import CACHE_BYTES
from geofcn.io.scene import Scene
from geofcn.io.sheets import lengths
from geofcn.models.device import one_torch_thread, pick_device
from geofcn.models.model import Model
from geofcn.models.predictor import Predictor, compute_window_side
from geofcn.runtime import cores, peak_memory

PROBED_WINDOWS = 9
# Libraries and buffers of the outputs, polygons included; tests/benchmarks/bench_memory.py measures
# the memory of a whole inference.
OUTPUT_BYTES = 256 * 2**20


@dataclass(frozen=True)
class InferenceEstimate:
    """A model, and what inference of a scene by it will take.

    Attributes
    ----------
    net : str
        The model's net.
    scale : float
        Side of the pixel means that are its input, in pixels of this scene: the model's scale, but
        for a scene of another resolution than the training's.
    threshold : float
        A pixel is a house where its probability reaches it.
    trained_on : list of str
        The training scenes.
    trained_at_m : float or None
        Metres per pixel of the first of them.
    stride, halo : int
        Total stride of the net, and what it sees around a window, in pixels of the scene.
    compute_window, compute_windows, compute_windows_blank : int
        Side of the windows it computes, in pixels of the scene, how many there are (in an area:
        with those around it that its polygons need), and about how many of them are blank as a
        whole.
    read_gb, mask_gb, probability_gb : float
        Bytes to read, and of the mask and the uint8 probabilities with their overviews, in units of
        1e9.
    seconds_expected : float
        On this machine, apart from the start of the command.
    memory_bound_mb : float
        What the process will hold at the most, in units of 2**20 bytes.
    """

    net: str
    scale: float
    threshold: float
    trained_on: list[str]
    trained_at_m: float | None
    stride: int
    halo: int
    compute_window: int
    compute_windows: int
    compute_windows_blank: int
    read_gb: float
    mask_gb: float
    probability_gb: float
    seconds_expected: float
    memory_bound_mb: float


@dataclass(frozen=True)
class _Probe:
    """What computing a few windows took: shares of them, bytes, and seconds for each window."""

    blank_share: float
    mask_bytes_per_pixel: float
    probability_bytes_per_pixel: float
    seconds_per_window: float
    memory_before: int
    memory_of_a_pass: int


def estimate_inference(scene: Scene, model: Model, area: Area | None = None) -> InferenceEstimate:
    """What inference of a scene will take on this machine.

    Parameters
    ----------
    scene : Scene
        With its bands as they are; they are matched to the model's.
    model : Model
        The model whose passes are timed.
    area : Area, optional
        What of the scene is asked for; default: all.

    Raises
    ------
    ModelError
        Where the model does not go together with the scene.
    """
    scene = model.select_bands(scene)
    model = model.at_resolution_of(scene)
    device = pick_device("auto").type
    window = compute_window_side(model, device)
    if area is not None:
        area = area.reaching(scene)
    whole = scene.window
    count, sampled = _compute_windows(whole, window, area)
    probe = _probe(scene, model, device, sampled)
    pixels = (whole if area is None else area.extent).pixels
    # Bytes of what waits: blocks, in two groups of tasks and to be kept, and a row band that is
    # written and swept; each as mask and uint8 probability, and copies of them.
    layout = Layout.of(whole if area is None else area.computed(whole, window), window)
    width = layout.extent.width
    block = layout.height * min(layout.width, width)
    band = width * min(band_height(width), layout.height)
    waiting = 6 * 2 * (max(AHEAD_PIXELS, block) + band)
    threads = cores()
    memory = probe.memory_before + threads * probe.memory_of_a_pass + waiting
    return InferenceEstimate(
        net=model.metadata.net,
        scale=model.ratio.number,
        threshold=model.metadata.threshold,
        trained_on=list(model.metadata.all_scenes),
        trained_at_m=model.metadata.resolution,
        stride=model.geometry.stride,
        halo=model.geometry.halo,
        compute_window=window,
        compute_windows=count,
        compute_windows_blank=round(probe.blank_share * count),
        read_gb=_bytes_to_read(scene) * count / count_blocks(*whole.shape, window) / 1e9,
        mask_gb=4 / 3 * pixels * probe.mask_bytes_per_pixel / 1e9,
        probability_gb=4 / 3 * pixels * probe.probability_bytes_per_pixel / 1e9,
        seconds_expected=probe.seconds_per_window * count / threads,
        memory_bound_mb=(memory + CACHE_BYTES + OUTPUT_BYTES) / 2**20,
    )


def _compute_windows(whole: Window, side: int, area: Area | None) -> tuple[int, list[Window]]:
    """How many compute windows there are, and PROBED_WINDOWS or fewer of them, spread evenly."""
    if area is None:
        sampled = list(sample_windows(*whole.shape, side, PROBED_WINDOWS))
        return count_blocks(*whole.shape, side), sampled
    wanted = [part for part in blocks(area.computed(whole, side), side) if area.is_wanted(part)]
    return len(wanted), wanted[:: ceil_div(len(wanted), PROBED_WINDOWS)]


def _probe(scene: Scene, model: Model, device: str, sampled: list[Window]) -> _Probe:
    """Compute some compute windows."""
    memory_before = peak_memory()
    predictor = Predictor(model, device=device)
    blank, pixels, written, seconds = 0, 0, np.zeros(2), 0.0
    with one_torch_thread():
        predictor.window(scene, sampled[0])
        memory_of_a_pass = peak_memory() - memory_before
        for compute_window in sampled:
            start = time.perf_counter()
            prediction = predictor.window(scene, compute_window)
            seconds += time.perf_counter() - start
            blank += not prediction.valid.any()
            mask = classify(prediction.probability, prediction.valid, model.metadata.threshold)
            quantised = quantise(prediction.probability, prediction.valid)
            written += [len(zlib.compress(raster.tobytes(), 1)) for raster in (mask, quantised)]
            pixels += mask.size
    count = len(sampled)
    of_mask, of_probability = written / pixels
    return _Probe(
        blank / count, of_mask, of_probability, seconds / count, memory_before, memory_of_a_pass
    )


def _bytes_to_read(scene: Scene) -> int:
    """The file's size or that of its sheets, or that of all pixels where it is no local file."""
    if sheets := lengths(scene.path):
        return sum(length for _, length in sheets)
    path = Path(scene.path)
    if path.is_file():
        return path.stat().st_size
    return scene.window.pixels * len(scene.bands) * np.dtype(scene.dtype).itemsize
