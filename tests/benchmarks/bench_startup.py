"""How long a command takes that has next to nothing to do.

    python tests/benchmarks/bench_startup.py [--rounds 5]

`geofcn --help`, `geofcn infer --help` and `geofcn info` of a small synthetic scene, and beside them
an empty Python process and one that imports rasterio and pyproj, without which no scene is opened.
Prints the median of the rounds in seconds, and what the bounds take of it. Figures to meet: .25 s
for the help, 1.0 s for info.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import geofcn


def seconds(*arguments: object) -> float:
    """Wall time of a Python process."""
    start = time.perf_counter()
    command = [sys.executable, "-P", *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        scene = geofcn.sample(Path(folder), size=512).scene
        commands = {
            "python -c ''": ("-c", ""),
            "geofcn --help": ("-m", "geofcn_cli", "--help"),
            "geofcn infer --help": ("-m", "geofcn_cli", "infer", "--help"),
            "import rasterio, pyproj": ("-c", "import rasterio, pyproj"),
            "geofcn info": ("-m", "geofcn_cli", "info", scene),
        }
        times = {name: [] for name in commands}
        for number in range(rounds + 1):
            for name, arguments in commands.items():
                taken = seconds(*arguments)
                if number:  # the first round fills the caches of the disk
                    times[name].append(taken)
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    for name, median in medians.items():
        print(f"{name:<24} {median:.3f} s")
    empty, imports = medians["python -c ''"], medians["import rasterio, pyproj"]
    print(f"help: an empty process takes {empty / medians['geofcn --help']:.2f} of it")
    print(f"info: importing rasterio and pyproj takes {imports / medians['geofcn info']:.2f} of it")


if __name__ == "__main__":
    main()
