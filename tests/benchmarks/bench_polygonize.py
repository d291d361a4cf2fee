"""How fast, and in how much memory, a mask becomes polygons.

    python tests/benchmarks/bench_polygonize.py [--kinds KIND ...] [--rounds N]
    python tests/benchmarks/bench_polygonize.py --worst
    python tests/benchmarks/bench_polygonize.py --memory
    python tests/benchmarks/bench_polygonize.py --touching [--size N] [--rows N]

Kinds: houses (10,000 x 10,000 pixels), noisy (the same, with noise along the walls and islands),
speckle (5,000 x 5,000, with 2 % of the pixels inverted). The sweep reads a tiled GeoTIFF by row
bands and makes shapely polygons; rasterio.features.shapes works on the whole of the same file, with
shapely polygons and without (`dicts`). Rounds are interleaved, medians are printed. Figures to
meet: 4 times `shapes` on houses, 8 times on speckle, 2.5 times `dicts` on noisy masks.

--worst sweeps the cases that break sweeps with a loop over rings or holes, and noisy houses: the
time per corner may be at most 4 times that of the houses.

--memory sweeps houses of 40,000 x 40,000 pixels, made on the way; at most 300 MB in all.

--touching makes footprints of houses of which 3 % of the pixels are contacts, and of the same
without contacts; then of a checkerboard of touching houses of 20 x 20 pixels, 40,000 columns
(--size) and as many rows (--rows), made on the way: the memory does not depend on the rows.
"""

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import rasterio
import rasterio.features
import shapely
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import Affine

from geofcn.polygons.footprints import RowBand, footprints
from geofcn.polygons.outline import Outline
from geofcn.runtime import peak_memory
from geofcn.tracing.sweep import Polygons, Sweep

TRUTH = Path(__file__).resolve().parents[3] / "shared" / "data" / "seed_ground_truth" / "gt.png"
SIZES = {"houses": 10_000, "noisy": 10_000, "speckle": 5_000}
BAND = 256
MEMORY_SIZE = 40_000
ANGLE = np.deg2rad(17)


def read_houses() -> np.ndarray:
    """The ground truth as uint8, houses 1 (black in the file)."""
    with rasterio.open(TRUTH) as source:
        return (source.read().max(axis=0) < 128).astype(np.uint8)


def rotated(houses: np.ndarray, top: int, rows: int, width: int) -> np.ndarray:
    """Some rows of a plane tiled with `houses` and turned by ANGLE."""
    height, period = houses.shape
    row = np.arange(top, top + rows, dtype=np.float32)[:, None]
    column = np.arange(width, dtype=np.float32)
    source_row = (np.sin(ANGLE) * column + np.cos(ANGLE) * row).astype(np.int32) % height
    source_column = (np.cos(ANGLE) * column - np.sin(ANGLE) * row).astype(np.int32) % period
    return houses[source_row, source_column]


