"""How much memory inference takes, and whether it grows with the scene.

    python tests/benchmarks/bench_memory.py [--width 20000] [--height 20000] [--net fcnn2]

`geofcn.infer`, with polygons, in a process of its own for a scene of that size and for one twice as
high. Prints the peak of each one's resident memory above what it was after all imports (VmHWM of
/proc: Linux only), what the second took more, and the time.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio
import torch

PIECE = 2048
BLOCK = 512


def peak() -> int:
    """The most bytes that were resident at once, in the life of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def make_scene(path: Path, height: int, width: int) -> None:
    """A tiled three-band scene: one piece of a synthetic one, repeated."""
    from geofcn.grid import Window
    from geofcn.synthetic import SyntheticScene

    piece, _ = SyntheticScene(PIECE * 2).paint(Window(PIECE // 2, PIECE // 2, PIECE, PIECE))
    profile = {"driver": "GTiff", "height": height, "width": width, "count": 3, "dtype": "uint8"}
    profile |= {"crs": "EPSG:32632", "transform": rasterio.Affine(0.2, 0, 677e3, 0, -0.2, 5152e3)}
    profile |= {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "photometric": "rgb"}
    profile |= {"compress": "deflate", "zlevel": 1, "num_threads": 2, "bigtiff": "if_safer"}
    with rasterio.open(path, "w", **profile) as dataset:
        for row in range(0, height, PIECE):
            for col in range(0, width, PIECE):
                part = piece[:, : min(PIECE, height - row), : min(PIECE, width - col)]
                where = ((row, row + part.shape[1]), (col, col + part.shape[2]))
                dataset.write(part, window=where)


def make_model(path: Path, net: str, scale: int) -> None:
    """A model that finds bright spots, so that there are polygons; its weights are random."""
    from geofcn.model import Card, Model
    from geofcn.modelfile import save_model
    from geofcn.nets import make_net
    from geofcn.pixels import Normalisation

    torch.manual_seed(0)
    normalisation = Normalisation(np.full((3, 1, 1), 110, np.float32), np.full(3, 50, np.float32))
    card = Card(net, scale, "nearest", ("red", "green", "blue"), "uint8")
    save_model(Model(make_net(net, 3, scale).eval(), normalisation, card), path)


def elsewhere(function: Callable, *args: object) -> object:
    """function(*args) in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, args)


def infer_scene(scene: Path, mask: Path, model: Path, polygons: Path | None) -> tuple[int, float]:
    """Bytes above the imports, and seconds."""
    import geofcn.infer
    import geofcn.vectorout

    before, start = peak(), time.perf_counter()
    geofcn.infer(scene, mask, model=model, polygons=polygons, overwrite=True)
    return peak() - before, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=20_000)
    parser.add_argument("--height", type=int, default=20_000)
    parser.add_argument("--net", default="fcnn2")
    parser.add_argument("--scale", type=int, default=1)
    parser.add_argument("--polygons", action="store_true", help="write polygons as well")
    given = parser.parse_args()
    peaks = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = folder / "model.safetensors"
        make_model(model, given.net, given.scale)
        for height in (given.height, 2 * given.height):
            scene = folder / "scene.tif"
            elsewhere(make_scene, scene, height, given.width)
            polygons = folder / "houses.gpkg" if given.polygons else None
            taken, seconds = elsewhere(infer_scene, scene, folder / "mask.tif", model, polygons)
            peaks.append(taken)
            rate = height * given.width / seconds / 1e6
            print(
                f"{height:>6} x {given.width}: {taken / 2**20:5.0f} MB over the imports, "
                f"{seconds:4.0f} s, {rate:.1f} Mpx/s",
                flush=True,
            )
    print(f"twice the height: {100 * (peaks[1] / peaks[0] - 1):+.1f} % memory")


if __name__ == "__main__":
    main()
