"""What a model makes of a tile as one graph of plain operators, and the size of its tiles."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from geofcn.core.windows import round_up
from geofcn.models.merged import fold_batch_norm
from geofcn.models.model import Model
from geofcn.models.nets import answer_from_means, decisions
from geofcn.models.receptive_field import Geometry

# What a pixel's value is divided by before the graph sees it: QGIS's Deepness does so whatever the
# type of the pixels.
UNIT = 255
# Side of a tile, at the least; in it the halo fits at least twice on each side.
LEAST_TILE, HALOS = 512, 4


class TileGraph(nn.Module):
    """The predictor's answer for images, from their values / UNIT to probabilities.

    Block means, normalisation, the net with its batch norms folded and the enlargement of its
    logits are in it. It sees images only: all of their pixels are valid, and beyond them there is
    nothing, as beyond the edge of a scene.

    Parameters
    ----------
    model : Model
        With one mean a band; its net is copied.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, model: Model):
        super().__init__()
        self.ratio = model.ratio
        self.net = fold_batch_norm(model.net)
        self.register_buffer("mean", torch.tensor(model.normalisation.mean[None]) / UNIT)
        scale = torch.tensor(model.normalisation.scale)[None, :, None, None]
        self.register_buffer("scale", scale / UNIT)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """(batch, bands, rows, columns) to (batch, 1, rows, columns) of houses, and of contacts."""
        means = F.avg_pool2d(image, self.ratio.p) if self.ratio.p > 1 else image
        logits = answer_from_means(self.net, self.ratio)((means - self.mean) / self.scale)
        return torch.sigmoid(decisions(logits)).split(1, dim=1)


@dataclass(frozen=True)
class Tiling:
    """Tiles that cover a scene, whose answers are right but for what their neighbours give.

    Attributes
    ----------
    side : int
        Pixels a side.
    overlap : int
        Percent of the side that a tile shares with the next one. Half of it, on either side, is at
        least the net's halo, and from one tile to the next there are whole strides.
    """

    side: int
    overlap: int

    @classmethod
    def of(cls, geometry: Geometry) -> Tiling:
        """The tiles of a net.

        Examples
        --------
        >>> Tiling.of(Geometry(stride=8, halo=48)), Tiling.of(Geometry(stride=16, halo=208))
        (Tiling(side=512, overlap=25), Tiling(side=832, overlap=50))
        """
        stride, halo = geometry.stride, geometry.halo
        side = round_up(max(LEAST_TILE, HALOS * halo), 4 * stride)
        return cls(side, 25 if side >= 8 * halo else 50)
