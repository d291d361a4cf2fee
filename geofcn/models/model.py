"""A trained net with everything its use needs: the whole-image answer, and the same by windows."""

from __future__ import annotations

import copy
import logging
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
import torch
from torch import nn

from geofcn import __version__
from geofcn.core.pixels import Normalisation, pad_to
from geofcn.core.windows import Window, round_up, tile_at
from geofcn.errors import ModelError
from geofcn.io.scene import Scene, ground_resolution
from geofcn.models.device import keep_freed_memory
from geofcn.models.nets import (
    Merged,
    answer_from_means,
    class_difference,
    has_tail,
    make_net,
    without_batch_norm,
)
from geofcn.models.receptive_field import Geometry, probe

# Side of a compute window: so many pixels of the net's own input (measured), but not of larger
# means than these, which bounds the memory of what is read and written. A GPU is given the largest
# window whatever the scale: small ones would leave it idle between its kernels.
COMPUTE, COMPUTE_SCALE = 512, 4
# But at least this many times the halo, for a net that looks far.
HALOS = 8
# Of a window that is partly blank, what is computed starts and ends on multiples of this: every
# shape of a pass takes time to get ready for.
PART = 128
# Colour interpretations that say nothing of what a band holds.
UNNAMED = frozenset(("undefined", "gray"))

log = logging.getLogger("geofcn")


