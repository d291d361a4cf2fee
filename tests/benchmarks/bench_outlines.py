"""How near to the true outlines the clean ones come, with how many vertices, and how soon.

    python tests/benchmarks/bench_outlines.py [LABELS.gpkg ...]
    python tests/benchmarks/bench_outlines.py MASK.tif LABELS.gpkg

Every house of the labels (by default those of the real scenes beside the project) is rasterised by
itself to 0.25 m on the ground at six rotations; its raw outline is cleaned and compared with the
TRUE outline, once from clean pixels and once from ragged ones, as a net leaves them. The package
`buildingregulariser` runs on every fourth outline where it is installed. Figures to meet by
`square`: IoU 0.948, 10 vertices, 1.5 ms an outline.

Of those outlines, of such as a net leaves that sees 2 or 4 pixels as one, and of a real mask of
`geofcn infer`, the outlines with right angles are compared by their tolerance, the default one
among them: share of corners within 1 degree of a right angle, vertices, IoU, and by how many
degrees the main direction is off (median, and what nine in ten are within). Of a mask those houses
count that overlap a label by half.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import geopandas
import numpy as np
import pyproj
import rasterio.features
import shapely
from shapely import affinity

from geofcn.core.ragged import intersection_over_union
from geofcn.core.windows import ceil_div
from geofcn.io.masks import net_pixel, open_mask
from geofcn.polygons.outline import TOLERANCE, Outline
from geofcn.polygons.regularize import METHODS, SQUARED, regularize

TOLERANCES = (1.5, 2.5, 3.5, 5)
PIXEL_M = 0.25
ROTATIONS = (0, 17, 30, 45, 62, 83)
RAGGEDNESS = 0.14
# An outline has a main direction when its edges' directions add up to this, of 1.
DIRECTED = 0.5
# Of what is smaller, in net pixels, a net leaves any shape or nothing.
LEAST_PX = 25


def true_outlines(path: Path) -> list[shapely.Polygon]:
    """The labels' polygons in pixels of PIXEL_M on the ground, y down."""
    labels = geopandas.read_file(path).explode()
    center = labels.to_crs("EPSG:4326").total_bounds.reshape(2, 2).mean(axis=0)
    ground = pyproj.CRS(f"+proj=laea +lon_0={center[0]} +lat_0={center[1]}")
    scale = 1 / PIXEL_M
    return [
        affinity.scale(polygon, scale, -scale, origin=(0, 0))
        for polygon in labels.to_crs(ground).geometry
    ]


def box_mean(array: np.ndarray, radius: int) -> np.ndarray:
    """Means over squares of 2 radius + 1 pixels."""
    size = 2 * radius + 1
    padded = np.pad(array, radius, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size))
    return windows.mean(axis=(2, 3))


def ragged(mask: np.ndarray, radius: int, noise: np.random.Generator) -> np.ndarray:
    """A mask, 0 to 1, as a net leaves it: its corners round, its edges wavering."""
    waves = box_mean(box_mean(noise.standard_normal(mask.shape), radius), radius)
    soft = box_mean(box_mean(mask.astype(float), radius), radius)
    return (soft + RAGGEDNESS * waves / waves.std() > 0.5).astype(np.uint8)


def rasterise(
    polygon: shapely.Polygon, angle: float, noise: np.random.Generator | None, width: int = 1
) -> tuple[shapely.Polygon, shapely.Polygon]:
    """The true outline, rotated and at an odd place, and the raw outline of its pixels.

    Net pixels are `width` pixels wide.
    """
    turned = affinity.rotate(polygon, angle, origin=(0, 0))
    west, north, _, _ = turned.bounds
    true = affinity.translate(turned, 5.37 - west, 5.61 - north)
    rows, columns = (ceil_div(int(side) + 6, width) for side in (true.bounds[3], true.bounds[2]))
    mask = rasterio.features.rasterize([true], (rows * width, columns * width), dtype="uint8")
    if width > 1:
        means = mask.reshape(rows, width, columns, width).mean(axis=(1, 3))
        mask = ragged(means, 1, noise).repeat(width, axis=0).repeat(width, axis=1)
    elif noise is not None:
        mask = ragged(mask, 2, noise)
    return true, max(traced(mask), key=lambda outline: outline.area, default=shapely.Polygon())


def traced(mask: np.ndarray) -> np.ndarray:
    """The raw outlines of the ones in a mask."""
    outlines = rasterio.features.shapes(mask, mask == 1)
    return np.array([shapely.geometry.shape(outline) for outline, _ in outlines], dtype=object)


