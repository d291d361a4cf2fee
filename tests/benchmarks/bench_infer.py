"""How fast inference is, against what the machine can do, measured in the same run.

    python tests/benchmarks/bench_infer.py [--size 10000] [--rounds 3] [--repeat SCENE MODEL]
    python tests/benchmarks/bench_infer.py --windows [--rounds 3]

bound      the fp32 matrix rate of this machine, as pixels a second of the unmerged net's FLOPs
resident   the forward pass of a 512 px tile that lies in memory, over and over for two seconds
plain      a loop over 128 px tiles with the eager, contiguous net: read, infer, write
infer      `geofcn.infer` from a GeoTIFF: to the last shard, and to the verified COG; also with
           polygons in the same run, and by two worker processes of one thread each
repeat     the same of a user's scene (three bands of bytes), repeated to the size, and a model

Outputs are written while the net computes, so that the last shard's time holds most of theirs. The
nets that write masks are trained for a moment on a synthetic scene, so that these have houses, and
far more specks than a user's: what polygons cost a user, --repeat tells. All figures in Mpx/s of
the scene, the median of the rounds; ratios are of figures of one round.

--windows measures the default net alone against unet, both with random weights at the scales that
they have by default at 0.14 m: one compute window with its halo on every side, in one thread, by
processor time, which other work on the machine disturbs less.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import rasterio
import torch
from materials import elsewhere, synthetic_piece, train_model, write_repeated

from geofcn.core.pixels import Normalisation
from geofcn.core.windows import Window
from geofcn.inference.infer import infer
from geofcn.io.opening import open_scene
from geofcn.models.device import one_torch_thread
from geofcn.models.merged import Merged
from geofcn.models.model import Model, ModelMetadata
from geofcn.models.model_file import load_model
from geofcn.models.nets import make_net
from geofcn.models.predictor import Predictor, compute_window_side
from geofcn.runtime import keep_freed_memory

# FLOPs a pixel of the scene at scale 1: two for each multiply-add of every layer, unmerged.
FLOPS = {
    "fcnn": 2 * (3 * 9 * 16 + 16 * 9 * 32 + 32 * 9 * 16 / 4 + 16 * 25 * 2),
    "fcnn2": 2 * (3 * 9 * 16 + 16 * 9 * 32 + 32 * 9 * 16 / 4 + 16 * 9 * 16 / 4 + 16 * 25 * 2),
}


def seconds(function: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def matrix_rate() -> float:
    """GFLOP/s of a 2048^3 fp32 matrix product, the best of five."""
    a, b = torch.randn(2, 2048, 2048)
    return 2 * 2048**3 / min(seconds(lambda: a @ b) for _ in range(5)) / 1e9


def resident_rate(net: torch.nn.Module, side: int = 512, lasting: float = 2) -> float:
    """Mpx/s of the merged net on one tile in memory, for `lasting` seconds."""
    merged = Merged(net, 3)
    tile = torch.randn(1, 3, side, side).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        merged(tile)
        passes, start = 0, time.perf_counter()
        while (passed := time.perf_counter() - start) < lasting:
            merged(tile)
            passes += 1
    return passes * side**2 / passed / 1e6


def random_net(name: str) -> torch.nn.Module:
    """A net with fixed random weights; their values do not change the time."""
    torch.manual_seed(0)
    net = make_net(name, 3).to(memory_format=torch.channels_last)
    return net.eval().requires_grad_(False)


def plain_rate(scene: Path, limit: int = 2048) -> float:
    """Mpx/s of the plain way on the first rows and columns of the scene, as a user would write it:
    in a process of its own, start-up apart.
    """
    return elsewhere(_plain_rate, scene, limit)


def _plain_rate(scene: Path, limit: int) -> float:
    net = make_net("fcnn2", 3).eval()
    net.features = partial(_contiguous_features, net)

    def run() -> None:
        with rasterio.open(scene) as source, torch.inference_mode():
            profile = source.profile | {"count": 1, "photometric": None}
            with rasterio.open(scene.with_name("plain.tif"), "w", **profile) as sink:
                for row in range(0, limit, 128):
                    for col in range(0, limit, 128):
                        where = ((row, row + 128), (col, col + 128))
                        tile = (source.read(window=where).astype(np.float32) - 110) / 50
                        classes = net(torch.from_numpy(tile)[None]).argmax(1)[0]
                        sink.write(classes.numpy().astype(np.uint8), 1, window=where)

    return limit**2 / seconds(run) / 1e6


def _contiguous_features(net: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The net as its definition reads: no memory format, relu before the pooling."""
    x = torch.relu(net.conv2(torch.relu(net.conv1(x))))
    return torch.relu(net.conv3(torch.nn.functional.max_pool2d(x, 2)))


class Clock:
    """A geofcn.progress.Progress that remembers when each step began and ended."""

    def __init__(self) -> None:
        self.steps: dict[str, list[float]] = {}

    def __call__(self, what: str, total: int, unit: str) -> Clock:
        self.now = what
        return self

    def __enter__(self) -> Clock:
        self.steps[self.now] = [time.perf_counter()]
        return self

    def __exit__(self, *exception) -> None:
        self.steps[self.now].append(time.perf_counter())

    def advance(self, amount: int, **figures: float) -> None:
        """Not of interest here."""


