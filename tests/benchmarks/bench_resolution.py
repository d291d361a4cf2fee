"""What a scene of another ground resolution than the training's costs in F1.

    python tests/benchmarks/bench_resolution.py DATA [--scenes a,b,...] [--out NAME] [--model FILE]
        [--metres .1,.2,...] [--folder RUNS] [-- OPTIONS of geofcn train]

DATA holds a folder with scene.tif and labels.gpkg for each scene. `geofcn train` learns from the
scenes, with the options after `--`, unless a model is given; `geofcn infer` and `geofcn evaluate`
score it on the scene NAME as it is, and resampled to each number of metres per pixel on the ground:
means of the pixels where they become larger, bilinear where smaller. One row each: the seconds of
inference without its start, precision, recall and F1 of pixels against the polygons.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import rasterio
from rasterio.enums import Resampling

import geofcn


def resample(scene: Path, path: Path, metres: float) -> None:
    """Write a scene at `metres` per pixel on the ground, as near as whole pixels allow it."""
    factor = metres / geofcn.info(scene).ground_resolution_m
    with rasterio.open(scene) as source:
        height, width = round(source.height / factor), round(source.width / factor)
        rule = Resampling.average if factor > 1 else Resampling.bilinear
        image = source.read(out_shape=(source.count, height, width), resampling=rule)
        smaller = rasterio.Affine.scale(source.width / width, source.height / height)
        profile = {"driver": "GTiff", "height": height, "width": width, "count": source.count}
        profile |= {"dtype": source.dtypes[0], "crs": source.crs, "photometric": "rgb"}
        profile |= {"transform": source.transform * smaller, "nodata": source.nodata}
    with rasterio.open(path, "w", tiled=True, compress="deflate", **profile) as target:
        target.write(image)


def geofcn_command(*arguments: object) -> str:
    command = [sys.executable, "-m", "geofcn_cli", *map(str, arguments)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--scenes", default="tschars,glurns")
    parser.add_argument("--out", default="karezza")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--metres", default=".1,.2,.3,.5")
    parser.add_argument("--folder", type=Path, default=Path("resolution"))
    own, options = sys.argv[1:], []
    if "--" in own:
        cut = own.index("--")
        own, options = own[:cut], own[cut + 1 :]
    given = parser.parse_args(own)
    folder, out = given.folder, given.data / given.out
    folder.mkdir(parents=True, exist_ok=True)
    model = given.model
    if model is None:
        names = given.scenes.split(",")
        first, *others = [
            [given.data / n / "scene.tif", given.data / n / "labels.tif"] for n in names
        ]
        added = [word for pair in others for word in ("--and", *pair)]
        geofcn_command("train", *first, *added, "-o", folder / "run", "-q", "--overwrite", *options)
        model = folder / "run" / "best-f1.safetensors"
    print("| metres per pixel | seconds | precision | recall | F1 |")
    print("|---|---|---|---|---|")
    for metres in ("as it is", *given.metres.split(",")):
        scene = out / "scene.tif"
        if metres != "as it is":
            scene = folder / f"{given.out}-{metres}.tif"
            resample(out / "scene.tif", scene, float(metres))
        mask = folder / "mask.tif"
        seconds = geofcn.infer(scene, mask, model=model, overwrite=True).seconds
        scores = json.loads(geofcn_command("evaluate", mask, out / "labels.gpkg", "--json"))[
            "pixels"
        ]
        row = " | ".join(f"{100 * scores[name]:.1f}" for name in ("precision", "recall", "f1"))
        print(f"| {metres} | {seconds:.1f} | {row} |", flush=True)


if __name__ == "__main__":
    main()
