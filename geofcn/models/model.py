"""A trained net with everything its use needs: the whole-image answer, and the same by windows."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
import torch
from torch import nn

from geofcn import __version__
from geofcn.core.geodesy import ground_resolution
from geofcn.core.pixels import Normalisation, pad_to
from geofcn.core.windows import round_up
from geofcn.errors import ModelError
from geofcn.io.scene import Scene
from geofcn.models.nets import make_net
from geofcn.models.receptive_field import Geometry, probe

# Colour interpretations that say nothing of what a band holds.
UNNAMED = frozenset(("undefined", "gray"))

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelMetadata:
    """What a model says of itself.

    net, scale, upsample   arguments of nets.make_net
    colours, dtype         of the training scene's bands, in order
    threshold              a pixel is a house where its probability reaches it
    recipe                 every training option
    scores                 epoch and validation scores at which the weights were kept
    scenes                 names of the training scenes
    crs, resolution        of the first training scene: WKT, metres on the ground per pixel
    """

    net: str
    scale: int
    upsample: str
    colours: tuple[str, ...]
    dtype: str
    threshold: float = 0.5
    recipe: dict = field(default_factory=dict)
    scores: dict = field(default_factory=dict)
    scenes: tuple[str, ...] = ()
    crs: str | None = None
    resolution: float | None = None
    version: str = __version__


@dataclass(frozen=True)
class Model:
    """A net, the normalisation of its input, and its metadata."""

    net: nn.Module
    normalisation: Normalisation
    metadata: ModelMetadata

    @property
    def geometry(self) -> Geometry:
        """Total stride and halo, probed from the net."""
        return net_geometry(
            self.metadata.net,
            len(self.metadata.colours),
            self.metadata.scale,
            self.metadata.upsample,
        )

    def predict(self, image: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
        """House probability of a whole image by ONE forward pass of the plain net.

        image  (bands, rows, columns), in the units of the training scene
        valid  (rows, columns) boolean, false where blank; default: nothing is blank

        Returns (rows, columns) float32, 0 where blank. Sides that are no multiple of the net's
        stride are extended with blank pixels for the pass and cropped after.
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
        """(bands, rows, columns) float32, normalised, to (2, rows, columns) logits; one pass."""
        with torch.inference_mode():
            return self.net(to_batch(prepared, self.net))[0].cpu()

    def fit(self, scene: Scene) -> Scene:
        """`scene` with the bands this model was trained on, in its order.

        Bands are matched by colour interpretation where that is unambiguous, else by position, as
        long as no band is then taken for one of another colour. Raises ModelError when bands are
        missing or the pixels have another type.
        """
        colours = self.metadata.colours
        if len(set(colours)) == len(colours) and all(scene.colours.count(c) == 1 for c in colours):
            bands = tuple(scene.bands[scene.colours.index(colour)] for colour in colours)
        elif len(scene.bands) == len(colours) and all(map(_may_be, scene.colours, colours)):
            bands = scene.bands
        else:
            raise ModelError(
                f"{scene.path}: it has {len(scene.bands)} band(s) ({', '.join(scene.colours)}), "
                f"the model was trained on {len(colours)} ({', '.join(colours)}); give a scene "
                "with the same bands."
            )
        if scene.dtype != self.metadata.dtype:
            raise ModelError(
                f"{scene.path}: its pixels are {scene.dtype}, the model was trained on "
                f"{self.metadata.dtype}; convert the scene or train on one like it."
            )
        self._compare_resolution(scene)
        return replace(scene, bands=bands, colours=colours)

    def _compare_resolution(self, scene: Scene) -> None:
        here, there = ground_resolution(scene.grid), self.metadata.resolution
        if here and there and not 2 / 3 < here / there < 3 / 2:
            log.warning(
                "%s has %.3g m per pixel, the model was trained at %.3g m: expect poor results.",
                scene.name,
                here,
                there,
            )


def _may_be(one: str, other: str) -> bool:
    """Whether two colour interpretations can be those of the same kind of band."""
    return one == other or not UNNAMED.isdisjoint((one, other))


def to_batch(prepared: np.ndarray, net: nn.Module) -> torch.Tensor:
    """A normalised image as a batch of one, where the net is."""
    device = next(net.parameters()).device
    batch = torch.from_numpy(prepared)[None]
    if device.type == "cuda":
        # A pinned copy goes to the device while other threads read on.
        return batch.pin_memory().to(device, non_blocking=True)
    return batch.to(device)


@lru_cache(maxsize=32)
def net_geometry(net: str, bands: int, scale: int, upsample: str) -> Geometry:
    """probing.probe of a registered net, once per process."""
    with torch.random.fork_rng(devices=[]):
        return probe(make_net(net, bands, scale, upsample), bands)
