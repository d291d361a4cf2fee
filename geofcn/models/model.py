"""Trained model: a net with its normalisation and metadata, and its answer for a whole image."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import nn

from geofcn import __version__
from geofcn.core.calibration import Calibration, ScoreCalibration
from geofcn.core.contacts import Contacts
from geofcn.core.encoding import Encoding
from geofcn.core.geodesy import ground_resolution
from geofcn.core.pixels import Normalisation, pad_to
from geofcn.core.resampling import FARTHEST, Ratio, area_sum, is_far
from geofcn.core.windows import round_up
from geofcn.errors import ModelError, SceneError
from geofcn.io.scene import Scene
from geofcn.models.nets import answer_from_means, make_sketch
from geofcn.models.receptive_field import Geometry, probe
from geofcn.text import printable

# Colour interpretations that say nothing of what a band holds.
UNNAMED = frozenset(("undefined", "gray"))

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parent:
    """The model that a training started from.

    Attributes
    ----------
    sha256 : str
        Of its tensors, see `geofcn.models.model_file.model_digest`.
    scenes : tuple of str
        Names of the scenes that it had learnt from, those of its own parents first.
    """

    sha256: str
    scenes: tuple[str, ...]


@dataclass(frozen=True)
class ModelMetadata:
    """What a model says of itself, as kept in its file.

    Attributes
    ----------
    net, scale, upsample
        Arguments of `geofcn.models.nets.make_net`.
    colours : tuple of str
        Colour interpretations of the training scene's bands, in order.
    dtype : str
        Of the training scene's pixels.
    bands : tuple of int
        1-based numbers of the training scene's bands, where the user named them; else empty.
    scales, offsets : tuple of float
        Of the training scene's bands, see `geofcn.core.encoding.Encoding`; empty where they are not
        known, as of an older model.
    threshold : float
        A pixel is a house where its probability reaches it, from 0 to 1.
    calibration : Calibration or None
        Of the probabilities; None where none was fitted.
    score_calibration : ScoreCalibration or None
        Of the scores of footprints; None where none was fitted.
    recipe : dict
        Every training option.
    scores : dict
        Epoch at which the weights were kept, its scores, and what they were scored on.
    scenes : tuple of str
        Names of the training scenes.
    parent : Parent or None
        The model that the training started from; None where it started from nothing.
    contacts : Contacts or None
        Where the net tells that houses meet; None: it does not tell.
    crs : str or None
        Of the first training scene, as WKT.
    resolution : float or None
        Of the first training scene, in metres on the ground per pixel.
    version : str
        Of the geofcn that made the model.
    """

    net: str
    scale: int
    upsample: str
    colours: tuple[str, ...]
    dtype: str
    bands: tuple[int, ...] = ()
    scales: tuple[float, ...] = ()
    offsets: tuple[float, ...] = ()
    threshold: float = 0.5
    calibration: Calibration | None = None
    score_calibration: ScoreCalibration | None = None
    recipe: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    scenes: tuple[str, ...] = ()
    parent: Parent | None = None
    contacts: Contacts | None = None
    crs: str | None = None
    resolution: float | None = None
    version: str = __version__

    @property
    def encoding(self) -> Encoding | None:
        """What the values stand for that the net was trained on; None where it is not known."""
        return Encoding(self.dtype, self.scales, self.offsets) if self.scales else None

    @property
    def all_scenes(self) -> tuple[str, ...]:
        """Names of all scenes that the weights were learnt from, those of the parent first."""
        return (*(self.parent.scenes if self.parent else ()), *self.scenes)


@dataclass(frozen=True)
class Model:
    """A net, the normalisation of its input, and its metadata.

    Attributes
    ----------
    net : Module
        (1, bands, rows, columns) float32, normalised, to (1, 2, rows, columns) logits of background
        and house; made by `geofcn.models.nets.make_net` with the metadata's arguments.
    normalisation : Normalisation
        From the scene's values to the net's.
    metadata : ModelMetadata
        All the rest.
    resampled : Ratio or None
        How the net is shown scenes of another ground resolution than the training's, see
        `at_resolution_of`; it is not kept in the model's file.
    """

    net: nn.Module
    normalisation: Normalisation
    metadata: ModelMetadata
    resampled: Ratio | None = None

    def __repr__(self) -> str:
        about = self.metadata
        colours = printable(" ".join(about.colours), 200)
        scenes = printable(", ".join(about.all_scenes[:3]), 200) or "unnamed scenes"
        more = f" and {len(about.all_scenes) - 3} more" if len(about.all_scenes) > 3 else ""
        resolution = f" at {about.resolution:.3g} m per pixel" if about.resolution else ""
        return (
            f"<Model: {about.net} at scale {about.scale}, threshold {about.threshold:g}, "
            f"{colours} {about.dtype}, trained on {scenes}{more}{resolution}>"
        )

    @property
    def geometry(self) -> Geometry:
        """Total stride and halo, in pixels of the scene.

        Probed, once in a process, from a fresh net made with the metadata's arguments: they depend
        on the architecture, not on the weights.
        """
        about = self.metadata
        bands = len(about.colours)
        if self.resampled is None:
            return net_geometry(about.net, bands, about.scale, about.upsample)
        return net_geometry(about.net, bands, 1, about.upsample).resampled(self.resampled)

    @property
    def ratio(self) -> Ratio:
        """How many pixels of a scene a pixel is wide that the net sees."""
        return self.resampled or Ratio(self.metadata.scale)

    def at_resolution_of(self, scene: Scene) -> Model:
        """The model with the ratio by which its net sees a scene as it saw that of the training.

        Net pixels are as wide on the ground as in training, to 5 % where eighths of a pixel
        allow it. The ratio is the model's scale where the scene's resolution is that of the
        training, or one of them is not known, or the normalisation is a mean image, which is made
        of pixels.

        Raises
        ------
        ModelError
            Where the resolutions differ by more than a factor of FARTHEST.
        """
        resolution, trained = ground_resolution(scene.grid), self.metadata.resolution
        if not (resolution and trained) or self.normalisation.mean.shape[1] > 1:
            return replace(self, resampled=None)
        if is_far(resolution, trained):
            raise ModelError(
                f"{scene.path}: it has {resolution:.3g} m per pixel, the model was trained at "
                f"{trained:.3g} m; resample the scene to less than {FARTHEST} times of that, or "
                "train on one like it."
            )
        ratio = Ratio.between(self.metadata.scale, trained, resolution)
        return replace(self, resampled=None if ratio == Ratio(self.metadata.scale) else ratio)

    def side(self, pixels: int) -> int:
        """A side of `pixels` pixels at the training's resolution, in pixels of the scene.

        For windows that are computed as a whole: fewer pixels where those of the scene are larger,
        as many where they are smaller; rounded up to the stride.
        """
        coarser = min(1, self.ratio.number / self.metadata.scale)
        return round_up(math.ceil(pixels * coarser), self.geometry.stride)

    def predict(self, image: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
        """House probability of a whole image by one forward pass of the plain net.

        Memory grows with the image; `geofcn.infer` gives the same, to rounding, of any scene.

        Parameters
        ----------
        image : (bands, rows, columns) array
            In the units of the training scene, with pixels as wide on the ground; with those of a
            scene by the model that `at_resolution_of` gives for it.
        valid : (rows, columns) bool array, optional
            False where blank; default: nowhere. Values that are not finite are blank as well.

        Returns
        -------
        (rows, columns) float32 array
            From 0 to 1; 0 where blank.

        Raises
        ------
        ModelError
            For an image with another number of bands or of axes.

        Notes
        -----
        Sides that are no multiple of the net's stride are extended with blank pixels for the pass
        and cropped after.
        """
        if image.ndim != 3 or image.shape[0] != self.normalisation.bands:
            raise ModelError(
                f"an image of shape {image.shape}: this model needs "
                f"({self.normalisation.bands}, rows, columns)."
            )
        if valid is None:
            valid = np.ones(image.shape[1:], bool)
        if image.dtype.kind == "f":
            valid = valid & np.isfinite(image).all(axis=0)
        rows, cols = image.shape[1:]
        stride = self.geometry.stride
        prepared = self.normalisation.apply(image, valid, 0, 0)
        prepared = pad_to(prepared, round_up(rows, stride), round_up(cols, stride))
        logits = self.logits(prepared)[:, :rows, :cols]
        return np.where(valid, torch.sigmoid(logits[1] - logits[0]).numpy(), np.float32(0))

    def logits(self, prepared: np.ndarray) -> torch.Tensor:
        """(bands, rows, columns) float32, normalised, to (2 or 3, rows, columns); one pass."""
        answer: Callable[[torch.Tensor], torch.Tensor] = self.net
        if self.resampled is not None:
            prepared = area_sum(prepared, self.ratio, np.float32) / self.ratio.p**2
            answer = answer_from_means(self.net, self.ratio)
        with torch.inference_mode():
            return answer(to_batch(prepared, self.net))[0].cpu()

    def select_bands(self, scene: Scene) -> Scene:
        """A scene with the bands that this model was trained on, in its order and its encoding.

        Bands that the user named are taken as they are. Others are matched by colour interpretation
        where that is unambiguous, else by the numbers that were named in training, else by
        position; by these as long as no band is then taken for one of another colour. What the
        scene's resolution means for the model is logged.

        Raises
        ------
        ModelError
            When bands are missing or the pixels have another type.
        """
        fitting = scene
        if not scene.named:
            fitting = scene.with_bands(self._bands_in(scene))
            _refuse_masks(fitting)
        wanted = self.metadata.colours
        if len(fitting.bands) != len(wanted):
            raise ModelError(
                f"{scene.path}: {len(fitting.bands)} band(s) are named, the model was trained on "
                f"{len(wanted)} ({', '.join(wanted)}); name as many."
            )
        self._log_resolution(scene)
        return self._as_in_training(fitting)

    def _bands_in(self, scene: Scene) -> tuple[int, ...]:
        """Numbers of the bands of a scene that are those of the training."""
        colours, numbers = self.metadata.colours, self.metadata.bands
        all_colours = [band.colour for band in scene.file_bands]
        if len(set(colours)) == len(colours) and all(all_colours.count(c) == 1 for c in colours):
            return tuple(all_colours.index(colour) + 1 for colour in colours)
        for bands in (numbers, scene.bands):
            found = [all_colours[band - 1] for band in bands if band <= len(all_colours)]
            if len(found) == len(colours) and all(map(_may_be, found, colours)):
                return bands
        by_number = f" as bands {','.join(map(str, numbers))}" if numbers else ""
        raise ModelError(
            f"{scene.path}: it has {len(scene.bands)} band(s) ({', '.join(scene.colours)}), "
            f"the model was trained on {len(colours)} ({', '.join(colours)}){by_number}; give a "
            "scene with the same bands, or name them by --bands."
        )

    def _as_in_training(self, scene: Scene) -> Scene:
        """A scene whose values stand for what those of the training stood for."""
        about = self.metadata
        encoding = about.encoding
        if encoding is None:
            if scene.dtype == about.dtype:
                return scene
            plain = (1.0,) * len(scene.bands), (0.0,) * len(scene.bands)
            encoding = Encoding(about.dtype, *plain)
        try:
            return scene.seen_as(encoding, "the model's training")
        except SceneError as error:
            raise ModelError(str(error)) from error

    def _log_resolution(self, scene: Scene) -> None:
        """Say how a scene is resampled, or that it should be and is not."""
        resolution, trained = ground_resolution(scene.grid), self.metadata.resolution
        if not (resolution and trained):
            return
        ratio = self.at_resolution_of(scene).resampled
        if ratio is not None:
            log.info(
                "%s has %.3g m per pixel: the net sees %s of them as one, %.3g m (%.3g m in "
                "training).",
                scene.name,
                resolution,
                ratio,
                ratio.number * resolution,
                self.metadata.scale * trained,
            )
        elif not 2 / 3 < resolution / trained < 3 / 2:
            log.warning(
                "%s has %.3g m per pixel, the model was trained at %.3g m: expect poor results.",
                scene.path,
                resolution,
                trained,
            )


def _refuse_masks(scene: Scene) -> None:
    """Raise ModelError where a band that a model takes for colours is a mask in a scene."""
    for band, colour in zip(scene.bands, scene.colours, strict=True):
        if colour == "alpha" and band not in scene.false_masks:
            raise ModelError(
                f"{scene.path}: its band {band} is a mask; in the model's training a band called "
                "alpha held something else: name the bands that are like those by --bands."
            )


def _may_be(colour: str, trained: str) -> bool:
    """Whether two colour interpretations can be those of the same kind of band."""
    return colour == trained or not UNNAMED.isdisjoint((colour, trained))


def to_batch(prepared: np.ndarray, net: nn.Module) -> torch.Tensor:
    """A normalised image as a batch of one, on the device that the net is on.

    (bands, rows, columns) array to (1, bands, rows, columns) tensor.
    """
    device = next(net.parameters()).device
    batch = torch.from_numpy(prepared)[None]
    if device.type == "cuda":
        # A pinned copy goes to the device while other threads read on.
        return batch.pin_memory().to(device, non_blocking=True)
    return batch.to(device)


@lru_cache(maxsize=32)
def net_geometry(net: str, bands: int, scale: int, upsample: str) -> Geometry:
    """Total stride and halo of a registered net, probed once in a process.

    See `geofcn.models.receptive_field.probe`; the arguments are those of
    `geofcn.models.nets.make_net`. The random state of the process stays as it is. What is probed is
    the net without its scale, and with few channels where it has many: that looks as far, sooner.

    Examples
    --------
    >>> net_geometry("fcnn2", 3, 2, "nearest")
    Geometry(stride=4, halo=16)
    """
    with torch.random.fork_rng(devices=[]):
        geometry = probe(make_sketch(net, bands, upsample), bands)
    return geometry if scale == 1 else geometry.resampled(Ratio(scale))
