"""What is odd about a scene, its labels and a model: a line each, with what to do about it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from geofcn.core.geodesy import ground_resolution
from geofcn.forecast.disk import DiskEstimate
from geofcn.io.scene import Scene, undeclared_collar

if TYPE_CHECKING:
    from geofcn.forecast.labels import LabelsInfo
    from geofcn.training.label_shift import LabelShift

# Blocks of more bytes, and wider than this many pixels, make windows slow to read.
LARGE_BLOCK, WIDE_BLOCK = 16 * 2**20, 8192
# Of two sides of a pixel, and of ground resolutions, how unlike they may be.
SQUARE, ALIKE = 1.01, 2.0
# All houses in less than this share of a scene: the rest may not be labelled.
CORNER = 0.1
# Houses whose area is usual, in square metres.
SMALL_HOUSE, LARGE_HOUSE = 10, 3000


def oddities_of_scene(scene: Scene, blank_share: float) -> Iterator[str]:
    """What is odd about a scene.

    Parameters
    ----------
    scene : Scene
        A sample of it is read for a collar.
    blank_share : float
        Of its pixels, 0 to 1.
    """
    collar = undeclared_collar(scene)
    if collar is not None:
        yield (
            f"much of the scene is {collar:g} in every band and not declared blank: if that is a "
            f"collar, give --nodata {collar:g}."
        )
    if blank_share > 0.95:
        yield (
            f"{100 * blank_share:.0f} % of the scene are blank: if that is not so, correct its "
            "nodata value or mask with `gdal_edit.py`."
        )
    yield from _oddities_of_crs(scene)
    yield from _oddities_of_pixels(scene)
    rows, cols = scene.block_shape
    size = rows * cols * np.dtype(scene.dtype).itemsize
    if size > LARGE_BLOCK or (cols > WIDE_BLOCK and cols == scene.width):
        yield (
            f"the file's blocks of {rows} x {cols} pixels are slow to read by tiles: rewrite it "
            f"with `gdal_translate -co TILED=YES -co COMPRESS=DEFLATE {scene.path} tiled.tif`."
        )


def _oddities_of_crs(scene: Scene) -> Iterator[str]:
    crs = scene.crs
    if crs is None:
        yield (
            "the scene has no CRS: give it one with `gdal_edit.py -a_srs EPSG:CODE`, or "
            "polygons need --allow-no-crs."
        )
    elif ground_resolution(scene.grid) is None:
        yield (
            "the CRS is a local one, or the scene lies outside of its range, so metres per pixel "
            "are unknown: give it another with `gdal_edit.py -a_srs EPSG:CODE`."
        )
    elif crs.is_geographic:
        yield (
            "pixels are in degrees, so they are narrower on the ground than high: where houses are "
            "missed, bring the scene into metres with `gdalwarp -t_srs EPSG:CODE`."
        )
    elif crs.linear_units_factor[1] != 1:
        yield (
            f"the CRS counts in {crs.linear_units}: resolution and areas are given in metres all "
            "the same, and nothing is to be done."
        )


def _oddities_of_pixels(scene: Scene) -> Iterator[str]:
    a, b, _, d, e, _ = tuple(scene.transform)[:6]
    if scene.crs is None:
        return
    if b or d:
        yield (
            "the scene is rotated: mask and polygons lie right all the same; `gdalwarp` makes it "
            "north-up where another program wants that."
        )
    elif e > 0 or a < 0:
        yield (
            "the scene is upside down or mirrored: mask and polygons lie right all the same; "
            "`gdalwarp` makes it north-up where another program wants that."
        )
    across, down = math.hypot(a, d), math.hypot(b, e)
    if max(across, down) > SQUARE * min(across, down):
        yield (
            f"pixels are not square ({across:g} x {down:g}): houses look stretched to the net; "
            "make them square with `gdalwarp -tr`."
        )


def oddities_of_model(scene: Scene, trained: float | None) -> Iterator[str]:
    """What is odd about a scene for a model that takes it.

    Parameters
    ----------
    scene : Scene
        To be predicted.
    trained : float or None
        Ground resolution of the model's training, in metres per pixel.
    """
    resolution = ground_resolution(scene.grid)
    if resolution is None or trained is None:
        if trained is not None:
            yield (
                f"the model was trained at {trained:.3g} m per pixel, and the scene's pixels are "
                "taken for as large: give the scene its CRS if they are not."
            )
        return
    ratio = resolution / trained
    if not 1 / ALIKE <= ratio <= ALIKE:
        yield (
            f"the scene has {resolution:.3g} m per pixel, {ratio:.2g} times the {trained:.3g} m of "
            "the training: look at a part of the mask first, and train on a scene like it where "
            "houses are missed."
        )


def oddities_of_labels(labels: LabelsInfo) -> Iterator[str]:
    """What is odd about labels that lie on their scene."""
    if labels.shapes_without_area:
        yield (
            f"{labels.shapes_without_area} shapes of the labels are points or lines and count for "
            "nothing: draw outlines where they stand for houses."
        )
    if labels.house_share is None:
        yield "no pixel of a sample is labelled: check that labels and scene overlap."
    elif labels.house_share == 0:
        yield "the labels hold no house in a sample of the scene: check their values and CRS."
    elif labels.house_share == 1:
        yield "the labels call every pixel of a sample a house: check their values."
    elif labels.house_share > 0.5:
        yield (
            f"{100 * labels.house_share:.0f} % of the labelled pixels are houses: check whether "
            "house and background are swapped."
        )
    if 0 < labels.extent_share < CORNER and labels.known_share > CORNER:
        yield (
            f"all houses lie in {100 * labels.extent_share:.1f} % of the scene, and the rest is "
            "learnt as background: if that is not labelled, draw around what is, and give that by "
            "--area."
        )
    area = labels.median_house_m2
    if area is not None and not SMALL_HOUSE < area < LARGE_HOUSE:
        yield (
            f"half of the houses have less than {area:.3g} m2: check that the labels are houses, "
            "and their CRS or that of the scene."
        )


def oddities_of_place(shift: LabelShift | None) -> Iterator[str]:
    """Whether labels lie beside the houses of their scene."""
    if shift is not None and shift.is_notable:
        yield shift.advice


def oddities_of_disk(disk: DiskEstimate) -> Iterator[str]:
    """Whether the outputs and what they are made of fit on the disk."""
    if disk.peak_gb > disk.free_gb:
        yield (
            f"an inference takes up to {disk.peak_gb:.1f} GB of disk, and {disk.free_gb:.1f} GB "
            "are free here: make room, or write to another disk."
        )
