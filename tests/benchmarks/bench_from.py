"""How much a model gains from some houses of a new place, and what it forgets of the old ones.

    python tests/benchmarks/bench_from.py DATA [--places a,b,...] [--model MODEL | --runs RUNS]
        [--old a,b,...] [--houses 5,20,50] [--folder FOLDER] [-- OPTIONS of geofcn train]

DATA holds a folder with scene.tif, labels.tif and labels.gpkg for each place. To each of the places
a model is taught: MODEL, or the one of RUNS that bench_places.py trained on all others. It is shown
the first 5, 20, 50 houses from the upper left corner, as an area: the least square that holds so
many. One row a place and number: F1 of pixels outside of that area before and after, the mean F1 of
the old places before and after, and core minutes of teaching: processor time, start included. The
old places are those of bench_places.py, without the new one, unless --old names them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from functools import partial
from pathlib import Path

import geopandas
import numpy as np
import rasterio
import shapely
from bench_places import SCENES, geofcn

UNKNOWN = 255
run = partial(geofcn, threads=1)


def corner(place: Path, houses: int, path: Path) -> int:
    """Write the least square in the upper left corner that holds so many houses; its side in px."""
    with rasterio.open(place / "scene.tif") as scene:
        transform, crs = scene.transform, scene.crs
    outlines = geopandas.read_file(place / "labels.gpkg").to_crs(crs)
    bounds = outlines.bounds
    cols, rows = ~transform * (bounds.maxx.to_numpy(), bounds.miny.to_numpy())
    side = int(np.ceil(np.sort(np.maximum(cols, rows))[houses - 1]))
    square = shapely.box(*transform * (0, side), *transform * (side, 0))
    geopandas.GeoDataFrame(geometry=[square], crs=crs).to_file(path)
    return side


def labels_of_the_rest(place: Path, side: int, path: Path) -> None:
    """Write the labels of a place without those of its upper left corner."""
    with rasterio.open(place / "labels.tif") as dataset:
        labels, profile = dataset.read(1), dataset.profile
    labels[:side, :side] = UNKNOWN
    with rasterio.open(path, "w", **profile | {"nodata": UNKNOWN}) as dataset:
        dataset.write(labels, 1)


def f1(model: Path, place: Path, labels: Path, folder: Path) -> float:
    """F1 of pixels of a model on a place, in per cent."""
    mask = folder / "mask.tif"
    run("infer", place / "scene.tif", mask, "--model", model, "--overwrite", "-q")
    scores, _ = run("evaluate", mask, labels, "--json")
    return 100 * json.loads(scores)["pixels"]["f1"]


def mean_f1(model: Path, places: list[Path], folder: Path) -> float:
    return statistics.mean(f1(model, place, place / "labels.tif", folder) for place in places)


def teach(place: Path, old: list[Path], model: Path, houses: int, folder: Path, options) -> list:
    """F1 of the rest and of the old places, before and after; minutes."""
    folder.mkdir(parents=True, exist_ok=True)
    area, rest, taught = folder / "area.gpkg", folder / "rest.tif", folder / "run"
    labels_of_the_rest(place, corner(place, houses, area), rest)
    _, seconds = run(
        "train", place / "scene.tif", place / "labels.gpkg", "--area", area, "--from", model,
        "-o", taught, "--overwrite", "-q", *options,
    )  # fmt: skip
    models = model, taught / "best-f1.safetensors"
    before, after = (f1(each, place, rest, folder) for each in models)
    old_before, old_after = (mean_f1(each, old, folder) for each in models)
    return [before, after, old_before, old_after, seconds / 60]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--places", default=SCENES)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("places"))
    parser.add_argument("--old")
    parser.add_argument("--houses", default="5,20,50")
    parser.add_argument("--folder", type=Path, default=Path("taught"))
    own, options = sys.argv[1:], []
    if "--" in own:
        cut = own.index("--")
        own, options = own[:cut], own[cut + 1 :]
    given = parser.parse_args(own)
    print("| place | houses | F1 before | after | old places before | after | core minutes |")
    print("|---|---|---|---|---|---|---|")
    for name in given.places.split(","):
        model = given.model or given.runs / name / "best-f1.safetensors"
        old = [given.data / each for each in (given.old or SCENES).split(",") if each != name]
        count = len(geopandas.read_file(given.data / name / "labels.gpkg"))
        for houses in map(int, given.houses.split(",")):
            if houses > count:
                continue
            folder = given.folder / f"{name}-{houses}"
            row = teach(given.data / name, old, model, houses, folder, options)
            print(
                f"| {name} | {houses} | " + " | ".join(f"{v:.1f}" for v in row) + " |", flush=True
            )


if __name__ == "__main__":
    main()
