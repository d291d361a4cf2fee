"""How much sooner a model learns a new place from boxes that are chosen than from random ones.

    python tests/benchmarks/bench_review.py DATA --model MODEL [--places a,b,...] [--boxes N]
        [--seeds N] [--ways a,b,...] [--folder FOLDER] [--shares]
        [-- OPTIONS of geofcn train, as name=value]

DATA holds a folder with scene.tif and labels.tif for each place. Each is cut into boxes of 60 m, as
on a chessboard: the black ones may be labelled, the white ones are scored. MODEL, which has seen
none of the places, is taught by N boxes that are chosen in several ways by its probabilities, and
by N and 2 N random ones, with several seeds. One row a place and way: F1 of the pixels in the white
boxes before and after, at the model's threshold and at the best there is. With --shares nothing is
taught: one row a place, the share of the model's wrong pixels that the N boxes of each way hold, of
random ones in the mean of 50 draws, and of the N boxes that hold the most.

    errors     the most pixels that are expected to be wrong, as `geofcn review` chooses
    margin     the same, with the probabilities counted from the threshold
    houses     the most pixels that are expected to be houses
    with       random ones in which houses are expected
    random     any
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import geopandas
import numpy as np
import rasterio
import shapely

import geofcn
from geofcn.core.geodesy import ground_resolution
from geofcn.core.metrics import ScoreCurve
from geofcn.io.opening import open_scene

SIDE = 60
PLACES = "reschen,karezza,girlan,bozen,kampala_alpha_gap,dense"
# Pixels of a box that are expected to be houses: about one house.
A_HOUSE = 2000


def box_sums(values: np.ndarray, side: int) -> np.ndarray:
    """Sums over boxes, (rows, columns) of them, of which those at the edge are whole only."""
    rows, cols = (length // side for length in values.shape)
    cut = values[: rows * side, : cols * side]
    return cut.reshape(rows, side, cols, side).sum(axis=(1, 3), dtype=float)


def choose(way: str, sums: dict[str, np.ndarray], free: np.ndarray, count: int, seed: int) -> list:
    """(row, column) of `count` of the boxes that are free."""
    if way in ("random", "with"):
        if way == "with":
            free = free & (sums["houses"] >= A_HOUSE)
        found = np.argwhere(free)
        return np.random.default_rng(seed).permutation(found)[:count].tolist()
    best = np.argsort(-np.where(free, sums[way], -1), axis=None, kind="stable")[:count]
    return np.argwhere(np.ones_like(free))[best].tolist()


class Place:
    """A new place: what a model that was not taught says of it, and what is scored."""

    def __init__(self, folder: Path, model: Path, work: Path):
        self.scene, self.labels = folder / "scene.tif", folder / "labels.tif"
        self.work = work
        work.mkdir(parents=True, exist_ok=True)
        grid = open_scene(self.scene).grid
        self.crs, self.transform = grid.crs, grid.transform
        self.side = round(SIDE / ground_resolution(grid))
        self.before, steps = self.predict(model)
        known = steps != 255
        p = np.where(known, steps / 254, 0)
        with rasterio.open(work / "p.tif") as dataset:
            threshold = float(dataset.tags()["GEOFCN_THRESHOLD"])
        self.sums = {
            "errors": box_sums(np.minimum(p, 1 - p), self.side),
            "margin": box_sums(
                np.minimum(p / threshold, (1 - p) / (1 - threshold)) * known, self.side
            ),
            "houses": box_sums(p, self.side),
        }
        white = np.add.outer(*map(np.arange, self.sums["houses"].shape)) % 2 == 1
        with rasterio.open(self.labels) as dataset:
            houses = dataset.read(1) == 1
        mistaken = known & ((steps >= math.ceil(254 * threshold)) != houses)
        self.mistaken = box_sums(mistaken, self.side)
        self.free = ~white & (box_sums(known, self.side) > 0.5 * self.side**2)

    def predict(self, model: Path) -> tuple[np.ndarray, np.ndarray]:
        """F1 in the white boxes, at the model's threshold and at the best; probabilities in steps.

        A taught model keeps its parent's threshold, which need not suit its probabilities: what the
        boxes have taught shows at the best one.
        """
        p = self.work / "p.tif"
        geofcn.infer(
            self.scene, self.work / "mask.tif", model=model, probability=p, threshold="model",
            overwrite=True,
        )  # fmt: skip
        with rasterio.open(p) as a, rasterio.open(self.labels) as b:
            steps, labels = a.read(1), b.read(1)
            threshold = float(a.tags()["GEOFCN_THRESHOLD"])
        white = np.add.outer(*(np.arange(n) // self.side for n in steps.shape)) % 2 == 1
        curve = ScoreCurve()
        curve.add(steps / np.float32(254), labels == 1, white & (steps != 255))
        f1 = curve.f1()
        return 100 * np.array([f1[math.ceil(254 * threshold)], f1.max()]), steps

    def shares(self, ways: list[str], count: int) -> list[float]:
        """Per cent of the model's wrong pixels that the boxes of each way hold, and of the best."""
        found = np.sort(self.mistaken[self.free])
        held = [
            np.mean(
                [
                    sum(self.mistaken[row, col] for row, col in boxes)
                    for seed in range(50)
                    for boxes in [choose(way, self.sums, self.free, count, seed)]
                ]
            )
            for way in ways
        ]
        return [100 * float(each / found.sum()) for each in (*held, found[-count:].sum())]

    def taught(self, boxes: list, model: Path, seed: int, options: dict) -> np.ndarray:
        """F1 after teaching by the labels of some boxes."""
        area = self.work / "area.gpkg"
        squares = [
            shapely.Polygon([self.transform * (self.side * x, self.side * y) for x, y in (
                (col, row), (col + 1, row), (col + 1, row + 1), (col, row + 1))])
            for row, col in boxes
        ]  # fmt: skip
        geopandas.GeoDataFrame(geometry=squares, crs=self.crs).to_file(area)
        run = geofcn.train(
            self.scene, self.labels, self.work / "run", from_=model, area=area, seed=seed,
            overwrite=True, device="cpu", **options,
        )  # fmt: skip
        return self.predict(run.model)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--places", default=PLACES)
    parser.add_argument("--boxes", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--ways", default="errors,margin,houses,with")
    parser.add_argument("--folder", type=Path, default=Path("reviewed"))
    parser.add_argument("--shares", action="store_true")
    own, options = sys.argv[1:], {}
    if "--" in own:
        cut = own.index("--")
        options = {name: int(value) for name, value in (o.split("=") for o in own[cut + 1 :])}
        own = own[:cut]
    given = parser.parse_args(own)
    if given.shares:
        ways = [*given.ways.split(","), "random"]
        print(f"| place | {' | '.join(ways)} | best |\n" + "|---" * (len(ways) + 2) + "|")
        for name in given.places.split(","):
            place = Place(given.data / name, given.model, given.folder / name)
            row = place.shares(ways, given.boxes)
            print(f"| {name} | " + " | ".join(f"{share:.0f}" for share in row) + " |", flush=True)
        return
    print("| place | before, best | way | boxes | F1 | best | of the seeds |\n" + "|---" * 7 + "|")
    for name in given.places.split(","):
        place = Place(given.data / name, given.model, given.folder / name)
        ways = [(way, given.boxes) for way in given.ways.split(",")]
        for way, count in [*ways, ("random", given.boxes), ("random", 2 * given.boxes)]:
            drawn = way in ("random", "with")
            scores = [
                place.taught(
                    choose(way, place.sums, place.free, count, seed), given.model, seed, options
                )
                for seed in range(given.seeds if drawn else 1)
            ]
            stored, best = np.transpose(scores)
            seeds = ", ".join(f"{score:.1f}" for score in best)
            was, could = place.before
            print(
                f"| {name} | {was:.1f}, {could:.1f} | {way} | {count} | {stored.mean():.1f} | "
                f"{best.mean():.1f} | {seeds} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
