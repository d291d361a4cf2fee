"""Masks and raster labels: one rule says which of a raster's values are houses.

Classes are (rows, columns) uint8: 0 background, 1 house, 255 where nothing is known; and in masks
that `geofcn infer` wrote of a net that tells, 2 for a house where it meets another. A raster of
instances has a number for each house instead.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from geofcn.core.pixels import BACKGROUND, BLANK, HOUSE, HOUSE_CONTACT, mark_contacts
from geofcn.core.resampling import Ratio
from geofcn.core.windows import Window, band_height, row_bands, sample_windows
from geofcn.errors import LabelsError, SceneError, UsageError
from geofcn.io.datasets import shared_dataset
from geofcn.io.files import StrPath
from geofcn.io.label_source import LabelSource
from geofcn.io.opening import open_raster
from geofcn.io.scene import Scene, read_tags

# How far JPEG strays from 0 and 255, and how many values it makes, at least.
JPEG_NOISE, JPEG_VALUES = 48, 5
BAND_ROWS = 256
# Tag of the rasters of `geofcn infer`: they know background, and may hold none.
MODEL_TAG = "GEOFCN_MODEL_SHA256"
# Tag of masks in which HOUSE_CONTACT is a house where it meets another.
CONTACT_TAG = "GEOFCN_CONTACTS"
# Another one: how many pixels the net saw as one, a Ratio.
SCALE_TAG = "GEOFCN_SCALE"
SAY_WHICH = "say which values are houses by --house-value"

log = logging.getLogger(__name__)


class HousePixels(NamedTuple):
    """Where houses are in a part of a mask, and what it tells of them.

    Attributes
    ----------
    houses : (rows, columns) array of bool
    contacts : (rows, columns) array of bool, optional
        Where they meet others; None of a mask that does not tell.
    numbers : (rows, columns) array of int, optional
        The number of each pixel's house, 0 of none; None of a mask without instances.
    """

    houses: np.ndarray
    contacts: np.ndarray | None = None
    numbers: np.ndarray | None = None


@dataclass(frozen=True)
class Mask:
    """A raster of classes; made by `open_mask`.

    Attributes
    ----------
    raster : Scene
        Its pixels; of several bands all are the same.
    houses : tuple of float
        The values of houses.
    chosen : bool
        The user said so: any other value is background. Else only 0 is, and a third value an error.
    contacts : bool
        Whether houses are HOUSE_CONTACT where they meet others.
    """

    raster: Scene
    houses: tuple[float, ...]
    chosen: bool = False
    contacts: bool = False

    @property
    def path(self) -> str:
        """The file."""
        return self.raster.path

    @property
    def identity(self) -> str:
        """What changes when a file does, other values are houses, or it is brought elsewhere."""
        place = tuple(self.raster.transform)[:6] if self.raster.resampled else ()
        parts = *(self.houses if self.chosen else ()), *place
        return self.raster.identity and " ".join([self.raster.identity, *map(repr, parts)])

    def refuse_changed(self) -> None:
        """See Scene.refuse_changed."""
        self.raster.refuse_changed()

    def read(self, window: Window) -> np.ndarray:
        """Classes of a window that lies on the raster: (rows, columns) uint8.

        Raises
        ------
        SceneError
            Where the file cannot be read there.
        LabelsError
            Where it holds another value than those that were found when it was opened.
        """
        return self._classes(*self.raster.read(window))

    def read_marked(self, window: Window) -> np.ndarray:
        """The same with HOUSE_CONTACT for houses where they meet others; what `split` takes."""
        image, valid = self.raster.read(window)
        classes = self._classes(image, valid)
        return mark_contacts(classes, image[0] == HOUSE_CONTACT) if self.contacts else classes

    def split(self, marked: np.ndarray) -> HousePixels:
        """What `read_marked` gave, told apart."""
        if not self.contacts:
            return HousePixels(marked == HOUSE)
        contacts = marked == HOUSE_CONTACT
        return HousePixels(contacts | (marked == HOUSE), contacts)

    def _classes(self, image: np.ndarray, valid: np.ndarray) -> np.ndarray:
        _refuse_unlike_bands(self.raster, image)
        houses = np.zeros(valid.shape, bool)
        for value in self.houses:
            # Whole numbers as such: a comparison with a float would make floats of the pixels.
            houses |= image[0] == (int(value) if value == round(value) else value)
        if not self.chosen and (image[0][valid & ~houses] != 0).any():
            found = np.unique(image[0][valid]).tolist()
            raise _several(self.raster, {*found, *self.houses} - {0})
        classes = np.where(houses, np.uint8(HOUSE), np.uint8(BACKGROUND))
        classes[~valid] = BLANK
        return classes


class InstanceMask(Mask):
    """A raster in which each value besides 0 is the number of a house; made by `open_mask`."""

    @property
    def identity(self) -> str:
        """See Mask."""
        return super().identity and f"{super().identity} instances"

    def instances(self, window: Window) -> np.ndarray:
        """Numbers of the houses in a window: (rows, columns) int, 0 where there is none."""
        image, valid = self.raster.read(window)
        self._refuse_no_numbers(image, valid)
        return np.where(valid, image[0], image.dtype.type(0))

    def read_marked(self, window: Window) -> np.ndarray:
        """See `instances`, and `split`."""
        return self.instances(window)

    def split(self, marked: np.ndarray) -> HousePixels:
        """See Mask."""
        return HousePixels(marked != 0, numbers=marked)

    def _classes(self, image: np.ndarray, valid: np.ndarray) -> np.ndarray:
        self._refuse_no_numbers(image, valid)
        classes = (image[0] != 0).view(np.uint8)
        classes[~valid] = BLANK
        return classes

    def _refuse_no_numbers(self, image: np.ndarray, valid: np.ndarray) -> None:
        _refuse_unlike_bands(self.raster, image)
        lowest = image[0].min(where=valid, initial=0)
        if lowest < 0:
            raise LabelsError(
                f"{self.path}: it holds {lowest}, and numbers of houses are above 0; if that means "
                f"unknown, declare it (`gdal_edit.py -a_nodata {lowest}`)."
            )


def open_mask(path: StrPath, house_values: Sequence[float] = (), instances: bool = False) -> Mask:
    """Open a raster of classes: a mask, or labels.

    The value that is a house is the only one besides 0, which is background; nodata is unknown. A
    raster that has no 0, but declares it nodata, has background there, with a notice. What cannot
    be told by this is refused, unless `house_values` say it.

    Parameters
    ----------
    path : path
        A raster of one band (or of several that are the same), also as `FILE|house=V,V` or
        `FILE|instances`.
    house_values : sequence of float, optional
        The values of houses; all others but nodata are background. One of them may be the declared
        nodata, which counts then.
    instances : bool
        Each value besides 0 and nodata is the number of a house; an InstanceMask is returned.

    Raises
    ------
    SceneError
        Where it is no raster that geofcn can use.
    LabelsError
        Where its values are no classes, or it cannot be told which of them are houses.
    """
    source = LabelSource.of(path, house_values=house_values, instances=instances)
    raster = open_raster(source.path)
    if source.shift:
        raise UsageError(f"{raster.path}: labels are moved as far as they lie on another raster.")
    if source.layer is not None or source.where is not None:
        raise LabelsError(f"{raster.path}: layers and conditions belong to vector files.")
    if raster.scale != 1:
        raise SceneError(
            f"{raster.path}: its values are scaled, as probabilities are; give the mask itself."
        )
    tells = CONTACT_TAG in read_tags(raster)
    if source.instances:
        return _numbered(raster, tells)
    if source.house_values:
        return _chosen(raster, source.house_values, tells and HOUSE_CONTACT in source.house_values)
    if tells:
        return Mask(raster, (HOUSE, HOUSE_CONTACT), contacts=True)
    raster = _with_background(raster)
    values = _values(raster)
    houses = sorted(values - {0})
    if len(houses) > 1:
        raise _several(raster, houses)
    _refuse_swapped(raster, houses)
    if houses not in ([], [1]):
        log.warning("%s: its value %g is taken as house, 0 as background.", raster.path, *houses)
    is_ours = MODEL_TAG in read_tags(raster)
    if not houses and raster.declared not in (None, 0) and not is_ours:
        log.warning(
            "%s: it holds no house: 0 alone, and the nodata value %g; if that means house, give "
            "--house-value %g.",
            raster.path, raster.declared, raster.declared,
        )  # fmt: skip
    return Mask(raster, tuple(houses))


def _chosen(raster: Scene, houses: tuple[float, ...], contacts: bool) -> Mask:
    if raster.declared in houses:
        raster = replace(raster, masked=False)
    return Mask(raster, houses, chosen=True, contacts=contacts)


def _numbered(raster: Scene, tells_contacts: bool) -> InstanceMask:
    """A raster of instances, unless its values cannot be numbers of houses."""
    if tells_contacts:
        raise LabelsError(
            f"{raster.path}: it is a mask of geofcn, which has no numbers of houses but says where "
            "they meet; take it without instances."
        )
    if np.dtype(raster.dtype).kind not in "iu":
        raise LabelsError(
            f"{raster.path}: its values are {raster.dtype}, numbers of houses are whole; convert "
            "them with `gdal_translate -ot UInt32`."
        )
    if raster.compression == "JPEG":
        raise LabelsError(
            f"{raster.path}: JPEG changes numbers of houses; save them as PNG, or TIFF without it."
        )
    return InstanceMask(_with_background(raster), ())


def net_pixel(mask: Mask) -> float:
    """How many pixels wide a mask's net pixels are, by its tags; 1 where they do not say so."""
    ratio = Ratio.parse(read_tags(mask.raster).get(SCALE_TAG, ""))
    return 1 if ratio is None else ratio.number


