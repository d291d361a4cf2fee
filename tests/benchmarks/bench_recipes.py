"""How soon the default recipe reaches a score, against the wall time of the exercise's recipe.

    python tests/benchmarks/bench_recipes.py SCENE LABELS [--nets fcnn2,fcnn,unet] [--epochs N]
        [--exercise-epochs 2] [--levels .74,.955] [-- OPTIONS of the recipe as name=value]

The exercise's recipe is timed for a few of its 200 epochs, training and scoring. The default recipe
is then trained on the scene and scored on it (validate_fraction 0), as the exercise is, for each
net.
Prints the curve, and for each level of F1 the seconds and their share of the exercise's 200 epochs.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from unittest.mock import patch

import geofcn
from geofcn.training.loop import TrainingLoop
from geofcn.training.run import Run


def curve(scene: str, labels: str, **options) -> tuple[list[tuple[float, float]], float]:
    """(seconds, F1) after each epoch, and the seconds before the first step; scoring included."""
    times: list[float] = []
    fit, keep = TrainingLoop.fit, Run.keep
    start = time.perf_counter()
    began: list[float] = []

    def fitting(*arguments):
        began.append(time.perf_counter())
        fit(*arguments)

    def noting(*arguments):
        times.append(time.perf_counter() - start)
        keep(*arguments)

    with (
        tempfile.TemporaryDirectory() as run,
        patch.object(TrainingLoop, "fit", fitting),
        patch.object(Run, "keep", noting),
    ):
        training = geofcn.train(scene, labels, run, overwrite=True, **options)
    return list(zip(times, [row.f1 for row in training.epochs], strict=True)), began[0] - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene")
    parser.add_argument("labels")
    parser.add_argument("--nets", default="fcnn2")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--exercise-epochs", type=int, default=2)
    parser.add_argument("--levels", default=".74,.955")
    parser.add_argument("options", nargs="*")
    given = parser.parse_args()
    options = {}
    for option in given.options:
        name, _, value = option.partition("=")
        options[name] = json.loads(value) if value[:1] in "0123456789-.[" else value
    found, before = curve(
        given.scene, given.labels, recipe="exercise", epochs=given.exercise_epochs
    )
    epoch = (found[-1][0] - before) / given.exercise_epochs
    whole = before + 200 * epoch
    print(f"exercise: {epoch:.1f} s an epoch, {whole:.0f} s for 200", flush=True)
    for net in given.nets.split(","):
        found, before = curve(
            given.scene, given.labels, net=net, epochs=given.epochs, validate_fraction=0.0,
            **options,
        )  # fmt: skip
        shown = found[:: max(1, len(found) // 20)] + found[-1:]
        print(f"{net}: " + ", ".join(f"{seconds:.0f} s {f1:.3f}" for seconds, f1 in shown))
        for level in map(float, given.levels.split(",")):
            seconds = next((seconds for seconds, f1 in found if f1 >= level), None)
            if seconds is None:
                print(f"  F1 {level}: not reached (best {max(f1 for _, f1 in found):.4f})")
            else:
                print(f"  F1 {level}: {seconds:.1f} s, 1/{whole / seconds:.0f} of the exercise's")


if __name__ == "__main__":
    main()
