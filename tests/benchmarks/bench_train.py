"""How fast training streams a scene that does not fit in its cache, and what memory it takes.

    python tests/benchmarks/bench_train.py [--size 20000] [--steps 60] [--rounds 3] [--net unet]

On a scene of `size` x `size` pixels (one synthetic piece, repeated; deflate) and labels:

    survey    pixels a second of the pass that counts and takes statistics
    streamed  tiles a second of the default recipe, read and varied as training does, from its own
              cache, but of at most a quarter of the decoded scene
    resident  the same steps, their tiles held in memory and varied in the same way: the bound
    prepared  steps on batches that were prepared before: what the optimiser alone takes

and the peak of `geofcn train` on it, one epoch of tiles side by side, in a process of its own
(VmHWM of /proc).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch
from materials import elsewhere, peak, synthetic_piece, write_repeated

from geofcn.core.geodesy import ground_resolution
from geofcn.io.labels import open_labelled_scene
from geofcn.models.nets import make_net
from geofcn.progress import silent
from geofcn.recipes import make_recipe, scale_for
from geofcn.runtime import keep_freed_memory
from geofcn.training.loader import BatchLoader
from geofcn.training.sampling import select
from geofcn.training.survey import survey
from geofcn.training.tiles import CACHE_BYTES, TileCache
from geofcn.training.trainer import Trainer


def steps(trainer: Trainer, batches) -> float:
    """Tiles a second over some batches."""
    start, tiles = time.perf_counter(), 0
    for batch in batches:
        trainer.step(batch, 1, 0.5)
        tiles += len(batch.images)
    return tiles / (time.perf_counter() - start)


def train_peak(scene: Path, labels: Path, run: Path, net: str) -> tuple[float, float]:
    """Megabytes at the peak of a training of one epoch, and its seconds."""
    from geofcn.training.train import train

    start = time.perf_counter()
    train(scene, labels, run, net=net, epochs=1, stride=256, progress=silent)
    return peak() / 1e6, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=20_000)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--net", default="unet")
    parser.add_argument("--no-training", action="store_true", help="leave out the last part")
    given = parser.parse_args()
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        scene, labels = Path(folder) / "scene.tif", Path(folder) / "labels.tif"
        for path, piece in zip((scene, labels), synthetic_piece(), strict=True):
            write_repeated(path, piece, given.size, given.size)
        source = open_labelled_scene(scene, labels)
        plan = make_recipe("default", {"net": given.net, "epochs": 40})
        plan = replace(plan, scale=scale_for(plan.net, ground_resolution(source.scene.grid)))
        tiles = TileCache([source], budget=min(CACHE_BYTES, given.size**2 * 5 // 4))
        start = time.perf_counter()
        found = survey(tiles, plan)
        seconds = time.perf_counter() - start
        print(f"survey    {given.size**2 / seconds / 1e6:7.1f} Mpx/s", flush=True)
        chosen = select(tiles, plan, found)
        batches = BatchLoader(tiles, chosen.windows, chosen.normalisation, plan)
        torch.manual_seed(0)
        trainer = Trainer(make_net(plan.net, 3, plan.scale), plan)
        everything = TileCache([source], budget=1 << 40)
        in_memory = BatchLoader(everything, chosen.windows, chosen.normalisation, plan)
        in_memory.order = batches.order
        ratios = []
        for number in range(1, 1 + given.rounds):
            ready = list(islice(in_memory.epoch(number), given.steps))  # decodes what it needs
            steps(trainer, ready[:10])
            rates = {
                "streamed": steps(trainer, islice(batches.epoch(number), given.steps)),
                "resident": steps(trainer, islice(in_memory.epoch(number), given.steps)),
                "prepared": steps(trainer, ready),
            }
            ratios.append([rates["streamed"] / rates[name] for name in ("resident", "prepared")])
            print(", ".join(f"{name} {rate:.1f} tiles/s" for name, rate in rates.items()))
            everything.forget()
        resident, prepared = map(sorted, zip(*ratios, strict=True))
        for name, found in (("resident", resident), ("prepared", prepared)):
            median, least, most = statistics.median(found), found[0], found[-1]
            print(f"streamed  {median:.2f} of {name} ({least:.2f}-{most:.2f})")
        if given.no_training:
            return
        run = Path(folder) / "run"
        megabytes, seconds = elsewhere(train_peak, scene, labels, run, given.net)
        print(f"training  {megabytes:7.0f} MB at the peak, {seconds:.0f} s for one epoch")


if __name__ == "__main__":
    main()