def has_background(mask: Mask) -> bool:
    """Whether any pixel is known to be background; read as far as the first."""
    return any((mask.read(window) == BACKGROUND).any() for window in _windows(mask.raster))


def _with_background(raster: Scene) -> Scene:
    """`raster` with its zeros as background, where it declares them nodata as many tools do."""
    if raster.declared != 0:
        return raster
    log.warning("%s: it declares 0 nodata; 0 is taken as background.", raster.path)
    return replace(raster, masked=False)


def _values(raster: Scene) -> set[float]:
    """The values in a sample of the pixels, or as far as the first one that is not 0."""
    values: set[float] = set()
    for window in _sample(raster):
        values |= _values_in(raster, window)
    for window in _bands(raster):
        if values - {0}:
            break
        values |= _values_in(raster, window)
    return values


def _values_in(raster: Scene, window: Window) -> set[float]:
    image, valid = raster.read(window)
    _refuse_unlike_bands(raster, image)
    return set(np.unique(image[0][valid]).tolist())


def _sample(raster: Scene) -> Iterator[Window]:
    return sample_windows(raster.height, raster.width, 256, 64)


def _windows(raster: Scene) -> Iterator[Window]:
    """A sample first, then all."""
    yield from _sample(raster)
    yield from _bands(raster)


