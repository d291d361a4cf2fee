"""How fast predicted polygons are matched with true ones, and their distances measured.

    python tests/benchmarks/bench_matching.py [COUNT [REPEATS]]

COUNT (100,000) houses of 10 vertices on a grid of 25 m, against the same ones moved, turned and in
another order, a tenth of them somewhere else. Figure to meet: 100,000 matched in 5 s.
"""

import sys
import time

import numpy as np
import shapely

from geofcn.evaluation.matching import match, polis
from geofcn.evaluation.sorted_houses import SortedHouses
from geofcn.io.polygon_store import NumberedPolygons

# The outline of a U-shaped house, in metres.
HOUSE = np.array(
    [(0, 0), (20, 0), (20, 12), (14, 12), (14, 5), (7, 5), (7, 12), (3, 12), (3, 10), (0, 10)]
)


def houses(count: int, seed: int | None = None) -> np.ndarray:
    """`count` houses in rows; with a seed, each shifted and turned a little, or far off."""
    ids = np.arange(count)
    corners = np.column_stack([ids % 300, ids // 300]) * 25.0 + (660_000, 5_140_000)
    outlines = np.broadcast_to(HOUSE, (count, *HOUSE.shape))
    if seed is not None:
        random = np.random.default_rng(seed)
        angle = random.normal(0, 0.05, count)
        turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=-1)
        outlines = outlines @ turn.reshape(-1, 2, 2)
        corners += random.normal(0, 0.8, (count, 2))
        corners[random.random(count) < 0.1] += (12.0, 12.0)
        corners = random.permutation(corners)
    return shapely.polygons(corners[:, None, :] + outlines)


def sorted_houses(polygons: np.ndarray) -> SortedHouses:
    sides = SortedHouses()
    count = len(polygons)
    sides.add(NumberedPolygons(polygons, np.full(count, np.nan), np.arange(count)))
    sides.finish()
    return sides


def main(count: str = "100000", repeats: str = "3") -> None:
    truth, prediction = houses(int(count)), houses(int(count), seed=0)
    for _ in range(int(repeats)):
        start = time.perf_counter()
        parts = list(match(sorted_houses(prediction), sorted_houses(truth)))
        middle = time.perf_counter()
        distances = [
            polis(predicted.houses.polygons[p], true.houses.polygons[t])
            for predicted, true, (p, t) in ((m.prediction, m.truth, m.pairs.T) for m in parts)
        ]
        end = time.perf_counter()
        print(
            f"{len(prediction):,} against {len(truth):,}: {sum(len(d) for d in distances):,} "
            f"matches in {middle - start:.2f} s, PoLiS {np.concatenate(distances).mean():.2f} m in "
            f"{end - middle:.2f} s",
            flush=True,
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
