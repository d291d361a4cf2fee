"""How well a model does on a place it has never seen: one scene is left out, the others train.

    python tests/benchmarks/bench_places.py DATA [--scenes a,b,...] [--out a,b,...] [--at-once N]
        [--halves c,...] [--labels NAME] [--folder RUNS] [-- OPTIONS of geofcn train]

DATA holds a folder with scene.tif and the labels NAME (labels.gpkg) for each scene. Every scene is
left out in turn: the others train by `geofcn train`, with the options after `--`, and `geofcn
infer` and `geofcn evaluate` score the model on it. A scene of --halves is a case of its own: its
left half trains, its right half is scored (`--out "" --halves dense` is that case alone). Pixels
are those of the mask, objects the polygons that `infer` writes, of 10 square metres and more,
against the labels; only vectors tell houses that touch apart. Runs are kept in RUNS: a run that is
there is scored again, not trained again. One row a case: precision, recall, F1 of pixels, F1 and
panoptic quality of objects, merged predictions, split houses, and core minutes of training:
processor time, which a machine that does other things does not stretch. With --at-once N, N
trainings run beside each other, each on its share of the processors.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

SCENES = "karezza,tschars,glurns,reschen,girlan,bozen"
SMALLEST = 10


def geofcn(*arguments: object, threads: int) -> tuple[str, float]:
    """What a command of geofcn prints, and the seconds of processor time it takes."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-m", "geofcn_cli", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    with process.stdout:
        printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return printed, usage.ru_utime + usage.ru_stime


@dataclass(frozen=True)
class Case:
    """A place, the scenes that train for it, and the share of its columns from which on it counts.

    Where that share is above 0, what lies before it trains.
    """

    name: str
    training: list[str]
    start: float = 0.0


def columns(scene: Path, start: float, end: float, path: Path) -> Path:
    """A vector file of what lies between two shares of a scene's columns."""
    import numpy as np
    import rasterio
    import shapely

    from geofcn.io.vector_writer import FeatureBatch, write_polygons

    with rasterio.open(scene) as raster:
        corners = [(start, 0), (end, 0), (end, 1), (start, 1)]
        ring = [raster.transform * (x * raster.width, y * raster.height) for x, y in corners]
        part = FeatureBatch(np.array([shapely.Polygon(ring)]), {})
        write_polygons(path, [part], raster.crs, columns={}, overwrite=True)
    return path


def score(case: Case, data: Path, labels: str, runs: Path, threads: int, options) -> dict:
    """Train for a case, unless that was done, and score."""
    run, place = runs / case.name, data / case.name
    if not (run / "overlay.png").exists():
        pairs = [[data / name / "scene.tif", data / name / labels] for name in case.training]
        others = [word for pair in pairs[1:] for word in ("--and", *pair)]
        if case.start:
            left = columns(place / "scene.tif", 0, case.start, runs / f"{case.name}-left.gpkg")
            others += ["--area", left]
        _, seconds = geofcn("train", *pairs[0], *others, "-o", run, "-q", *options, threads=threads)
        (run / "core-minutes").write_text(f"{seconds / 60:.1f}")
    mask, houses = runs / f"{case.name}.tif", runs / f"{case.name}.gpkg"
    geofcn("infer", place / "scene.tif", mask, "--polygons", houses, "--model",
           run / "best-f1.safetensors", "--overwrite", "-q", threads=threads)  # fmt: skip
    area = columns(place / "scene.tif", case.start, 1, runs / f"{case.name}-scored.gpkg")
    scores = {"minutes": float((run / "core-minutes").read_text())}
    for side, prediction in (("pixels", mask), ("objects", houses)):
        printed, _ = geofcn("evaluate", prediction, place / labels, "--area", area, "--min-area",
                            SMALLEST, "--json", threads=threads)  # fmt: skip
        scores[side] = json.loads(printed)[side]
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--scenes", default=SCENES)
    parser.add_argument("--out")
    parser.add_argument("--halves", default="")
    parser.add_argument("--labels", default="labels.gpkg")
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("places"))
    own, options = sys.argv[1:], []
    if "--" in own:
        cut = own.index("--")
        own, options = own[:cut], own[cut + 1 :]
    given = parser.parse_args(own)
    scenes, threads = given.scenes.split(","), max(1, (os.cpu_count() or 1) // given.at_once)
    given.folder.mkdir(parents=True, exist_ok=True)
    left_out, halves = given.scenes if given.out is None else given.out, given.halves
    cases = [Case(name, [s for s in scenes if s != name]) for name in left_out.split(",") if name]
    cases += [Case(name, [name], start=0.5) for name in halves.split(",") if name]
    scored = partial(
        score, data=given.data, labels=given.labels, runs=given.folder, threads=threads,
        options=options,
    )  # fmt: skip
    print("| scored | precision | recall | F1 | object F1 | PQ | merged | split | core minutes |")
    print("|---|---|---|---|---|---|---|---|---|")
    rows = []
    with ThreadPoolExecutor(given.at_once) as pool:
        for case, scores in zip(cases, pool.map(scored, cases), strict=True):
            pixels, objects = scores["pixels"], scores["objects"]
            shares = [pixels["precision"], pixels["recall"], pixels["f1"]]
            shares = [value or 0 for value in (*shares, objects["f1"], objects["pq"])]
            rows.append([*shares, objects["merged"], objects["split"], scores["minutes"]])
            print(row(case.name, rows[-1]), flush=True)
    print(row("mean", [statistics.mean(column) for column in zip(*rows, strict=True)]))


def row(name: str, values: list[float]) -> str:
    """A row of the table; five of the values are shares of 1."""
    *counts, minutes = values[5:]
    texts = [f"{100 * value:.1f}" for value in values[:5]] + [f"{count:.0f}" for count in counts]
    return f"| {name} | " + " | ".join([*texts, f"{minutes:.1f}"]) + " |"


if __name__ == "__main__":
    main()
