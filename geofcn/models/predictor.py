"""Windowed prediction: each window as one pass over the whole scene would give it."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch

from geofcn.core.pixels import pad_to
from geofcn.core.windows import Window, round_up, tile_at
from geofcn.errors import ModelError
from geofcn.io.scene import Scene
from geofcn.models.device import compute_in_full_precision
from geofcn.models.merged import Merged, fold_batch_norm, has_linear_tail
from geofcn.models.model import Model, to_batch
from geofcn.models.nets import (
    answer_from_means,
    class_difference,
    decisions,
    logits_within,
    upsample_logits,
    without_scaling,
)
from geofcn.runtime import keep_freed_memory

# Side of a compute window: so many pixels of the net's own input, but not of larger means than
# these, which bounds the memory of what is read and written. A GPU is given the largest window
# whatever the scale: small ones would leave it idle between its kernels.
COMPUTE, COMPUTE_SCALE = 512, 4

# But at least this many times the halo, for a net that looks far, as long as no more pixels than
# these are read for it: a net may look very far in a scene of much smaller pixels than its own.
HALOS, LARGEST = 5, 4096

# Of a window that is partly blank, what is computed starts and ends on multiples of this: every
# shape of a pass takes time to get ready for.
PART = 128


@dataclass(frozen=True)
class Prediction:
    """What a net says of a window.

    Attributes
    ----------
    probability : (rows, columns) float32 array
        Of a house, from 0 to 1; 0 where blank.
    valid : (rows, columns) bool array
        False where blank.
    contact : (rows, columns) float32 array or None
        Probability that houses meet, likewise; None of a net that does not tell.
    """

    probability: np.ndarray
    valid: np.ndarray
    contact: np.ndarray | None = None


class Predictor:
    """A model applied to windows of a scene, each as one pass over the whole scene would give it.

    Parameters
    ----------
    model : Model
        Its weights are copied where `merge` or `device` asks for another net than its own.
    merge : bool
        Compute with a net of fewer layers that gives the same: batch normalisations folded, and
        the linear tail merged but along the scene's edges. It does not follow weights that are
        trained on.
    device : str, optional
        Where to compute; default: where the net is.
    part : int
        Of a window that is partly blank, what is computed starts and ends on multiples of so many
        pixels, rounded up to the net's stride.
    """

    def __init__(
        self, model: Model, merge: bool = True, device: str | None = None, part: int = PART
    ):
        keep_freed_memory()
        compute_in_full_precision()
        self.model = model
        self.part = round_up(part, model.geometry.stride)
        net = fold_batch_norm(model.net) if merge else model.net
        self.net = net if device is None else copy.deepcopy(net).to(device)
        self.tells_contacts = model.metadata.contacts is not None
        merge = merge and has_linear_tail(self.net) and not self.tells_contacts
        self.merged = Merged(self.net, model.normalisation.bands, model.ratio) if merge else None

    def window(self, scene: Scene, write: Window) -> Prediction:
        """Probabilities of a window of a scene: of houses and, if the net tells, of contacts.

        It is read with the net's halo, clipped at the edge of the scene; a scene whose side is no
        multiple of the stride counts as extended with blank pixels up to the next one. Only the
        part of it that is not blank is computed.

        Parameters
        ----------
        scene : Scene
            With the model's bands, see Model.select_bands, and of the resolution that it is
            made for, see Model.at_resolution_of.
        write : Window
            Starts on multiples of the net's stride, and ends on one or at the scene's edge.

        Raises
        ------
        ValueError
            For a window that does not start on multiples of the stride.
        SceneError
            When the scene cannot be read there.
        ModelError
            Where values of the scene or weights of the model are too large to compute with.
        """
        stride, halo = self.model.geometry.stride, self.model.geometry.halo
        if write.row % stride or write.col % stride:
            raise ValueError(f"{write} does not start on a multiple of the net's stride, {stride}")
        read = write.grow(halo).clip(scene.height, scene.width)
        image, valid = scene.read(read)
        inside = valid[write.relative_to(read).slices]
        if not inside.any():
            return self.blank(write)
        part = _not_blank(inside, self.part)
        whole = Window(0, 0, round_up(scene.height, stride), round_up(scene.width, stride))
        placed = Window(write.row + part.row, write.col + part.col, part.height, part.width)
        tile = tile_at(placed, halo, whole.height, whole.width)
        on_scene = tile.read.intersect(read).relative_to(read).slices
        batch = self._batch(image[:, *on_scene], valid[on_scene], tile.read)
        del image  # a large window of it takes as much memory as the layers do
        computed = self._probabilities(batch, tile.read, whole, tile.crop)
        if np.isnan(computed).any():
            raise ModelError(
                f"{scene.path}: the net's answer is no number in {placed}; values of the scene are "
                "too large there (if they stand for blank, give --nodata), or the model's weights "
                "(train it again)."
            )
        if not inside.all():
            computed = np.where(inside[part.slices], computed, np.float32(0))
        if part.shape == write.shape:
            return self._prediction(computed, inside)
        probabilities = np.zeros((len(computed), *write.shape), np.float32)
        probabilities[:, *part.slices] = computed
        return self._prediction(probabilities, inside)

    def blank(self, write: Window) -> Prediction:
        """What is said of a window that is blank as a whole."""
        probabilities = np.zeros((1 + self.tells_contacts, *write.shape), np.float32)
        return self._prediction(probabilities, np.zeros(write.shape, bool))

    def _prediction(self, probabilities: np.ndarray, valid: np.ndarray) -> Prediction:
        contact = probabilities[1] if self.tells_contacts else None
        return Prediction(probabilities[0], valid, contact)

    def _batch(self, image: np.ndarray, valid: np.ndarray, read: Window) -> torch.Tensor:
        """What the net is shown of `read`.

        `image` and `valid` are what the scene has of it, maybe without its last rows and columns.
        """
        image, valid = pad_to(image, *read.shape), pad_to(valid, *read.shape)
        place = self.model.ratio, read.row, read.col
        return to_batch(self.model.normalisation.area_means(image, valid, *place), self.net)

    def _probabilities(
        self, batch: torch.Tensor, read: Window, whole: Window, crop: Window
    ) -> np.ndarray:
        """Probabilities of `crop` in `read`, (1 or 2, rows, columns): of a house, and of a contact.

        `batch` is what the net is shown of `read`.
        """
        with torch.inference_mode():
            if self.merged is None:
                answer = self._decisions(batch, crop)
            else:
                answer = self.merged(batch)
                self._redo_edges(answer, batch, self.merged.border, read, whole)
                answer = answer[:, :, *crop.slices]
            return torch.sigmoid(answer)[0].cpu().numpy()

    def _decisions(self, means: torch.Tensor, crop: Window) -> torch.Tensor:
        """Logits of what is decided for the pixels of `crop`, see nets.decisions; by the plain net.

        They are enlarged after that, when there are fewer of them.
        """
        ratio = self.model.ratio
        # p pixels are q of the net; bilinear enlargement looks one of its pixels further.
        groups = crop.zoom(Fraction(1, ratio.p)).grow(1)
        seen = groups.zoom(ratio.q).clip(*means.shape[2:])
        answer = upsample_logits(
            decisions(logits_within(without_scaling(self.net), means, seen)), ratio
        )
        enlarged = seen.zoom(Fraction(ratio.p, ratio.q))
        return answer[:, :, *crop.relative_to(enlarged).slices]

    def _redo_edges(
        self,
        difference: torch.Tensor,
        means: torch.Tensor,
        width: int,
        read: Window,
        whole: Window,
    ) -> None:
        """Replace `width` pixels along the edges of the whole scene by the plain net's answer."""
        edges = (
            (2, "first", read.row == whole.row),
            (2, "last", read.bottom == whole.bottom),
            (3, "first", read.col == whole.col),
            (3, "last", read.right == whole.right),
        )
        geometry, ratio = self.model.geometry, self.model.ratio
        for axis, side, on_edge in edges:
            border = min(width, difference.shape[axis])
            if not (on_edge and border):
                continue
            strip = min(round_up(border + geometry.halo, geometry.stride), difference.shape[axis])
            part = _end(means, axis, side, ratio.to_net(strip))
            answer = class_difference(answer_from_means(self.net, ratio)(part))
            _end(difference, axis, side, border).copy_(_end(answer, axis, side, border))


def _not_blank(inside: np.ndarray, step: int) -> Window:
    """The least window with all true pixels that starts and ends on multiples of `step`.

    Or ends at the array's edge.
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


def compute_window_side(model: Model, device: str = "cpu") -> int:
    """Side of the windows that a scene is computed in, in pixels of the scene.

    One answer for each kind of net and device, because float rounding depends on the shape of a
    pass. Of what is read at most a half is halo, but of windows of LARGEST pixels.

    Parameters
    ----------
    model : Model
        Its ratio, stride and halo count.
    device : str
        Type of a torch device: "cpu", "cuda" or "mps".
    """
    geometry, ratio = model.geometry, model.ratio.number
    scale = COMPUTE_SCALE * min(ratio, 1) if device != "cpu" else min(ratio, COMPUTE_SCALE)
    far = min(HALOS * geometry.halo, LARGEST)
    return round_up(max(math.ceil(COMPUTE * scale), far), geometry.stride)
