"""What the benchmarks of big scenes are made of: scenes, labels, models, memory."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio

PIECE = 2048


def synthetic_piece() -> tuple[np.ndarray, np.ndarray]:
    """A part of a synthetic scene: image (3, PIECE, PIECE), labels (1, PIECE, PIECE); uint8."""
    from geofcn.core.windows import Window
    from geofcn.synthetic.scene import SyntheticScene

    scene, part = SyntheticScene(PIECE * 2), Window(PIECE // 2, PIECE // 2, PIECE, PIECE)
    return scene.paint(part)[0], (scene.labels(part) == 1).astype(np.uint8)[None]


def write_repeated(
    path: Path, piece: np.ndarray, height: int, width: int, compress: str | None = "deflate"
) -> None:
    """A tiled GeoTIFF: one piece (bands, rows, columns), repeated over height x width pixels."""
    bands, rows, cols = piece.shape
    profile = {"driver": "GTiff", "height": height, "width": width, "count": bands}
    profile |= {"crs": "EPSG:32632", "transform": rasterio.Affine(0.2, 0, 677e3, 0, -0.2, 5152e3)}
    profile |= {"dtype": piece.dtype, "tiled": True, "blockxsize": 512, "blockysize": 512}
    profile |= {"bigtiff": "if_safer", "num_threads": 2}
    if bands == 3:
        profile["photometric"] = "rgb"
    if compress:
        profile |= {"compress": compress, "predictor": 2}
    with rasterio.open(path, "w", **profile) as dataset:
        for row in range(0, height, rows):
            for col in range(0, width, cols):
                part = piece[:, : height - row, : width - col]
                where = ((row, row + part.shape[1]), (col, col + part.shape[2]))
                dataset.write(part, window=where)


def train_model(path: Path, **options) -> None:
    """A model after some epochs on a synthetic scene, saved at `path`."""
    import geofcn

    made = geofcn.sample(path.parent / "sample", size=1024, overwrite=True)
    run = geofcn.train(made.scene, made.polygons, path.parent / "run", overwrite=True, **options)
    run.model.rename(path)


def elsewhere(function: Callable, *args: object) -> object:
    """function(*args) in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, args)


def peak() -> int:
    """The most bytes that were resident at once, in the life of this process."""
    from geofcn.runtime import peak_memory

    return peak_memory()
