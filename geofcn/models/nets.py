"""The nets: a registry, the block-mean wrapper, and the same nets with fewer layers to compute.

Every net maps (batch, bands, rows, columns) float32 to (batch, 2, rows, columns) logits of
background and house; rows and columns are multiples of its total stride.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from geofcn.errors import ModelError

CLASSES = 2
# Side of an image that every net takes: total strides are powers of 2 up to it.
SAMPLE = 64
# Numbers that a processor's own cache holds beside others.
CACHED = 2**18
# Cells a side that one kernel of a merged tail computes at once.
GROUP = 2


class FCNN(nn.Module):
    """The seed's net: upsampling by a fixed rule.

    conv3x3 bands-16, relu, conv3x3 16-32, relu, maxpool 2, conv3x3 32-16, relu, upsample x2,
    conv5x5 16-2; every convolution padded with zeros to keep its size.
    """

    def __init__(self, bands: int = 3, upsample: str = "nearest"):
        super().__init__()
        self.conv1 = nn.Conv2d(bands, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.conv3 = nn.Conv2d(32, 16, 3, padding=1)
        self.upsample = nn.Upsample(scale_factor=2, mode=upsample)
        self.conv4 = nn.Conv2d(16, CLASSES, 5, padding=2)
        he_normal(self)

    def features(self, x: Tensor) -> Tensor:
        """All layers up to the last activation."""
        # oneDNN's convolutions are twice as fast with the bands innermost.
        x = x.contiguous(memory_format=torch.channels_last)
        x = conv_relu(self.conv1, x)
        x = conv_relu_halved(self.conv2, x)
        return conv_relu(self.conv3, x)

    def tail(self, x: Tensor) -> Tensor:
        """The layers after the last activation: linear, one after the other."""
        return self.conv4(self.upsample(x))

    def forward(self, x: Tensor) -> Tensor:
        return self.tail(self.features(x))


class FCNN2(FCNN):
    """FCNN with its upsampling learned: a transposed convolution, no activation after it."""

    def __init__(self, bands: int = 3, upsample: str = "nearest"):
        nn.Module.__init__(self)
        self.conv1 = nn.Conv2d(bands, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.conv3 = nn.Conv2d(32, 16, 3, padding=1)
        self.upsample = nn.ConvTranspose2d(16, 16, 3, stride=2, padding=1, output_padding=1)
        self.conv4 = nn.Conv2d(16, CLASSES, 5, padding=2)
        he_normal(self)


class Norm(nn.BatchNorm2d):
    """Batch normalisation that takes a single value, too: by the statistics it has so far."""

    def forward(self, x: Tensor) -> Tensor:
        if x.numel() > x.shape[1]:
            return super().forward(x)
        statistics = self.running_mean, self.running_var
        return F.batch_norm(x, *statistics, self.weight, self.bias, eps=self.eps)


class Twice(nn.Sequential):
    """Two 3x3 convolutions, each normalised over the batch in training and followed by relu."""

    def __init__(self, channels: int, out: int):
        super().__init__(
            nn.Conv2d(channels, out, 3, padding=1, bias=False),
            Norm(out),
            nn.ReLU(inplace=True),
            nn.Conv2d(out, out, 3, padding=1, bias=False),
            Norm(out),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        for conv, norm in ((self[0], self[1]), (self[3], self[4])):
            # Folded into the convolution (see without_batch_norm) the norm is gone.
            folded = isinstance(norm, nn.Identity)
            x = conv_relu(conv, x) if folded else F.relu(norm(conv(x)), inplace=True)
        return x


class UNet(nn.Module):
    """A small U-Net: four levels of 16 to 128 channels, reaching at most 48 pixels around each.

    Ronneberger et al., U-Net, MICCAI 2015, with padded convolutions. Batch normalisation uses the
    statistics of the training once that is over, so that an answer depends on its window alone.
    """

    def __init__(self, bands: int = 3, upsample: str = "nearest", width: int = 16, levels: int = 4):
        super().__init__()
        channels = [width * 2**level for level in range(levels)]
        steps = list(itertools.pairwise(channels))
        self.first = Twice(bands, width)
        self.down = nn.ModuleList(Twice(above, below) for above, below in steps)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(below, above, 2, stride=2) for above, below in steps
        )
        self.join = nn.ModuleList(Twice(2 * above, above) for above, _ in steps)
        self.last = nn.Conv2d(width, CLASSES, 1)
        he_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x.contiguous(memory_format=torch.channels_last))
        passed = []
        for down in self.down:
            passed.append(x)
            x = down(halved(x))
        for up, join in zip(reversed(self.up), reversed(self.join), strict=True):
            x = join(torch.cat([passed.pop(), up(x)], dim=1))
        return self.last(x)


def without_batch_norm(net: nn.Module) -> nn.Module:
    """A copy of a trained net whose batch normalisations are part of the convolutions before them.

    Exact to rounding: normalisation by fixed statistics is linear.
    """
    net = copy.deepcopy(net).eval()
    for module in net.modules():
        if isinstance(module, nn.Sequential):
            for number in range(len(module) - 1):
                before, norm = module[number], module[number + 1]
                if isinstance(before, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    module[number] = fuse_conv_bn_eval(before, norm)
                    module[number + 1] = nn.Identity()
    return net


class Scaled(nn.Module):
    """A net on k x k block means: mean in front, bilinear x k of the logits behind."""

    def __init__(self, net: nn.Module, scale: int):
        super().__init__()
        self.net = net
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return self.from_means(block_mean(x, self.scale))

    def from_means(self, means: Tensor) -> Tensor:
        """The answer for an image of which the block means are known."""
        return enlarged(self.net(means), self.scale)


def enlarged(logits: Tensor, scale: int) -> Tensor:
    """(batch, n, rows, columns) to `scale` times as many rows and columns, bilinear."""
    if scale == 1:
        return logits
    return F.interpolate(logits, scale_factor=scale, mode="bilinear", align_corners=False)


def unscaled(net: nn.Module) -> nn.Module:
    """The net that sees block means, without what makes them and enlarges the answer."""
    return net.net if isinstance(net, Scaled) else net


def answer_from_means(net: nn.Module) -> Callable[[Tensor], Tensor]:
    """The net as a function of the block means it sees: of the pixels themselves at scale 1."""
    return getattr(net, "from_means", net)


def has_tail(net: nn.Module) -> bool:
    """Whether a net tells its linear tail from what comes before, so that Merged can take it."""
    inner = unscaled(net)
    return hasattr(inner, "features") and hasattr(inner, "tail")


class SubPixel(nn.Module):
    """A convolution to stride x stride phases of one channel, shuffled to `stride` times the size.

    weight  (stride^2, channels, k, k), bias (stride^2,)
    first   offset, in cells, of the first cell an output cell reads; the last is first + k - 1

    It is computed for GROUP x GROUP output cells at once, by one convolution of that stride: more
    multiplications, but enough output channels to fill a processor's registers.
    """

    def __init__(self, weight: Tensor, bias: Tensor, first: int, stride: int):
        super().__init__()
        grouped = group_cells(weight, stride).contiguous(memory_format=torch.channels_last)
        self.register_buffer("weight", grouped)
        phases = bias.reshape(1, stride, 1, stride).expand(GROUP, -1, GROUP, -1)
        self.register_buffer("bias", phases.flatten())
        self.stride = stride
        # Padding as wide on both sides, and enough for both; the first group then reads too early.
        padding = max(-first, first + weight.shape[2] + 1)
        self.padding = padding + (padding + first) % GROUP
        self.start = (self.padding + first) // GROUP

    def forward(self, x: Tensor) -> Tensor:
        rows, cols = (side * self.stride for side in x.shape[2:])
        x = F.conv2d(x, self.weight, self.bias, stride=GROUP, padding=self.padding)
        x = F.pixel_shuffle(x[:, :, self.start :, self.start :], GROUP * self.stride)
        return x[:, :, :rows, :cols]


def group_cells(weight: Tensor, stride: int) -> Tensor:
    """The kernels of GROUP x GROUP cells next to each other, as one kernel over what all of them
    read: (stride^2, channels, k, k) to ((GROUP stride)^2, channels, k + GROUP - 1, k + GROUP - 1).

    Output channels are in the order of pixel_shuffle: by rows of the group's pixels.
    """
    channels, rows, cols = weight.shape[1:]
    size = rows + GROUP - 1, cols + GROUP - 1
    grouped = weight.new_zeros(GROUP, stride, GROUP, stride, channels, *size)
    phases = weight.reshape(stride, stride, channels, rows, cols)
    for down, right in itertools.product(range(GROUP), repeat=2):
        grouped[down, :, right, :, :, down : down + rows, right : right + cols] = phases
    return grouped.reshape(-1, channels, *size)


class Merged(nn.Module):
    """A trained net whose linear tail is one convolution; gives house minus background logits.

    Nothing non-linear stands in the tail, so it is one linear map, which its impulse responses
    describe: a convolution to the sub-pixel phases of the one difference of logits that a softmax
    of two classes needs. Exact but for `border` pixels along the image's edges, where the tail's
    own zero padding between its layers differs: those need the plain net.
    """

    def __init__(self, net: nn.Module, bands: int):
        super().__init__()
        twin = copy.deepcopy(net).cpu().double()
        inner, self.scale = (twin.net, net.scale) if isinstance(net, Scaled) else (twin, 1)
        sample = torch.zeros(1, bands, SAMPLE, SAMPLE, dtype=torch.float64)
        with torch.inference_mode():
            self.net = inner
            self.tail = collapse(inner.tail, inner.features(sample).shape[1])
            self.border = _differing_border(twin, self, bands)
        self.float().to(next(net.parameters()).device, memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, bands, rows, columns) to (batch, 1, rows, columns)."""
        return self.from_means(block_mean(x, self.scale))

    def from_means(self, means: Tensor) -> Tensor:
        """The answer for an image of which the block means are known."""
        return enlarged(self.tail(self.net.features(means)), self.scale)