def bands(houses: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """A rotated mask of `size` x `size` pixels in row bands."""
    for top in range(0, size, BAND):
        rows = min(BAND, size - top)
        pieces = (rotated(houses, row, 1, size) for row in range(top, top + rows))
        yield np.concatenate(list(pieces))


def add_noise(mask: np.ndarray, random: np.random.Generator) -> None:
    """Invert 30 % of the pixels along walls, and islands of about 3 pixels."""
    wall = np.zeros(mask.shape, bool)
    steps = mask[1:] != mask[:-1]
    wall[1:] |= steps
    wall[:-1] |= steps
    steps = mask[:, 1:] != mask[:, :-1]
    wall[:, 1:] |= steps
    wall[:, :-1] |= steps
    mask ^= wall & (random.random(mask.shape, dtype=np.float32) < 0.3)
    islands = random.integers(0, len(mask) - 1, (2, mask.size // 2_500))
    for down, right in np.ndindex(2, 2):
        row, column = islands[:, random.random(islands.shape[1]) < 0.8]
        mask[row + down, column + right] ^= 1


def make_mask(kind: str) -> np.ndarray:
    """A square mask of a kind, uint8."""
    mask = np.concatenate(list(bands(read_houses(), SIZES[kind])))
    random = np.random.default_rng(0)
    if kind == "noisy":
        add_noise(mask, random)
    if kind == "speckle":
        mask ^= random.random(mask.shape, dtype=np.float32) < 0.02
    return mask


def write_tiled(path: Path, mask: np.ndarray) -> None:
    """Write a mask the way geofcn does: tiled and deflated."""
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 1, "compress": "deflate"}
    tiling = {"tiled": True, "blockxsize": BAND, "blockysize": BAND}
    with rasterio.open(path, "w", height=len(mask), width=len(mask), **profile, **tiling) as target:
        target.write(mask, 1)


def to_shapely(polygons: Polygons) -> np.ndarray:
    """One shapely geometry per polygon."""
    offsets = polygons.rings, polygons.polygons
    return shapely.from_ragged_array(
        shapely.GeometryType.POLYGON, polygons.coords.astype(np.float64), offsets
    )


def by_sweep(path: Path) -> int:
    """Number of polygons, by the sweep."""
    with rasterio.open(path) as source:
        sweep, found = Sweep(source.width), []
        for top in range(0, source.height, BAND):
            window = ((top, min(top + BAND, source.height)), (0, source.width))
            found.append(to_shapely(sweep.push(source.read(1, window=window))))
        found.append(to_shapely(sweep.finish()))
    return sum(map(len, found))


def by_shapes(path: Path) -> int:
    """Number of polygons, by rasterio and shapely."""
    return len([shapely.geometry.shape(outline) for outline in outlines(path)])


def by_dicts(path: Path) -> int:
    """Number of polygons, by rasterio, not made into shapely's."""
    return len(list(outlines(path)))


def outlines(path: Path) -> Iterator[dict]:
    """GeoJSON of the polygons of a mask."""
    with rasterio.open(path) as source:
        mask = source.read(1)
    return (outline for outline, _ in rasterio.features.shapes(mask, mask == 1, connectivity=4))


def compare(kind: str, rounds: int) -> None:
    """Print the rates of all three ways on one kind of mask."""
    ways: dict[str, Callable[[Path], int]] = {
        "sweep": by_sweep,
        "shapes": by_shapes,
        "dicts": by_dicts,
    }
    seconds, counts = {name: [] for name in ways}, {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mask.tif"
        write_tiled(path, make_mask(kind))
        for _ in range(rounds):
            for name, way in ways.items():
                start = time.perf_counter()
                counts[name] = way(path)
                seconds[name].append(time.perf_counter() - start)
    if len(set(counts.values())) != 1:
        raise SystemExit(f"{kind}: the numbers of polygons differ: {counts}")
    median = {name: statistics.median(times) for name, times in seconds.items()}
    pixels = SIZES[kind] ** 2 / 1e6
    rates = ", ".join(f"{name} {pixels / median[name]:.1f}" for name in ways)
    print(
        f"{kind:8} {counts['sweep']:9,} polygons, Mpx/s: {rates}; the sweep is "
        f"{median['shapes'] / median['sweep']:.1f} x shapes, "
        f"{median['dicts'] / median['sweep']:.1f} x dicts"
    )


def measure_worst_cases(rounds: int) -> None:
    """Print the time per corner of masks with as many polygons, or holes, as there can be."""
    row, column = np.indices((2_000, 2_000), dtype=np.int32)
    masks = {
        "noisy houses": make_mask("noisy"),
        "checkerboard": (row + column) % 2 == 0,
        "1e6 holes": (row % 2 == 0) | (column % 2 == 0),
        "coin flips": np.random.default_rng(0).random(row.shape) < 0.6,
    }
    seconds, corners = {name: [] for name in masks}, {}
    for _ in range(rounds):
        for name, mask in masks.items():
            start = time.perf_counter()
            sweep = Sweep(mask.shape[1])
            parts = [sweep.push(mask[top : top + BAND]) for top in range(0, len(mask), BAND)]
            corners[name] = len(Polygons.concatenate([*parts, sweep.finish()]).coords)
            seconds[name].append(time.perf_counter() - start)
    each = {name: statistics.median(times) / corners[name] for name, times in seconds.items()}
    for name, time_per_corner in each.items():
        print(
            f"{name:13} {corners[name]:10,} corners, {time_per_corner * 1e6:.3f} us each, "
            f"{time_per_corner / each['noisy houses']:.2f} x noisy houses"
        )


def measure_memory() -> None:
    """Print the largest memory of this process while it sweeps a large mask."""
    sweep, count, seconds = Sweep(MEMORY_SIZE), 0, 0.0
    for band in bands(read_houses(), MEMORY_SIZE):
        start = time.perf_counter()
        count += len(sweep.push(band))
        seconds += time.perf_counter() - start
    count += len(sweep.finish())
    peak = peak_memory() / 2**20
    rate = MEMORY_SIZE**2 / seconds / 1e6
    print(f"{MEMORY_SIZE:,}^2: {count:,} polygons, {rate:.0f} Mpx/s (sweep only), {peak:.0f} MB")


def measure_touching(width: int, rows: int, rounds: int) -> None:
    """Print what houses that touch cost, and the memory that a whole raster of them takes."""
    houses = np.concatenate(list(bands(read_houses(), 5_000))).astype(bool)
    contacts = np.zeros(houses.shape, bool)
    contacts[:, ::100] = contacts[:, 1::100] = contacts[:, 2::100] = True
    for method in ("raw", "simplify", "square"):
        seconds: dict[str, list[float]] = {"without": [], "with": []}
        for _ in range(rounds):
            for name, known in (("without", None), ("with", contacts)):
                start = time.perf_counter()
                count = count_footprints(in_bands(houses, known), houses.shape[1], method)
                seconds[name].append(time.perf_counter() - start)
        plain, touching = (statistics.median(times) for times in seconds.values())
        print(
            f"{method:8} {count:,} footprints of 5,000^2 pixels: {touching:.2f} s, "
            f"without contacts {plain:.2f} s, {touching / plain:.1f} x",
            flush=True,
        )
    start = time.perf_counter()
    count = count_footprints(checkerboard(width, rows), width, "simplify")
    peak = peak_memory() / 2**20
    print(
        f"checkerboard of {width:,} columns and {rows:,} rows: {count:,} footprints, "
        f"{time.perf_counter() - start:.0f} s, {peak:.0f} MB"
    )


def in_bands(houses: np.ndarray, contacts: np.ndarray | None) -> Iterator[RowBand]:
    """A mask in row bands."""
    for top in range(0, len(houses), BAND):
        band = slice(top, top + BAND)
        yield RowBand(houses[band], None, None if contacts is None else contacts[band])


def checkerboard(width: int, rows: int) -> Iterator[RowBand]:
    """Houses of 20 x 20 pixels side by side, a line of contacts between them."""
    height = 100
    row, column = np.arange(height) % 20 == 0, np.arange(width) % 20 == 0
    contacts = row[:, None] | column
    houses = np.ones((height, width), bool)
    for _ in range(0, rows, height):
        yield RowBand(houses, None, contacts)


def count_footprints(mask: Iterator[RowBand], width: int, method: str) -> int:
    """How many footprints a mask has."""
    outline = Outline(method, min_area=0)
    batches = footprints(mask, width, Affine.scale(0.2, -0.2), None, outline)
    return sum(len(batch.geometry) for batch in batches)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--rounds", type=int, default=3, help="how often each way runs")
    parser.add_argument("--worst", action="store_true", help="time the worst cases instead")
    parser.add_argument("--memory", action="store_true", help="measure memory instead")
    parser.add_argument("--touching", action="store_true", help="houses that touch instead")
    parser.add_argument("--size", type=int, default=MEMORY_SIZE, help="columns of --touching")
    parser.add_argument("--rows", type=int, default=MEMORY_SIZE, help="rows of --touching")
    options = parser.parse_args()
    warnings.simplefilter("ignore", NotGeoreferencedWarning)
    if options.memory:
        measure_memory()
        return
    if options.touching:
        measure_touching(options.size, options.rows, options.rounds)
        return
    if options.worst:
        measure_worst_cases(options.rounds)
        return
    for kind in options.kinds:
        compare(kind, options.rounds)


if __name__ == "__main__":
    main()
