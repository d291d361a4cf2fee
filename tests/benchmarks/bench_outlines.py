"""How near to the true outlines the clean ones come, with how many vertices, and how soon.

    python tests/benchmarks/bench_outlines.py [LABELS.gpkg ...]

Every house of the labels (by default those of the real scenes beside the project) is rasterised by
itself to 0.25 m on the ground at six rotations; its raw outline is cleaned and compared with the
TRUE outline, once from clean pixels and once from ragged ones, as a net leaves them. The package
`buildingregulariser` runs on every fourth outline where it is installed. Figures to meet by
`square`: IoU 0.948, 10 vertices, 1.5 ms an outline.
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
from geofcn.polygons.regularize import METHODS, regularize

TOLERANCE = 1.5
PIXEL_M = 0.25
ROTATIONS = (0, 17, 30, 45, 62, 83)
RAGGEDNESS = 0.14


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


def rasterise(
    polygon: shapely.Polygon, angle: float, noise: np.random.Generator | None
) -> tuple[shapely.Polygon, shapely.Polygon]:
    """The true outline, rotated and at an odd place, and the raw outline of its pixels."""
    turned = affinity.rotate(polygon, angle, origin=(0, 0))
    west, north, _, _ = turned.bounds
    true = affinity.translate(turned, 5.37 - west, 5.61 - north)
    shape = int(true.bounds[3]) + 6, int(true.bounds[2]) + 6
    mask = rasterio.features.rasterize([true], shape, dtype="uint8")
    if noise is not None:
        ragged = box_mean(box_mean(noise.standard_normal(shape), 2), 2)
        soft = box_mean(box_mean(mask.astype(float), 2), 2)
        mask = (soft + RAGGEDNESS * ragged / ragged.std() > 0.5).astype(np.uint8)
    outlines = rasterio.features.shapes(mask, mask == 1)
    return true, max((shapely.geometry.shape(o) for o, _ in outlines), key=lambda o: o.area)


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


if __name__ == "__main__":
    main(*sys.argv[1:])
