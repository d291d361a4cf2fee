"""Layers that several nets are made of, and how their weights are drawn."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from geofcn.models.kernels import conv_relu

# Background and house, and after these, of a net that has it, whether houses meet.
CLASSES = 2


class BatchNormAnySize(nn.BatchNorm2d):
    """Batch normalisation that takes a single value a channel, too: by the statistics so far.

    torch's own refuses it in training, for one value has no variance.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, rows, columns), normalised by channel."""
        if x.numel() > x.shape[1]:
            return super().forward(x)
        statistics = self.running_mean, self.running_var
        return F.batch_norm(x, *statistics, self.weight, self.bias, eps=self.eps)


class DoubleConv(nn.Sequential):
    """Two 3x3 convolutions, each normalised over the batch in training and followed by relu.

    Parameters
    ----------
    channels, out : int
        Channels of what comes in and of what goes out.
    """

    def __init__(self, channels: int, out: int):
        super().__init__(
            nn.Conv2d(channels, out, 3, padding=1, bias=False),
            BatchNormAnySize(out),
            nn.ReLU(inplace=True),
            nn.Conv2d(out, out, 3, padding=1, bias=False),
            BatchNormAnySize(out),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, rows, columns) to (batch, out, rows, columns)."""
        for conv, norm in ((self[0], self[1]), (self[3], self[4])):
            # Where fold_batch_norm made the normalisation part of the convolution, an identity
            # stands in its place.
            if isinstance(norm, nn.Identity) and isinstance(conv, nn.Conv2d):
                x = conv_relu(conv, x)
            else:
                x = F.relu(norm(conv(x)), inplace=True)
        return x


def he_normal(net: nn.Module) -> None:
    """Draw every convolution's weights from He's normal distribution; biases stay as they are.

    He et al., Delving deep into rectifiers, ICCV 2015.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight)