def infer_rates(scene: Path, model: Path, size: int, **options) -> tuple[float, float]:
    """Mpx/s from the first read to the last shard, and to the verified COG."""
    clock = Clock()
    infer(
        scene, scene.with_name("mask.tif"), model=model, overwrite=True, progress=clock, **options
    )
    end = time.perf_counter()
    start, last_shard = clock.steps["inference"]
    return size**2 / (last_shard - start) / 1e6, size**2 / (end - start) / 1e6


def window_rates(folder: Path, rounds: int) -> None:
    """Print Mpx a core second of a compute window of unet and lite, and the ratio."""
    image = np.random.default_rng(0).integers(0, 255, (3, 2048, 2048)).astype(np.uint8)
    write_repeated(folder / "scene.tif", image, 7168, 7168, None)
    scene, passes = open_scene(folder / "scene.tif"), {}
    for name, scale in (("unet", 4), ("lite", 2)):
        metadata = ModelMetadata(name, scale, "nearest", scene.colours, "uint8")
        mean, deviation = np.full((3, 1, 1), 110, np.float32), np.full(3, 50, np.float32)
        net = make_net(name, 3, scale).eval().requires_grad_(False)
        model = Model(net, Normalisation(mean, deviation), metadata)
        side = compute_window_side(model)
        window = Window(side, side, side, side)
        passes[name] = partial(Predictor(model).window, scene, window), window.pixels
    rows: dict[str, list[float]] = {name: [] for name in passes}
    with one_torch_thread():
        for number in range(rounds + 1):
            for name, (compute, pixels) in passes.items():
                start = time.process_time()
                compute()
                if number:  # the first pass gets ready
                    rows[name].append(pixels / (time.process_time() - start) / 1e6)
    report(rows, {"lite": "unet"})


def report(rows: dict[str, list[float]], against: dict[str, str]) -> None:
    """Print medians of figures, and their ratios to others, round by round."""
    for name, base in against.items():
        ratios = [value / other for value, other in zip(rows[name], rows[base], strict=True)]
        print(
            f"{name:<28}{statistics.median(rows[name]):8.2f} Mpx/s, "
            f"{statistics.median(ratios):5.2f} ({min(ratios):.2f}-{max(ratios):.2f}) x {base} "
            f"({statistics.median(rows[base]):.2f})",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--windows", action="store_true", help="lite against unet, nothing else")
    parser.add_argument("--repeat", nargs=2, type=Path, metavar=("SCENE", "MODEL"))
    options = parser.parse_args()
    keep_freed_memory()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {sys.platform}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.windows:
            window_rates(folder, options.rounds)
            return
        model = folder / "fcnn2.safetensors"
        train_model(model, net="fcnn2", scale=1, tile=128, epochs=6)
        nets = {"fcnn": random_net("fcnn"), "fcnn2": load_model(model).net.requires_grad_(False)}
        for net in ("fcnn2", "unet"):
            train_model(folder / f"{net}-4.safetensors", net=net, scale=4, epochs=80)
        size, (piece, _) = (options.size, options.size), synthetic_piece()
        for kind, compress in (("deflate", "deflate"), ("uncompressed", None)):
            write_repeated(folder / f"{kind}.tif", piece, *size, compress)
        if options.repeat:
            with rasterio.open(options.repeat[0]) as dataset:
                write_repeated(folder / "repeat.tif", dataset.read((1, 2, 3)), *size)
        rounds = []
        for _ in range(options.rounds):
            row = {}
            rate = matrix_rate()
            for net in FLOPS:
                row[f"{net} bound"] = 1000 * rate / FLOPS[net]
                row[f"{net} resident"] = resident_rate(nets[net])
            row["fcnn2 plain, deflate"] = plain_rate(folder / "deflate.tif")
            for kind in ("deflate", "uncompressed"):
                shard, cog = infer_rates(folder / f"{kind}.tif", model, options.size)
                row[f"fcnn2 {kind}, last shard"], row[f"fcnn2 {kind}, COG"] = shard, cog
            scene = folder / "deflate.tif"
            row["fcnn2 deflate, 2 workers"], _ = infer_rates(scene, model, options.size, workers=2)
            for net in ("fcnn2", "unet"):
                shard, cog = infer_rates(scene, folder / f"{net}-4.safetensors", options.size)
                row[f"{net} scale 4, last shard"], row[f"{net} scale 4, COG"] = shard, cog
            polygons = {"polygons": folder / "houses.gpkg"}
            _, row["unet scale 4, polygons"] = infer_rates(
                scene, folder / "unet-4.safetensors", options.size, **polygons
            )
            if options.repeat:
                given = folder / "repeat.tif", options.repeat[1], options.size
                _, row["repeat, COG"] = infer_rates(*given)
                _, row["repeat, polygons"] = infer_rates(*given, **polygons)
            rounds.append(row)
            print(f"round {len(rounds)} done", flush=True)
        rows = {name: [row[name] for row in rounds] for name in rounds[0]}
        report(rows, {f"{net} resident": f"{net} bound" for net in FLOPS})
        ends = [name for name in rows if "shard" in name or "COG" in name]
        report(rows, dict.fromkeys(ends, "fcnn2 resident"))
        report(rows, dict.fromkeys(ends, "fcnn2 plain, deflate"))
        report(
            rows,
            {
                "fcnn2 scale 4, last shard": "fcnn2 deflate, last shard",
                "fcnn2 deflate, 2 workers": "fcnn2 deflate, last shard",
                "unet scale 4, polygons": "unet scale 4, COG",
            },
        )
        if options.repeat:
            report(rows, {"repeat, polygons": "repeat, COG"})


if __name__ == "__main__":
    main()