def class_difference(logits: Tensor) -> Tensor:
    """(batch, 2, rows, columns) logits to (batch, 1, rows, columns), house minus background."""
    return logits[:, 1:] - logits[:, :1]


def collapse(tail: Callable[[Tensor], Tensor], channels: int) -> SubPixel:
    """One convolution for a linear map from `channels` features to the difference of two logits.

    `tail` maps (batch, channels, n, n) float64 to (batch, 2, s n, s n) and is linear but for its
    biases. Its weights are read off from the responses to one impulse in each channel.
    """
    cells = 24
    middle = cells // 2
    impulses = torch.zeros(channels + 1, channels, cells, cells, dtype=torch.float64)
    impulses[range(channels), range(channels), middle, middle] = 1
    out = class_difference(tail(impulses))
    stride = out.shape[2] // cells
    # (channels + 1, phases, cells, cells); the last one is the response to nothing: the bias.
    phases = F.pixel_unshuffle(out, stride)
    response, rest = phases[:-1] - phases[-1:], phases[-1]
    rows, cols = response.abs().amax(dim=(0, 1)).nonzero().T
    # An output cell at o reads the impulse's cell at offset middle - o.
    first = middle - int(max(rows.max(), cols.max()))
    last = middle - int(min(rows.min(), cols.min()))
    part = slice(middle - last, middle - first + 1)
    weight = response[:, :, part, part].flip(2, 3).transpose(0, 1)
    return SubPixel(weight.clone(), rest[:, middle, middle].clone(), first, stride)


