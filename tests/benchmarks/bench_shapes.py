"""Rates of inference and `polygonize` for scenes of odd shapes, over those of a square one.

    python tests/benchmarks/bench_shapes.py [--side 14336] [--long 50176] [--mask-width 1048576]

All in one process, so without its start: inference (mask, probabilities, polygons) of a VRT that is
tall, of one that is square and of one that is wide, twice, with the stub net of `bench_memory.py`;
then `polygonize` of a mask 1,024 rows high, and of one 65,536 columns wide with as many pixels.
Rates by wall clock and by processor time, which other work on the machine disturbs less.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
from bench_memory import write_vrt
from materials import synthetic_piece, train_model, write_repeated

import geofcn


def timed(name: str, pixels: int, function: object, *args: object, **options: object) -> None:
    """Print the rate of a call."""
    start, core = time.perf_counter(), time.process_time()
    function(*args, **options, overwrite=True)
    wall, core = time.perf_counter() - start, time.process_time() - core
    rates = f"{pixels / wall / 1e6:6.1f} Mpx/s, {pixels / core / 1e6:6.1f} Mpx a core second"
    print(f"{name:<30} {rates}", flush=True)


def write_mask(path: Path, labels: np.ndarray, height: int, width: int) -> None:
    """A mask in blocks of 256 px, like those of geofcn: labels (rows, columns) repeated."""
    profile = {"driver": "GTiff", "count": 1, "dtype": "uint8", "height": height, "width": width}
    profile |= {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate"}
    profile |= {"crs": "EPSG:32632", "transform": rasterio.Affine(0.2, 0, 677e3, 0, -0.2, 5152e3)}
    rows, cols = labels.shape
    with rasterio.open(path, "w", **profile) as dataset:
        for row in range(0, height, rows):
            for col in range(0, width, cols):
                part = labels[: height - row, : width - col]
                where = ((row, row + len(part)), (col, col + part.shape[1]))
                dataset.write(part, 1, window=where)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=14_336)
    parser.add_argument("--long", type=int, default=50_176)
    parser.add_argument("--mask-width", type=int, default=2**20)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        image, labels = synthetic_piece()
        write_repeated(folder / "piece.tif", image, *image.shape[1:])
        model, polygons = folder / "stub.safetensors", folder / "houses.gpkg"
        train_model(model, net="fcnn", scale=8, epochs=20)
        short = given.side**2 // given.long
        sizes = [(short, given.long), (given.side, given.side), (given.long, short)]
        for width, height in [sizes[1], *sizes, *sizes[::-1]]:  # the first run warms up
            scene = folder / "scene.vrt"
            write_vrt(scene, folder / "piece.tif", height, width)
            outputs = {"probability": folder / "p.tif", "polygons": polygons}
            label = f"infer {width} x {height}"
            pixels = width * height
            timed(label, pixels, geofcn.infer, scene, folder / "m.tif", model=model, **outputs)
        pixels = 1024 * given.mask_width
        for width in (2**16, given.mask_width) * 2:
            mask = folder / f"{width}.tif"
            if not mask.exists():
                write_mask(mask, labels[0], pixels // width, width)
            timed(f"polygonize {width} wide", pixels, geofcn.polygonize, mask, polygons)


if __name__ == "__main__":
    main()
