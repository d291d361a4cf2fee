"""How much memory inference takes, and whether it grows with the scene.

    python tests/benchmarks/bench_memory.py [--width 20000] [--height 20000] [--rounds 3]
        [--net fcnn2] [--scale 1] [--polygons]

`geofcn.infer` in a process of its own for a scene of that size and for one twice as high, with a
net that was trained on a synthetic scene, so that there are houses. Prints the peak of each one's
resident memory above what it was after all imports (VmHWM of /proc: Linux only) and the time, and
of the medians of the rounds what the second took more: where in its heap a pass finds room depends
on what two threads hold in that moment, so that runs of one scene differ by a tenth.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from materials import elsewhere, peak, synthetic_piece, train_model, write_repeated


def infer_scene(scene: Path, mask: Path, model: Path, polygons: Path | None) -> tuple[int, float]:
    """Bytes above the imports, and seconds."""
    import geofcn.inference.infer
    import geofcn.io.vector_writer

    before, start = peak(), time.perf_counter()
    geofcn.infer(scene, mask, model=model, polygons=polygons, overwrite=True)
    return peak() - before, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=20_000)
    parser.add_argument("--height", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--net", default="fcnn2")
    parser.add_argument("--scale", type=int, default=1)
    parser.add_argument("--polygons", action="store_true", help="write polygons as well")
    given = parser.parse_args()
    heights = given.height, 2 * given.height
    peaks = {height: [] for height in heights}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = folder / "model.safetensors"
        train_model(model, net=given.net, scale=given.scale, epochs=20)
        piece, _ = synthetic_piece()
        for height in heights:
            write_repeated(folder / f"{height}.tif", piece, height, given.width)
        polygons = folder / "houses.gpkg" if given.polygons else None
        for height in heights * given.rounds:
            scene = folder / f"{height}.tif"
            taken, seconds = elsewhere(infer_scene, scene, folder / "mask.tif", model, polygons)
            peaks[height].append(taken)
            rate = height * given.width / seconds / 1e6
            print(
                f"{height:>6} x {given.width}: {taken / 2**20:5.0f} MB over the imports, "
                f"{seconds:4.0f} s, {rate:.1f} Mpx/s",
                flush=True,
            )
    once, twice = (statistics.median(peaks[height]) for height in heights)
    print(
        f"medians {once / 2**20:.0f} and {twice / 2**20:.0f} MB; "
        f"twice the height: {100 * (twice / once - 1):+.1f} % memory"
    )


if __name__ == "__main__":
    main()
