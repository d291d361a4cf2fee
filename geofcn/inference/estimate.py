"""What inference of a scene will take: time, memory and disk, from a few windows."""

from __future__ import annotations

import time
import zlib

import numpy as np

from geofcn.core.pixels import classify
from geofcn.core.windows import Window, origins, sample_windows
from geofcn.inference.schedule import AHEAD_PIXELS
from geofcn.io.gdal import GDAL_OPTIONS
from geofcn.io.scene import Scene
from geofcn.models.device import one_torch_thread, pick_device
from geofcn.models.model import Model
from geofcn.models.predictor import Predictor, compute_window
from geofcn.runtime import cores, peak_memory

PROBED_WINDOWS = 9


# Libraries and buffers of the outputs, polygons included: measured with 250 of them a megapixel,
# which is ten times a village's.
OUTPUTS = 400 * 2**20


GDAL_CACHE = GDAL_OPTIONS["GDAL_CACHEMAX"]


def _model_facts(scene: Scene, model: Model) -> dict[str, object]:
    scene = model.fit(scene)
    device = pick_device("auto").type
    window = compute_window(model, device)
    count = _count_blocks(scene, window)
    return {
        "net": model.metadata.net,
        "scale": model.metadata.scale,
        "threshold": model.metadata.threshold,
        "trained_on": list(model.metadata.scenes),
        "trained_at_m": model.metadata.resolution,
        "stride": model.geometry.stride,
        "halo": model.geometry.halo,
        "compute_window": window,
        "compute_windows": count,
        **_expect(scene, model, device, window, count),
    }


def _expect(scene: Scene, model: Model, device: str, window: int, count: int) -> dict[str, object]:
    """What inference of the scene will take, from computing a few windows spread over it."""
    sampled = [
        Window(place.row // window * window, place.col // window * window, window, window).clip(
            scene.height, scene.width
        )
        for place in sample_windows(scene.height, scene.width, window, PROBED_WINDOWS)
    ]
    before = peak_memory()
    predictor = Predictor(model, device=device)
    blank = written = seconds = 0
    with one_torch_thread():
        predictor.window(scene, sampled[0])
        one_pass = peak_memory() - before
        for place in sampled:
            start = time.perf_counter()
            found = predictor.window(scene, place)
            seconds += time.perf_counter() - start
            blank += not found.valid.any()
            mask = classify(found.probability, found.valid, model.metadata.threshold)
            written += len(zlib.compress(mask, 1)) / mask.size
    share = blank / len(sampled)
    pixels = scene.height * scene.width
    # Row bands wait in two groups of tasks and in the writer: mask and uint8 probability.
    waiting = 6 * 2 * max(AHEAD_PIXELS, scene.width * window)
    threads = cores()
    return {
        "compute_windows_blank": round(share * count),
        "read_gb": _file_size(scene, pixels) / 1e9,
        "mask_gb": 4 / 3 * pixels * written / len(sampled) / 1e9,
        "seconds_expected": seconds / len(sampled) * count / threads,
        "memory_bound_mb": (before + threads * one_pass + waiting + GDAL_CACHE + OUTPUTS) / 2**20,
    }


def _file_size(scene: Scene, pixels: int) -> float:
    """Bytes to be read: the file's, or those of all pixels where it is not a local file."""
    if scene.identity:
        return scene.identity[0]
    return pixels * len(scene.bands) * np.dtype(scene.dtype).itemsize


def _count_blocks(scene: Scene, size: int) -> int:
    return len(origins(scene.width, size)) * len(origins(scene.height, size))
