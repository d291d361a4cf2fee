"""A scene of many sheets: opening it, and reading it, against the bare opens and the one file.

python tests/benchmarks/bench_sheets.py [--sheets 10000] [--side 4096] [--infer]

Seconds are wall / core ones of the process. Ratios are core seconds of reading windows as `geofcn
infer` does (tiles with a margin), over those of the same pixels in one file, each opened anew, the
best of three times; with --infer also of whole inferences (fcnn, scale 8), which are seconds of the
clock.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio
from materials import elsewhere, peak, synthetic_piece, train_model, write_repeated
from rasterio.windows import Window as FileWindow

from geofcn.core.windows import Window, cut

TINY, MARGIN, PIXEL = 32, 32, 0.2
SIDES, TILES, TIMES = (2048, 1024, 512), (256, 512), 3


def main() -> None:
    """Print seconds of opening, and ratios of reading."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sheets", type=int, default=10_000, help="that are opened")
    parser.add_argument("--side", type=int, default=4096, help="of the scene that is read, in px")
    parser.add_argument("--infer", action="store_true", help="compare whole inferences, too")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sheets = Path(folder) / "many"
        write_many(sheets, args.sheets)
        print(elsewhere(opened, str(sheets)))
        scenes = write_scenes(Path(folder), args.side)
        print(elsewhere(read_ratios, scenes, args.side))
        if args.infer:
            train_model(Path(folder) / "model.safetensors", net="fcnn", scale=8, epochs=1)
            print(elsewhere(infer_ratios, scenes, Path(folder)))


def write_many(folder: Path, count: int) -> None:
    """Tiny sheets side by side, in about as many rows as columns."""
    folder.mkdir()
    image = np.random.default_rng(0).integers(0, 255, (3, TINY, TINY), np.uint8)
    profile = {"driver": "GTiff", "height": TINY, "width": TINY, "count": 3, "dtype": "uint8"}
    profile |= {"crs": "EPSG:32632", "photometric": "rgb"}
    for number in range(count):
        row, col = divmod(number, int(count**0.5))
        west, north = 6e5 + col * TINY * PIXEL, 5e6 - row * TINY * PIXEL
        place = rasterio.Affine(PIXEL, 0, west, 0, -PIXEL, north)
        with rasterio.open(folder / f"{number}.tif", "w", transform=place, **profile) as file:
            file.write(image)


def timed(function: Callable[[], object]) -> str:
    """Wall / core seconds of a call, as text."""
    wall, core = time.perf_counter(), time.process_time()
    function()
    return f"{time.perf_counter() - wall:.2f} / {time.process_time() - core:.2f} s"


def opened(name: str) -> str:
    """How long opening sheets takes, a first and a second time, and each file by rasterio alone."""
    import pyogrio.raw  # noqa: F401 - else its import would be counted as opening

    from geofcn.io.opening import open_scene

    def bare() -> None:
        for path in Path(name).iterdir():
            with rasterio.Env(), rasterio.open(path):
                pass

    before = peak()
    told = [f"opened {timed(lambda: open_scene(name))}", f"again {timed(lambda: open_scene(name))}"]
    told.append(f"memory {(peak() - before) / 2**20:.0f} MB")
    return ", ".join([*told, f"bare opens {timed(bare)}"])


def write_scenes(folder: Path, side: int) -> dict[str, str]:
    """The names of a scene in one file, and of the same in sheets of several sizes."""
    one = folder / "one.tif"
    write_repeated(one, synthetic_piece()[0], side, side)
    scenes = {"one": str(one)}
    for size in SIDES:
        (folder / str(size)).mkdir()
        with rasterio.open(one) as file:
            for row in range(0, side, size):
                for col in range(0, side, size):
                    window = FileWindow(col, row, min(size, side - col), min(size, side - row))
                    place = {"transform": file.window_transform(window)}
                    profile = file.profile | {"height": window.height, "width": window.width}
                    path = folder / str(size) / f"{row}_{col}.tif"
                    with rasterio.open(path, "w", **(profile | place)) as sheet:
                        sheet.write(file.read(window=window))
        scenes[f"{size} px"] = str(folder / str(size))
    return scenes


def read_ratios(scenes: dict[str, str], side: int) -> str:
    """Core seconds of reading each scene, over those of the one file."""
    from geofcn.io.datasets import close_handles
    from geofcn.io.opening import open_scene

    lines = []
    for tile in TILES:
        best = dict.fromkeys(scenes, np.inf)
        for _ in range(TIMES):
            for name, path in scenes.items():
                close_handles()
                scene = open_scene(path)
                before = time.process_time()
                for part in cut(Window(0, 0, side, side), tile, tile):
                    scene.read(_with_margin(part, side))
                best[name] = min(best[name], time.process_time() - before)
        ratios = (f"{name} {seconds / best['one']:.2f}" for name, seconds in best.items())
        lines.append(f"reading tiles of {tile} px, one {best['one']:.2f} s: " + ", ".join(ratios))
    return "\n".join(lines)


def _with_margin(part: Window, side: int) -> Window:
    top, left = max(part.row - MARGIN, 0), max(part.col - MARGIN, 0)
    low = min(part.row + part.height + MARGIN, side)
    right = min(part.col + part.width + MARGIN, side)
    return Window(top, left, low - top, right - left)


def infer_ratios(scenes: dict[str, str], folder: Path) -> str:
    """Seconds of whole inferences, over that of the one file."""
    import geofcn

    model = folder / "model.safetensors"
    best = dict.fromkeys(scenes, np.inf)
    for _ in range(TIMES):
        for name, path in scenes.items():
            before = time.perf_counter()
            geofcn.infer(path, folder / "mask.tif", model=model, overwrite=True)
            best[name] = min(best[name], time.perf_counter() - before)
    ratios = (f"{name} {seconds / best['one']:.2f}" for name, seconds in best.items())
    return f"inference, one {best['one']:.2f} s: " + ", ".join(ratios)


if __name__ == "__main__":
    main()
