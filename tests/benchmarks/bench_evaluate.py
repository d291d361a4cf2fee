"""What memory and time `evaluate` takes for many houses, and whether memory grows with them.

    python tests/benchmarks/bench_evaluate.py [COUNT [FOLDER]]

COUNT (500,000) houses of 10 vertices a side, see bench_matching, as two GeoPackages in FOLDER (a
temporary one), each shuffled; and a tenth of them. Prints the peak of each one's resident memory
above what it was after all imports (Linux only), the time, and the bytes that the files without
names in TMPDIR had at the most, in all and for each house of either side. Figure to meet: five
million a side within 1 GB.
"""

import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from bench_matching import houses
from materials import elsewhere, peak


def write(path: Path, count: int, seed: int | None) -> None:
    from geofcn.io.vector_writer import FeatureBatch, write_polygons

    polygons = houses(count, seed)
    polygons = polygons[np.random.default_rng(1).permutation(count)]
    batches = (FeatureBatch(polygons[i : i + 16384], {}) for i in range(0, count, 16384))
    write_polygons(path, batches, "EPSG:32632", columns={}, overwrite=True)


class NamelessFiles:
    """The most bytes that files without a name held in this process, while the block ran."""

    def __enter__(self):
        self.most, self._left = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._left.set()
        self._thread.join()

    def _watch(self):
        # They only grow until all are closed.
        while not self._left.wait(0.05):
            self.most = max(self.most, sum(map(self._size, Path("/proc/self/fd").iterdir())))

    @staticmethod
    def _size(descriptor: Path) -> int:
        try:
            named = not str(descriptor.readlink()).endswith(" (deleted)")
            return 0 if named else descriptor.stat().st_size
        except OSError:  # closed meanwhile
            return 0


def evaluate(prediction: Path, labels: Path) -> tuple[int, float, int, str]:
    """Bytes above the imports, seconds, bytes in TMPDIR, scores."""
    import geofcn
    import geofcn.evaluation.evaluate

    before, start = peak(), time.perf_counter()
    with NamelessFiles() as files:
        scores = geofcn.evaluate(prediction, labels).objects
    seconds = time.perf_counter() - start
    return peak() - before, seconds, files.most, f"tp {scores.tp}, F1 {scores.f1:.4f}"


def main(count: str = "500000", folder: str = "") -> None:
    with tempfile.TemporaryDirectory(dir=folder or None) as name:
        pair = Path(name) / "prediction.gpkg", Path(name) / "truth.gpkg"
        for number in (int(count) // 10, int(count)):
            for path, seed in zip(pair, (0, None), strict=True):
                elsewhere(write, path, number, seed)
            taken, seconds, kept, scores = elsewhere(evaluate, *pair)
            print(
                f"{number:,} a side: {taken / 2**20:.0f} MB above the imports, {seconds:.1f} s; "
                f"{kept / 1e6:.0f} MB in TMPDIR, {kept / number / 2:.0f} bytes a house; {scores}",
                flush=True,
            )


if __name__ == "__main__":
    main(*sys.argv[1:])
