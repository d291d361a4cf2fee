"""How fast, and in how much memory, polygons are written.

    python tests/benchmarks/bench_vector_writer.py [COUNT [ENDING ...]]

Each format is written by a process of its own: COUNT (1,000,000) polygons of 10 vertices in
batches of 5,000, the time they take to make and to be read back included. Figures to meet for
.gpkg: 120,000 polygons a second, 300 MB more than the process had before.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import shapely

from geofcn.io.vector_writer import DRIVERS, FeatureBatch, write_polygons
from geofcn.runtime import peak_memory

BATCH = 5_000
PER_ROW = 1_000
# The outline of a U-shaped house, in metres.
HOUSE = np.array(
    [(0, 0), (20, 0), (20, 12), (14, 12), (14, 5), (7, 5), (7, 12), (3, 12), (3, 10), (0, 10)]
)


def batches(count: int) -> Iterator[FeatureBatch]:
    """`count` houses on a grid of 25 m, in reading order."""
    for start in range(0, count, BATCH):
        ids = np.arange(start, min(start + BATCH, count))
        corners = np.column_stack([ids % PER_ROW, ids // PER_ROW]) * 25.0 + (660_000, 5_140_000)
        columns = {
            "id": ids,
            "area_m2": np.full(len(ids), 161.0),
            "perimeter_m": np.full(len(ids), 78.0),
            "score": (ids % 500) / 1000 + 0.5,
            "n_px": np.full(len(ids), 2576),
            "status": np.full(len(ids), "squared", dtype=object),
        }
        yield FeatureBatch(shapely.polygons(corners[:, None, :] + HOUSE), columns)


def measure(count: int, ending: str) -> None:
    """Write in this process; print the rate and by how much its memory grew at most."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"houses{ending}"
        before = psutil.Process().memory_info().rss
        start = time.perf_counter()
        write_polygons(path, batches(count), "EPSG:25832")
        seconds = time.perf_counter() - start
        rate, grown, size = count / seconds, peak_memory() - before, path.stat().st_size
        print(
            f"{ending:9} {rate:9,.0f} polygons/s, peak memory +{grown / 1e6:.0f} MB, "
            f"file {size / 1e6:.0f} MB",
            flush=True,
        )


def main(count: str = "1000000", *endings: str) -> None:
    for ending in endings or DRIVERS:
        subprocess.run([sys.executable, __file__, "--child", count, ending], check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        measure(int(sys.argv[2]), sys.argv[3])
    else:
        main(*sys.argv[1:])