def main_direction(polygons: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Degrees from -45 to 45 of the outlines' edges, by their lengths squared, and how much so."""
    vectors, polygon = edges(polygons)
    squares = np.abs(vectors) ** 2
    unit = np.divide(vectors, np.abs(vectors), where=squares > 0, out=np.zeros_like(vectors))
    at_four_times = squares * unit**4
    total = np.bincount(polygon, at_four_times.real) + 1j * np.bincount(polygon, at_four_times.imag)
    return np.degrees(np.angle(total)) / 4, np.abs(total) / np.bincount(polygon, squares)


def edges(polygons: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The exteriors' edges as complex numbers, and the polygon of each."""
    rings = shapely.get_exterior_ring(polygons)
    points, polygon = shapely.get_coordinates(rings, return_index=True)
    inside = polygon[1:] == polygon[:-1]
    return (np.diff(points, axis=0) @ (1, 1j))[inside], polygon[1:][inside]


def corners(polygons: np.ndarray) -> np.ndarray:
    """Degrees, 0 to 180, by which the exteriors turn at their vertices."""
    vectors, polygon = edges(polygons)
    first = np.searchsorted(polygon, np.arange(len(polygons)))
    after = np.append(np.arange(1, len(polygon)), 0)
    after[np.append(first[1:], len(polygon)) - 1] = first
    return np.abs(np.degrees(np.angle(vectors[after] / vectors)))


def compare_tolerances(true: np.ndarray, raw: np.ndarray, width: float) -> None:
    """Print what each tolerance makes of outlines of net pixels `width` pixels wide."""
    auto = Outline("square").at_net_pixel(width).tolerance
    truth, directed = main_direction(true)
    for name, tolerance in [*zip(map(str, TOLERANCES), TOLERANCES, strict=True), ("auto", auto)]:
        cleaned, status = regularize(raw, "square", tolerance)
        turns = corners(cleaned)
        off = np.abs((main_direction(cleaned)[0] - truth + 45) % 90 - 45)[directed > DIRECTED]
        print(
            f"  {name:4} {tolerance:4.4g} px: "
            f"{np.mean(np.abs(turns - 90) <= 1):4.0%} right angles, "
            f"{len(turns) / len(raw):5.1f} vertices, "
            f"IoU {intersection_over_union(cleaned, true).mean():.4f}, "
            f"{np.median(off):.2f} ({np.quantile(off, 0.9):.2f}) degrees off, "
            f"{np.mean(status == SQUARED):.0%} squared",
            flush=True,
        )


def compare_mask(path: str, labels: str) -> None:
    """Print what each tolerance makes of a mask's houses that overlap a label by half."""
    mask = open_mask(path)
    raw, to_pixels = traced(mask.read(mask.raster.window)), ~mask.raster.transform
    truth = geopandas.read_file(labels).to_crs(mask.raster.crs).explode().geometry
    true = truth.affine_transform(to_pixels.to_shapely()).to_numpy()
    label, house = shapely.STRtree(raw).query(true, predicate="intersects")
    matched = intersection_over_union(true[label], raw[house]) > 0.5
    true, raw, width = true[label[matched]], raw[house[matched]], net_pixel(mask)
    print(f"{path}: {len(raw)} of {len(truth)} houses, net pixels of {width:g} px")
    compare_tolerances(true, raw, width)


def measure(name: str, true: np.ndarray, tidy: Callable[[], np.ndarray]) -> None:
    start = time.perf_counter()
    cleaned = tidy()
    seconds = time.perf_counter() - start
    overlap = intersection_over_union(cleaned, true)
    vertices = shapely.get_num_coordinates(cleaned) - shapely.get_num_interior_rings(cleaned) - 1
    print(
        f"  {name:20} IoU mean {overlap.mean():.4f}, least {overlap.min():.3f}; "
        f"{vertices.mean():6.2f} vertices; {seconds / len(true) * 1e3:.2f} ms",
        flush=True,
    )


def regulariser() -> Callable[[np.ndarray], np.ndarray] | None:
    """The other package's cleaning, or None where it is not installed."""
    try:
        from buildingregulariser import regularize_geodataframe
    except ImportError:
        return None

    def tidy(raw: np.ndarray) -> np.ndarray:
        frame = geopandas.GeoDataFrame(geometry=list(raw), crs="EPSG:25832")
        done = regularize_geodataframe(
            frame, parallel_threshold=2 * TOLERANCE, simplify_tolerance=TOLERANCE, num_cores=1
        )
        return done.geometry.to_numpy()

    return tidy


def compare(true: np.ndarray, raw: np.ndarray) -> None:
    for method in METHODS:
        measure(method, true, lambda method=method: regularize(raw, method, TOLERANCE)[0])
    fourth = slice(None, None, 4)
    tidy = regulariser()
    if tidy is None:
        print("  buildingregulariser  is absent: pip install --no-deps buildingregulariser")
        return
    measure(
        "square, every 4th", true[fourth], lambda: regularize(raw[fourth], "square", TOLERANCE)[0]
    )
    measure("buildingregulariser", true[fourth], lambda: tidy(raw[fourth]))


def main(*paths: str) -> None:
    if len(paths) == 2 and paths[0].endswith(".tif"):
        compare_mask(*paths)
        return
    data = Path(__file__).resolve().parents[3] / "shared" / "data"
    # The other scenes' labels are coarse or in degrees.
    tyrol = ("bozen", "girlan", "glurns", "karezza", "reschen", "tschars")
    files = [Path(path) for path in paths] or [data / name / "labels.gpkg" for name in tyrol]
    houses = [polygon for file in files for polygon in true_outlines(file)]
    for title, noise in (("clean pixels", None), ("ragged", np.random.default_rng(0))):
        pairs = [rasterise(house, angle, noise) for house in houses for angle in ROTATIONS]
        true, raw = (np.array(side, dtype=object) for side in zip(*pairs, strict=True))
        print(f"{title}: {len(true)} outlines")
        compare(true, raw)
        compare_tolerances(true, raw, 1)
    for width in (2, 4):
        noise = np.random.default_rng(0)
        pairs = [rasterise(house, angle, noise, width) for house in houses for angle in ROTATIONS]
        true, raw = (np.array(side, dtype=object) for side in zip(*pairs, strict=True))
        large = shapely.area(raw) >= LEAST_PX * width**2
        print(f"net pixels of {width} px: {np.count_nonzero(large)} outlines")
        compare_tolerances(true[large], raw[large], width)


if __name__ == "__main__":
    main(*sys.argv[1:])
