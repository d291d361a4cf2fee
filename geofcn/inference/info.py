"""What a scene is, and what inference on it will take."""

from __future__ import annotations

import os
import resource
import sys
import time
import zlib

import numpy as np

from geofcn.core.pixels import classify
from geofcn.core.windows import Window, origins, sample_windows
from geofcn.executors import cores
from geofcn.inference.job import AHEAD_PIXELS, one_torch_thread
from geofcn.io.scene import Scene, ground_resolution, open_scene
from geofcn.models.device import pick_device
from geofcn.models.model import Model, Predictor, compute_window
from geofcn.models.model_file import load_model
from geofcn.recipes import DEFAULT_RECIPE, GDAL_OPTIONS

TRAINING_TILE = DEFAULT_RECIPE.tile
SAMPLE_SIZE = 256
SAMPLE_COUNT = 64
PROBED_WINDOWS = 9
# Libraries and buffers of the outputs, polygons included: measured with 250 of them a megapixel,
# which is ten times a village's.
OUTPUTS = 400 * 2**20
GDAL_CACHE = GDAL_OPTIONS["GDAL_CACHEMAX"]


def describe(
    path: str | os.PathLike,
    *,
    model: str | os.PathLike | None = None,
    nodata: float | None = None,
) -> dict[str, object]:
    """A scene's size, bands, place, ground resolution, blank share (from a sample) and layout.

    With a `model` also what that is, and the windows inference would compute. All values are plain
    JSON types; what is unknown is None. Raises SceneError, ModelError (also when the two do not go
    together).
    """
    scene = open_scene(path, nodata)
    return _scene_facts(scene) | ({} if model is None else _model_facts(scene, load_model(model)))


def _scene_facts(scene: Scene) -> dict[str, object]:
    return {
        "path": scene.path,
        "driver": scene.driver,
        "width": scene.width,
        "height": scene.height,
        "bands": len(scene.bands),
        "colours": list(scene.colours),
        "dtype": scene.dtype,
        "crs": _crs_name(scene),
        "transform": list(scene.transform)[:6],
        "ground_resolution_m": ground_resolution(scene),
        "declares_blank": scene.declares_blank,
        "blank_share": _blank_share(scene),
        "block": list(scene.block_shape),
        "layout": "tiles" if scene.block_shape[1] != scene.width else "strips",
        "compression": scene.compression,
        "tiles": _count_blocks(scene, TRAINING_TILE),
    }


def _model_facts(scene: Scene, model: Model) -> dict[str, object]:
    scene = model.fit(scene)
    device = pick_device("auto").type
    window = compute_window(model, device)
    count = _count_blocks(scene, window)
    return {
        "net": model.card.net,
        "scale": model.card.scale,
        "threshold": model.card.threshold,
        "trained_on": list(model.card.scenes),
        "trained_at_m": model.card.resolution,
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
    before = _peak_memory()
    predictor = Predictor(model, device=device)
    blank = written = seconds = 0
    with one_torch_thread():
        predictor.window(scene, sampled[0])
        one_pass = _peak_memory() - before
        for place in sampled:
            start = time.perf_counter()
            found = predictor.window(scene, place)
            seconds += time.perf_counter() - start
            blank += not found.valid.any()
            mask = classify(found.probability, found.valid, model.card.threshold)
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


def _peak_memory() -> int:
    """The most memory this process has held so far, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _file_size(scene: Scene, pixels: int) -> float:
    """Bytes to be read: the file's, or those of all pixels where it is not a local file."""
    if scene.identity:
        return scene.identity[0]
    return pixels * len(scene.bands) * np.dtype(scene.dtype).itemsize


def _count_blocks(scene: Scene, size: int) -> int:
    return len(origins(scene.width, size)) * len(origins(scene.height, size))


def _crs_name(scene: Scene) -> str | None:
    if scene.crs is None:
        return None
    authority = scene.crs.to_authority()
    return ":".join(authority) if authority else scene.crs.to_wkt()


def _blank_share(scene: Scene) -> float:
    """Share of blank pixels, 0 to 1, in windows spread over the scene."""
    blank = total = 0
    for window in sample_windows(scene.height, scene.width, SAMPLE_SIZE, SAMPLE_COUNT):
        _, valid = scene.read(window)
        blank += valid.size - np.count_nonzero(valid)
        total += valid.size
    return blank / total
