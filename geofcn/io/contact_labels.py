"""Labels that tell, besides, where two houses meet: by the number of the house of each pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import shapely

from geofcn.core.contacts import touching
from geofcn.core.pixels import BLANK, CONTACT, CONTACT_UNKNOWN
from geofcn.core.windows import Window, sample_windows
from geofcn.io.labels import Labels, MaskedLabels
from geofcn.io.scene import Scene
from geofcn.io.vector_labels import VectorLabels

# Windows that are looked at for neighbours, and their side in pixels.
SAMPLED, SIDE = 64, 512


@runtime_checkable
class InstanceLabels(Protocol):
    """Labels that know the house of each pixel."""

    def instances(self, window: Window) -> np.ndarray:
        """Numbers of the houses in a window: (rows, columns) int, 0 where there is none."""
        ...


@dataclass(frozen=True)
class ContactLabels:
    """Labels with the bit CONTACT where two houses meet, see `geofcn.core.contacts.touching`.

    Labels that do not know their houses apart have CONTACT_UNKNOWN everywhere instead.

    Attributes
    ----------
    labels : Labels
        The labels.
    scene : Scene
        On whose grid they are.
    reach : int
        How far from two houses a contact lies, in pixels of the scene.
    """

    labels: Labels
    scene: Scene
    reach: int

    @property
    def path(self) -> str:
        """The file the labels come from."""
        return self.labels.path

    @property
    def identity(self) -> str:
        """What changes when one of the files does, or the reach."""
        return self.labels.identity and f"{self.labels.identity} contacts {self.reach}"

    def refuse_changed(self) -> None:
        """See Labels."""
        self.labels.refuse_changed()

    def read(self, window: Window) -> np.ndarray:
        """Classes of a window that lies on the scene: (rows, columns) uint8, with bits besides."""
        classes, known = self.labels.read(window), instances_of(self.labels)
        if known is None:
            classes[classes != BLANK] |= CONTACT_UNKNOWN
            return classes
        wide = window.grow(self.reach).clip(self.scene.height, self.scene.width)
        near = touching(known.instances(wide), self.reach)[window.relative_to(wide).slices]
        classes[near & (classes != BLANK)] |= CONTACT
        return classes


def instances_of(labels: Labels) -> InstanceLabels | None:
    """What knows the houses of labels apart; None where nothing does."""
    if isinstance(labels, MaskedLabels | ContactLabels):
        return instances_of(labels.labels)
    return labels if isinstance(labels, InstanceLabels) else None


def share_with_neighbours(labels: Labels, scene: Scene, distance: float) -> float:
    """Share of labelled houses with another one near by, from a sample of the scene, 0 to 1.

    Parameters
    ----------
    labels : Labels
        On the scene's grid; 0 where they do not tell their houses apart.
    scene : Scene
        The scene.
    distance : float
        How near, in pixels.
    """
    known = instances_of(labels)
    if known is None:
        return 0.0
    houses: dict[int, bool] = {}
    for window in sample_windows(scene.height, scene.width, SIDE, SAMPLED):
        if isinstance(known, VectorLabels):
            numbers, accompanied = _polygons_with_neighbours(known, window, distance)
        else:
            numbers, accompanied = _instances_with_neighbours(known, window, distance)
        for number, near in zip(numbers.tolist(), accompanied.tolist(), strict=True):
            houses[number] = houses.get(number, False) or near
    return sum(houses.values()) / max(1, len(houses))


def _polygons_with_neighbours(
    labels: VectorLabels, window: Window, distance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the polygons near a window, (n,), and whether another one is near, bool."""
    polygons, numbers = labels.in_pixels(window)
    first, second = shapely.STRtree(polygons).query(polygons, "dwithin", distance)
    accompanied = np.zeros(len(polygons), bool)
    accompanied[first[first != second]] = True
    return numbers, accompanied


def _instances_with_neighbours(
    labels: InstanceLabels, window: Window, distance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the houses in a window, (n,), and whether another one there is near, bool.

    From pixel to pixel, a gap that is `distance` wide is one more.
    """
    instances = labels.instances(window)
    near = touching(instances, int(distance) + 1)
    numbers = np.unique(instances[instances != 0])
    return numbers, np.isin(numbers, instances[near])
