"""How well a model does on a place it has never seen: one scene is left out, the others train.

    python tests/benchmarks/bench_places.py DATA [--scenes a,b,...] [--out a,b,...] [--at-once N]
        [--folder RUNS] [-- OPTIONS of geofcn train]

DATA holds a folder with scene.tif and labels.tif for each scene. Every scene is left out in turn:
the others train by `geofcn train`, with the options after `--`, and `geofcn infer` and `geofcn
evaluate` score the model on it, at the threshold it stores. Runs are kept in RUNS: a run that is
there is scored again, not trained again. One row a scene: precision, recall, F1 of pixels, F1 of
objects of 10 square metres and more, and core minutes of training: processor time, which a machine
that does other things does not stretch. With --at-once N, N trainings run beside each other, each
on its share of the processors.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
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


def leave_out(out: str, scenes: list[str], data: Path, runs: Path, threads: int, options) -> dict:
    """Train on all scenes but `out`, score on it."""
    run = runs / out
    if not (run / "overlay.png").exists():
        pairs = [[data / s / "scene.tif", data / s / "labels.tif"] for s in scenes if s != out]
        others = [word for pair in pairs[1:] for word in ("--and", *pair)]
        _, seconds = geofcn("train", *pairs[0], *others, "-o", run, "-q", *options, threads=threads)
        (run / "core-minutes").write_text(f"{seconds / 60:.1f}")
    mask, labels = runs / f"{out}.tif", data / out / "labels.tif"
    model = run / "best-f1.safetensors"
    geofcn("infer", data / out / "scene.tif", mask, "--model", model, "--overwrite", "-q",
           threads=threads)  # fmt: skip
    scores, _ = geofcn("evaluate", mask, labels, "--min-area", SMALLEST, "--json", threads=threads)
    return json.loads(scores) | {"minutes": float((run / "core-minutes").read_text())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--scenes", default=SCENES)
    parser.add_argument("--out")
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("places"))
    own, options = sys.argv[1:], []
    if "--" in own:
        cut = own.index("--")
        own, options = own[:cut], own[cut + 1 :]
    given = parser.parse_args(own)
    scenes, threads = given.scenes.split(","), max(1, (os.cpu_count() or 1) // given.at_once)
    given.folder.mkdir(parents=True, exist_ok=True)
    score = partial(
        leave_out, scenes=scenes, data=given.data, runs=given.folder, threads=threads,
        options=options,
    )  # fmt: skip
    print("| left out | precision | recall | F1 | object F1 | core minutes |")
    print("|---|---|---|---|---|---|")
    left_out = (given.out or given.scenes).split(",")
    found = []
    with ThreadPoolExecutor(given.at_once) as pool:
        for name, scores in zip(left_out, pool.map(score, left_out), strict=True):
            pixels, objects = scores["pixels"], scores["objects"]
            row = [pixels["precision"], pixels["recall"], pixels["f1"], objects["f1"] or 0]
            found.append([*row, scores["minutes"]])
            print(f"| {name} | " + " | ".join(f"{100 * v:.1f}" for v in row), end=" | ")
            print(f"{scores['minutes']:.1f} |", flush=True)
    means = [statistics.mean(column) for column in zip(*found, strict=True)]
    print("| mean | " + " | ".join(f"{100 * v:.1f}" for v in means[:4]) + f" | {means[4]:.1f} |")


if __name__ == "__main__":
    main()