def _bands(raster: Scene) -> Iterator[Window]:
    rows = min(BAND_ROWS, band_height(raster.width))
    return row_bands(raster.height, raster.width, rows)


# --- what cannot be told -------------------------------------------------------------------------


def _several(raster: Scene, houses: Iterable[float]) -> LabelsError:
    """The error of more values than 0 and one other."""
    houses = sorted(houses)
    shown = ", ".join(f"{value:g}" for value in houses[:5])
    found = f"{raster.path}: it holds several values besides 0 ({shown})"
    if any(value != round(value) for value in houses):
        return LabelsError(f"{found}, fractions, as probabilities are; give the mask itself.")
    strayed = max(min(abs(value), abs(255 - value)) for value in houses)
    if len(houses) >= JPEG_VALUES and strayed <= JPEG_NOISE and max(houses) > 127:
        return LabelsError(
            f"{found}, all near 0 or 255, as JPEG leaves them; save the mask without loss, as PNG "
            "or TIFF."
        )
    return LabelsError(
        f"{found}; {SAY_WHICH}, or by --instances that each of them is a house of its own, or give "
        "a mask of 0 and one other value."
    )


def _refuse_unlike_bands(raster: Scene, image: np.ndarray) -> None:
    if (image[1:] != image[0]).any():
        raise LabelsError(
            f"{raster.path}: it has {len(image)} bands that differ, as an image has, not a mask; "
            "if this is the scene, scene and mask are swapped, else give one band of it (see "
            "`gdal_translate -b`)."
        )


def _refuse_swapped(raster: Scene, houses: Sequence[float]) -> None:
    """Raise LabelsError where 0 is painted white and the other value black: either may be meant."""
    house = houses[0] if houses else 1
    if _brightness(raster, 0) >= 250 and _brightness(raster, house) <= 5:
        raise LabelsError(
            f"{raster.path}: it paints 0 white and {house:g} black, so it cannot be told which is "
            f"the house; {SAY_WHICH}."
        )


def _brightness(raster: Scene, value: float) -> float:
    """How bright a value is shown, 0 to 255; between the two where its file does not say."""
    with shared_dataset(raster.path, raster.identity) as dataset:
        if dataset.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES":
            return 255.0 if value == 0 else 0.0
        try:
            colours = dataset.colormap(1)
        except ValueError:  # it has no colour table
            return 128.0
    return float(np.mean(colours.get(int(value), (128, 128, 128))[:3]))