@dataclass(frozen=True)
class Card:
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
    """A net, the normalisation of its input, and its card."""

    net: nn.Module
    normalisation: Normalisation
    card: Card

    @property
    def geometry(self) -> Geometry:
        """Total stride and halo, probed from the net."""
        return net_geometry(
            self.card.net, len(self.card.colours), self.card.scale, self.card.upsample
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
        colours = self.card.colours
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
        if scene.dtype != self.card.dtype:
            raise ModelError(
                f"{scene.path}: its pixels are {scene.dtype}, the model was trained on "
                f"{self.card.dtype}; convert the scene or train on one like it."
            )
        self._compare_resolution(scene)
        return replace(scene, bands=bands, colours=colours)

    def _compare_resolution(self, scene: Scene) -> None:
        here, there = ground_resolution(scene), self.card.resolution
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


@dataclass(frozen=True)
class Prediction:
    """House probability (rows, columns) float32, 0 where blank, and where pixels are not blank."""

    probability: np.ndarray
    valid: np.ndarray


class Predictor:
    """A model applied to windows of a scene, each as one pass over the whole scene would give it.

    merge   compute with a net of fewer layers that gives the same: batch normalisations folded,
            and the linear tail merged but along the scene's edges; it does not follow weights that
            are trained on
    device  where to compute; default: where the net is
    """

    def __init__(self, model: Model, merge: bool = True, device: str | None = None):
        keep_freed_memory()
        self.model = model
        net = without_batch_norm(model.net) if merge else model.net
        self.net = net if device is None else copy.deepcopy(net).to(device)
        merge = merge and has_tail(self.net)
        self.merged = Merged(self.net, model.normalisation.bands) if merge else None

    def window(self, scene: Scene, write: Window) -> Prediction:
        """The pixels of `write`, which starts on multiples of the net's stride and ends on one or
        at the scene's edge.

        It is read with the net's halo, clipped at the edge of the scene; a scene whose side is no
        multiple of the stride counts as extended with blank pixels up to the next one. Only the
        part of it that is not blank is computed.
        """
        stride, halo = self.model.geometry.stride, self.model.geometry.halo
        if write.row % stride or write.col % stride:
            raise ValueError(f"{write} does not start on a multiple of the net's stride, {stride}")
        read = write.grow(halo).clip(scene.height, scene.width)
        image, valid = scene.read(read)
        inside = valid[write.relative_to(read).slices]
        if not inside.any():
            return Prediction(np.zeros(write.shape, np.float32), inside)
        part = _not_blank(inside, round_up(PART, stride))
        whole = Window(0, 0, round_up(scene.height, stride), round_up(scene.width, stride))
        placed = Window(write.row + part.row, write.col + part.col, part.height, part.width)
        tile = tile_at(placed, halo, whole.height, whole.width)
        seen = tile.read.intersect(read).relative_to(read).slices
        found = self._probability(image[:, *seen], valid[seen], tile.read, whole)
        found = found[tile.crop.slices]
        if not inside.all():
            found = np.where(inside[part.slices], found, np.float32(0))
        if part.shape == write.shape:
            return Prediction(found, inside)
        probability = np.zeros(write.shape, np.float32)
        probability[part.slices] = found
        return Prediction(probability, inside)

    def _probability(
        self, image: np.ndarray, valid: np.ndarray, read: Window, whole: Window
    ) -> np.ndarray:
        """House probability (rows, columns) of `read`, of which the scene has `image` and `valid`,
        maybe without its last rows and columns.
        """
        image, valid = pad_to(image, *read.shape), pad_to(valid, *read.shape)
        scale = self.model.card.scale
        means = self.model.normalisation.block_means(image, valid, scale, read.row, read.col)
        batch = to_batch(means, self.net)
        with torch.inference_mode():
            if self.merged is None:
                difference = class_difference(answer_from_means(self.net)(batch))
            else:
                difference = self.merged.from_means(batch)
                self._redo_edges(difference, batch, read, whole)
            return torch.sigmoid_(difference)[0, 0].cpu().numpy()

    def _redo_edges(
        self, difference: torch.Tensor, means: torch.Tensor, read: Window, whole: Window
    ) -> None:
        """Replace what lies along the edges of the whole scene by the plain net's answer."""
        edges = (
            (2, "first", read.row == whole.row),
            (2, "last", read.bottom == whole.bottom),
            (3, "first", read.col == whole.col),
            (3, "last", read.right == whole.right),
        )
        geometry, scale = self.model.geometry, self.model.card.scale
        for axis, side, on_edge in edges:
            border = min(self.merged.border, difference.shape[axis])
            if not (on_edge and border):
                continue
            strip = min(round_up(border + geometry.halo, geometry.stride), difference.shape[axis])
            part = _end(means, axis, side, strip // scale)
            answer = class_difference(answer_from_means(self.net)(part))
            _end(difference, axis, side, border).copy_(_end(answer, axis, side, border))


def _not_blank(inside: np.ndarray, step: int) -> Window:
    """The least window with all true pixels, starting and ending on multiples of `step` or at the
    array's edge.
    """
    if inside.all():
        return Window(0, 0, *inside.shape)
    rows, cols = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    top, left = rows[0] // step * step, cols[0] // step * step
    bottom, right = round_up(rows[-1] + 1, step), round_up(cols[-1] + 1, step)
    return Window(int(top), int(left), int(bottom - top), int(right - left)).clip(*inside.shape)


def _end(tensor: torch.Tensor, axis: int, side: str, length: int) -> torch.Tensor:
    """The first or last `length` entries along an axis, as a view."""
    start = 0 if side == "first" else tensor.shape[axis] - length
    return tensor.narrow(axis, start, length)


def compute_window(model: Model, device: str = "cpu") -> int:
    """Side of the windows a scene is computed in on a type of device, in pixels of the scene.

    One answer for each kind of net: float rounding depends on the shape of a pass. Of what is
    computed at most a third is halo.
    """
    geometry = model.geometry
    scale = COMPUTE_SCALE if device != "cpu" else min(model.card.scale, COMPUTE_SCALE)
    return round_up(max(COMPUTE * scale, HALOS * geometry.halo), geometry.stride)


@lru_cache(maxsize=32)
def net_geometry(net: str, bands: int, scale: int, upsample: str) -> Geometry:
    """probing.probe of a registered net, once per process."""
    with torch.random.fork_rng(devices=[]):
        return probe(make_net(net, bands, scale, upsample), bands)
