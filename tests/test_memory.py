"""Memory does not depend on the scene: peaks of commands in processes of their own."""

import subprocess
import sys

import numpy as np
import pytest
import rasterio

from geofcn.modelfile import save_model

WIDTH, LOW, HIGH = 2048, 16_384, 81_920
# The high scene has 400 MB more than the low one: 20 times what the peak may grow by.
ALLOWED_MB = 20
INFER_ALLOWED_MB = 120


def peak_mb(*arguments, before: str = "") -> int:
    """MB a command held at its peak; `before` is run first in its process."""
    code = (
        f"{before}\n"
        "import sys, atexit, resource\n"
        "from geofcn_cli.main import main\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024\n"
        "atexit.register(lambda: print('peak', peak()))\n"
        "main(sys.argv[1:])\n"
    )
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout.split("peak ")[1])


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """A low and a high scene of bright squares on noise, uncompressed, in one folder."""
    folder = tmp_path_factory.mktemp("memory")
    random = np.random.default_rng(0)
    block = random.integers(1, 90, (3, 1024, WIDTH), np.uint8)
    block[:, 100:200, 100:300] = 230
    for name, height in (("low", LOW), ("high", HIGH)):
        profile = {
            "driver": "GTiff", "width": WIDTH, "height": height, "count": 3, "dtype": "uint8",
            "crs": "EPSG:32632", "transform": (0.2, 0, 677_000, 0, -0.2, 5_152_000),
            "tiled": True, "photometric": "rgb",
        }  # fmt: skip
        with rasterio.open(folder / f"{name}.tif", "w", **profile) as dataset:
            for row in range(0, height, 1024):
                dataset.write(block, window=((row, row + 1024), (0, WIDTH)))
    return folder


def test_the_peak_does_not_grow_with_the_scene(scenes, make_model):
    save_model(make_model("fcnn", scale=8), scenes / "m.safetensors")
    peaks = {}
    for name in ("low", "high"):
        scene, mask = scenes / f"{name}.tif", scenes / f"{name}-mask.tif"
        peaks[name] = (
            peak_mb("infer", scene, mask, "--model", scenes / "m.safetensors", "-q"),
            peak_mb("polygonize", mask, scenes / f"{name}.gpkg", "-q"),
            peak_mb("evaluate", mask, mask, "-q"),
        )
    infer, polygonize, evaluate = (
        high - low for low, high in zip(peaks["low"], peaks["high"], strict=True)
    )
    assert max(polygonize, evaluate) <= ALLOWED_MB, peaks
    # What the allocator keeps for the next pass varies from run to run.
    assert infer <= INFER_ALLOWED_MB, peaks


def test_the_peak_of_training_does_not_grow_with_the_scene(scenes):
    """But for the tiles it keeps, as far as CACHE_BYTES goes: here next to none."""
    peaks = {}
    for name in ("low", "high"):
        scene, labels = scenes / f"{name}.tif", scenes / f"{name}-labels.tif"
        with rasterio.open(scene) as source:
            profile = source.profile | {"count": 1, "photometric": None, "compress": "deflate"}
        block = np.zeros((1024, WIDTH), np.uint8)
        block[100:200, 100:300] = 1
        with rasterio.open(labels, "w", **profile) as sink:
            for row in range(0, sink.height, 1024):
                sink.write(block, 1, window=((row, row + 1024), (0, WIDTH)))
        peaks[name] = peak_mb(
            "train", scene, labels, "-o", scenes / f"{name}-run", "--scale", 8, "--tile", 512,
            "--stride", 512, "--epochs", 1, "-q",
            before="from geofcn import samples; samples.CACHE_BYTES = 2**20",
        )  # fmt: skip
    assert peaks["high"] - peaks["low"] <= ALLOWED_MB, peaks