def _differing_border(net: nn.Module, merged: Merged, bands: int) -> int:
    """Pixels along the edges in which `merged` differs from `net`, by experiment, in double."""
    side = 48 * max(2, 2 * merged.scale)
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(1, bands, side, side, dtype=torch.float64, generator=generator)
    expected = class_difference(net(image))
    error = (merged(image) - expected).abs()[0, 0] > 1e-9 * expected.abs().max()
    where = error.nonzero()
    return int(torch.minimum(where, side - 1 - where).amin(dim=1).max()) + 1 if len(where) else 0


def conv_relu(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """relu(conv(x)), to the same bits in one pass over memory where oneDNN can."""
    if not _fuses(x):
        return F.relu(conv(x), inplace=True)
    return _fused(x, conv.weight, conv.bias, conv.padding, conv.stride, conv.dilation, conv.groups)


def conv_relu_halved(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Maxima of 2 x 2 pixels of relu(conv(x)), of a convolution that keeps the image's size.

    relu(conv(x)) is the largest thing in a pass. Where it is made in one pass over memory, its
    upper half is made and gone before the lower one is.
    """
    batch, _, rows, cols = x.shape
    if not _fuses(x) or rows % 2 or cols % 2:
        # Max pooling and relu commute; pooling first leaves relu a quarter of the work.
        return F.relu(halved(conv(x)), inplace=True)
    out, reach = _empty(x, batch, conv.out_channels, rows // 2, cols // 2), conv.padding[0]
    middle = -(-rows // 4) * 2
    for top, bottom in itertools.pairwise((0, middle, rows) if middle < rows else (0, rows)):
        first, last = max(top - reach, 0), min(bottom + reach, rows)
        part = slice(top - first, bottom - first)
        # Without a name, one half is gone before the other is made.
        halve(conv_relu(conv, x[:, :, first:last])[:, :, part], out[:, :, top // 2 : bottom // 2])
    return out


def _fuses(x: Tensor) -> bool:
    there = x.is_cpu and x.dtype == torch.float32 and not torch.is_grad_enabled()
    return there and _fused_is_there()


def _fused(x: Tensor, weight: Tensor, bias: Tensor | None, *how: object) -> Tensor:
    """relu of a convolution by the operator that torch.compile makes use of."""
    return torch.ops.mkldnn._convolution_pointwise(x, weight, bias, *how, "relu", [], "")


@cache
def _fused_is_there() -> bool:
    """Torch does not document that operator, so it is tried."""
    x, doubling = torch.tensor([[[[-1.0, 0.0, 1.0, 2.0]]]]), torch.full((1, 1, 1, 1), 2.0)
    try:
        with torch.inference_mode():
            found = _fused(x, doubling, None, (0, 0), (1, 1), (1, 1), 1)
    except (AttributeError, RuntimeError, TypeError):
        return False
    return torch.equal(found, 2 * F.relu(x))


def halved(x: Tensor) -> Tensor:
    """Maxima of 2 x 2 pixels of (batch, channels, rows, columns).

    max_pool2d also writes down where each maximum stood, which takes a processor more time than
    finding it and is of use in training only.
    """
    batch, channels, rows, cols = x.shape
    if torch.is_grad_enabled() or not x.is_cpu or rows % 2 or cols % 2:
        return F.max_pool2d(x, 2)
    out = _empty(x, batch, channels, rows // 2, cols // 2)
    halve(x, out)
    return out


def halve(x: Tensor, out: Tensor) -> None:
    """Write the maxima of 2 x 2 pixels of x to `out`.

    Maxima of two rows are made for a few rows at a time: they are still in the processor's cache
    when those of two columns are made of them.
    """
    batch, channels, _, cols = x.shape
    step = max(1, CACHED // (batch * channels * cols))
    pairs = _empty(x, batch, channels, step, cols)
    for part, target in zip(x.split(2 * step, dim=2), out.split(step, dim=2), strict=True):
        larger = pairs[:, :, : target.shape[2]]
        torch.maximum(part[:, :, ::2], part[:, :, 1::2], out=larger)
        torch.maximum(larger[..., ::2], larger[..., 1::2], out=target)


def _empty(like: Tensor, *shape: int) -> Tensor:
    """Room for (batch, channels, rows, columns), channels innermost in memory."""
    return torch.empty(shape, dtype=like.dtype, memory_format=torch.channels_last)


def block_mean(x: Tensor, size: int) -> Tensor:
    """Means of `size` x `size` pixels of (batch, bands, rows, columns).

    Strided sums of a contiguous image take a quarter of avg_pool2d's time.
    """
    if size == 1:
        return x
    rows = sum(x[:, :, row::size] for row in range(size))
    return sum(rows[..., col::size] for col in range(size)) / size**2


def he_normal(net: nn.Module) -> None:
    """Draw every convolution's weights from He's normal distribution; biases stay as they are.

    He et al., Delving deep into rectifiers, ICCV 2015.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight)


REGISTRY: dict[str, Callable[..., nn.Module]] = {"fcnn": FCNN, "fcnn2": FCNN2, "unet": UNet}


def make_net(name: str, bands: int, scale: int = 1, upsample: str = "nearest") -> nn.Module:
    """The registered net `name` on `bands` bands and `scale` x `scale` block means.

    `upsample` (nearest or bilinear) is used by nets that upsample by a fixed rule. Raises
    ModelError for an unknown name.
    """
    if name not in REGISTRY:
        raise ModelError(f"net {name}: there is none; choose one of {', '.join(REGISTRY)}.")
    net = REGISTRY[name](bands=bands, upsample=upsample)
    return net if scale == 1 else Scaled(net, scale)
