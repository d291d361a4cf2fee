"""Describe labels: how many, in which layer, what of them does not count, how they lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from geofcn.core.pixels import houses_and_known
from geofcn.core.windows import sample_windows
from geofcn.io.files import StrPath
from geofcn.io.label_source import LabelSource
from geofcn.io.labels import WindowLabels, open_labels
from geofcn.io.masks import Mask
from geofcn.io.scene import Scene
from geofcn.io.vector_labels import VectorLabels

# Windows in which house pixels are counted: their side in pixels, and how many.
SAMPLE_SIZE, SAMPLE_COUNT = 256, 64


@dataclass(frozen=True)
class LabelsInfo:
    """What labels are on their scene; what is unknown, or of another kind, is None.

    Attributes
    ----------
    path : str
        The file.
    kind : {"polygons", "raster"}
        What it holds.
    layer : str or None
        The layer that counts.
    house_values : list of float or None
        A raster's values for houses.
    polygons, polygons_on_scene : int or None
        Of the layer, and those of them that lie on the scene.
    house_share : float
        House pixels among those that are labelled, from a sample; NaN where none is.
    known_share : float
        Labelled pixels among those of the scene, from the same sample.
    remarks : list of str
        What is left out or mended.
    """

    path: str
    kind: str
    layer: str | None
    house_values: list[float] | None
    polygons: int | None
    polygons_on_scene: int | None
    house_share: float
    known_share: float
    remarks: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """All facts by name."""
        return dict(vars(self))


def describe_labels(
    labels: StrPath,
    scene: Scene,
    *,
    layer: str | None = None,
    where: str | None = None,
    house_value: Sequence[float] = (),
) -> LabelsInfo:
    """Say what labels are, and how they lie on a scene.

    Parameters
    ----------
    labels : path
        A raster or a vector file, see `geofcn.io.labels.open_labels`.
    scene : Scene
        What they belong to.
    layer, where : str, optional
        Layer of a vector file, and a condition that its features must meet.
    house_value : sequence of float
        A raster's values for houses.

    Raises
    ------
    LabelsError
        Where the file cannot be read, or does not fit the scene.
    """
    opened = open_labels(LabelSource.of(labels, layer, where, house_value), scene)
    house_share, known_share = _shares(opened, scene)
    is_vector = isinstance(opened, VectorLabels)
    return LabelsInfo(
        path=opened.path,
        kind="polygons" if is_vector else "raster",
        layer=opened.layer if isinstance(opened, VectorLabels) else None,
        house_values=list(opened.houses) if isinstance(opened, Mask) else None,
        polygons=opened.count if isinstance(opened, VectorLabels) else None,
        polygons_on_scene=opened.touching if isinstance(opened, VectorLabels) else None,
        house_share=house_share,
        known_share=known_share,
        remarks=opened.remarks if isinstance(opened, VectorLabels) else [],
    )


def _shares(labels: WindowLabels, scene: Scene) -> tuple[float, float]:
    """Houses among labelled pixels, and labelled among all, in windows spread over the scene."""
    houses = known = total = 0
    for window in sample_windows(scene.height, scene.width, SAMPLE_SIZE, SAMPLE_COUNT):
        is_house, is_known = houses_and_known(labels.read(window))
        houses += int(np.count_nonzero(is_house))
        known += int(np.count_nonzero(is_known))
        total += window.pixels
    return houses / known if known else float("nan"), known / total
