"""How well labels that were moved are found to be: every place of a folder, in four directions.

    python tests/benchmarks/bench_label_shift.py PLACES [--metres 1.5]

PLACES holds folders with scene.tif and labels.gpkg. For each place: by how much its own labels seem
to lie off, and whether that is told; then the largest error in metres for labels that were moved.
"""

import argparse
import logging
import math
import time
from pathlib import Path

from geofcn.io.labels import open_labelled_scene
from geofcn.training.label_shift import find_shift


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("places", type=Path)
    parser.add_argument("--metres", type=float, default=1.5)
    given = parser.parse_args()
    logging.disable()
    print("place      own x   own y  spread  told  largest error  all told  seconds")
    for folder in sorted(path.parent for path in given.places.glob("*/labels.gpkg")):
        scene, labels = folder / "scene.tif", folder / "labels.gpkg"
        started = time.perf_counter()
        own = find_shift(open_labelled_scene(scene, labels))
        seconds = time.perf_counter() - started
        if own is None:
            print(f"{folder.name:9}  nothing is told")
            continue
        found, errors = [], []
        for degrees in (30, 120, 210, 300):
            x, y = (given.metres * part(math.radians(degrees)) for part in (math.cos, math.sin))
            found.append(find_shift(open_labelled_scene(scene, f"{labels}|shift={x},{y}")))
            if found[-1] is not None:
                errors.append(math.hypot(found[-1].x_m + x, found[-1].y_m + y))
        told = all(shift is not None and shift.is_notable for shift in found)
        print(
            f"{folder.name:9} {own.x_m:6.2f}  {own.y_m:6.2f}  {own.spread_m:6.2f}  "
            f"{'yes' if own.is_notable else 'no':4}  {max(errors):13.2f}  "
            f"{'yes' if told else 'no':8}  {seconds:7.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
