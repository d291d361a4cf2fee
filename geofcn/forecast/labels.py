"""Describe labels as they lie on their scene, from a sample of its windows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import rasterio.features
import shapely

from geofcn.core.geodesy import Ground, ground_resolution
from geofcn.core.pixels import houses_and_known
from geofcn.core.windows import Window, sample_windows
from geofcn.io.labels import LabelledScene
from geofcn.io.scene import Scene
from geofcn.io.vector_labels import VectorLabels
from geofcn.training.label_shift import LabelShift, find_shift

# Windows that are looked at: their side in pixels, and how many.
SAMPLE_SIZE, SAMPLE_COUNT = 256, 64


@dataclass(frozen=True)
class LabelsInfo:
    """What labels are on their scene; what is unknown, or of the other kind, is None.

    Attributes
    ----------
    path : str
        The file.
    kind : {"polygons", "raster"}
        What it holds.
    crs : str or None
        Of polygons.
    polygons : int or None
        In the file, each part of a multipolygon counted.
    shapes_without_area : int or None
        Points, lines and the like, which count for nothing.
    houses_about : int
        On the scene, from the share of house pixels and the size of a house in a sample.
    median_house_m2 : float or None
        Area of a house on the ground.
    house_share : float or None
        Houses among the labelled pixels of the sample, 0 to 1.
    known_share : float
        Labelled pixels among those of the sample, 0 to 1.
    extent_share : float
        Of the scene, what the box around the sample's houses takes, 0 to 1.
    shift : LabelShift or None
        By how much they would have to be moved to lie on the houses of the image.
    """

    path: str
    kind: str
    crs: str | None
    polygons: int | None
    shapes_without_area: int | None
    houses_about: int
    median_house_m2: float | None
    house_share: float | None
    known_share: float
    extent_share: float
    shift: LabelShift | None = None


@dataclass(frozen=True)
class _Sample:
    """Pixels of windows spread over the scene, and houses that lie in one of them as a whole."""

    pixels: int
    known: int
    houses: int
    house_pixels: list[float]
    extent: Window | None


def describe_labels(source: LabelledScene) -> LabelsInfo:
    """Say what labels are, and how they lie on their scene.

    Raises
    ------
    LabelsError, SceneError
        Where they cannot be read.
    """
    sample = _sample(source)
    scene, path = source.scene, source.labels.path
    mean = float(np.mean(sample.house_pixels)) if sample.house_pixels else None
    share = sample.houses / sample.pixels
    found = LabelsInfo(
        path=path,
        kind="raster",
        crs=None,
        polygons=None,
        shapes_without_area=None,
        houses_about=round(share * scene.window.pixels / (mean or sample.houses or 1)),
        median_house_m2=_median_area(sample, ground_resolution(scene.grid)),
        house_share=sample.houses / sample.known if sample.known else None,
        known_share=sample.known / sample.pixels,
        extent_share=sample.extent.pixels / scene.window.pixels if sample.extent else 0.0,
        shift=find_shift(source),
    )
    if not isinstance(source.labels, VectorLabels):
        return found
    return _with_polygons(found, source.labels, scene)


def _median_area(sample: _Sample, resolution: float | None) -> float | None:
    """Median area of the sample's houses in square metres."""
    if resolution is None or not sample.house_pixels:
        return None
    return float(np.median(sample.house_pixels)) * resolution**2


def _with_polygons(found: LabelsInfo, labels: VectorLabels, scene: Scene) -> LabelsInfo:
    """With what the file's own polygons say, their size by those in the sample's windows."""
    areas: dict[int, float] = {}
    for window in _windows(scene):
        houses = labels.near(window)
        sizes, _ = Ground(scene.crs).measure(houses.polygons)
        areas |= zip(houses.numbers.tolist(), sizes.tolist(), strict=True)
    return replace(
        found,
        kind="polygons",
        crs=None if labels.crs is None else labels.crs.to_string(),
        polygons=labels.count,
        shapes_without_area=labels.left_out,
        median_house_m2=float(np.median([*areas.values()])) if areas else None,
    )


def _windows(scene: Scene) -> Iterator[Window]:
    return sample_windows(scene.height, scene.width, SAMPLE_SIZE, SAMPLE_COUNT)


def _sample(source: LabelledScene) -> _Sample:
    pixels = known = houses = 0
    sizes: list[float] = []
    boxes: list[tuple[int, int, int, int]] = []
    scene = source.scene
    for window in _windows(scene):
        is_house, is_known = houses_and_known(source.labels.read(window))
        pixels += window.pixels
        known += int(np.count_nonzero(is_known))
        houses += int(np.count_nonzero(is_house))
        sizes += _whole_houses(is_house)
        rows, cols = np.nonzero(is_house)
        if len(rows):
            top, left = window.row + rows.min(), window.col + cols.min()
            bottom, right = window.row + rows.max() + 1, window.col + cols.max() + 1
            boxes.append((int(top), int(left), int(bottom), int(right)))
    return _Sample(pixels, known, houses, sizes, _around(boxes))


def _whole_houses(is_house: np.ndarray) -> list[float]:
    """Pixels of each house that does not touch the edge of the array."""
    rows, cols = is_house.shape
    mask = is_house.astype(np.uint8)
    polygons = [
        shapely.geometry.shape(shape) for shape, _ in rasterio.features.shapes(mask, mask == 1)
    ]
    inside = shapely.box(0.5, 0.5, cols - 0.5, rows - 0.5)
    return [polygon.area for polygon in polygons if inside.covers(polygon)]


def _around(boxes: list[tuple[int, int, int, int]]) -> Window | None:
    if not boxes:
        return None
    tops, lefts, bottoms, rights = zip(*boxes, strict=True)
    top, left = min(tops), min(lefts)
    return Window(top, left, max(bottoms) - top, max(rights) - left)
