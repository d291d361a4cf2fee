"""Optimiser step: loss, learning rate, weights and their exponential moving average."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from geofcn.core.metrics import Confusion
from geofcn.errors import TrainingError
from geofcn.models.nets import class_difference, without_scaling
from geofcn.recipes import Recipe

# Shares of a training: over which the rate rises, and the rate it starts from.
WARM_UP, FIRST_RATE = 0.05, 0.05


def learning_rate(recipe: Recipe, epoch: int, within: float) -> float:
    """The rate in `epoch` (from 1), after the share `within` (0 to 1) of its steps.

    Halved every recipe.lr_halved_every epochs; else a linear warm-up, then half a cosine down to 0
    at the end of the training (Loshchilov and Hutter, SGDR, 2017).
    """
    if recipe.lr_halved_every:
        return recipe.lr * 0.5 ** ((epoch - 1) // recipe.lr_halved_every)
    done = (epoch - 1 + within) / recipe.epochs
    if done < WARM_UP:
        return recipe.lr * (FIRST_RATE + (1 - FIRST_RATE) * done / WARM_UP)
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP)))


def make_optimizer(net: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """SGD with momentum, or AdamW whose first beta is the momentum; biases are decayed too."""
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            net.parameters(),
            lr=recipe.lr,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
        )
    return torch.optim.AdamW(
        net.parameters(),
        lr=recipe.lr,
        betas=(recipe.momentum, 0.999),
        weight_decay=recipe.weight_decay,
    )


def weighted_loss(
    logits: Tensor, houses: Tensor, known: Tensor, weights: tuple[float, float]
) -> Tensor:
    """Cross entropy, the mean over labelled pixels weighted by their class.

    logits (batch, 2, n, n); houses and known (batch, n, n), shares of a block's pixels, of which
    every one counts: at scale 1 they are 0 or 1. weights (background, house).
    """
    background, house = weights
    difference = class_difference(logits)[:, 0]
    as_house, as_background = house * houses, background * (known - houses)
    losses = as_house * F.softplus(-difference) + as_background * F.softplus(difference)
    return losses.sum() / (as_house + as_background).sum().clamp(min=1e-6)


@dataclass(frozen=True)
class Batch:
    """What a step learns from, in blocks of scale x scale pixels, n of them a side.

    images  (batch, bands, n, n) float32, normalised
    houses  (batch, n, n) float32, share of a block's pixels that are houses
    known   (batch, n, n) float32, share of a block's pixels that are labelled
    """

    images: np.ndarray
    houses: np.ndarray
    known: np.ndarray


@dataclass(frozen=True)
class StepResult:
    """The loss of a step, and the scores of its blocks before it."""

    loss: float
    confusion: Confusion


class Trainer:
    """A net in training, on its own device; `net` changes with every step.

    The net to use is `averaged`: the running mean of the weights over the last steps
    (Polyak and Juditsky, 1992), or the net itself where the recipe has none.
    """

    def __init__(self, net: nn.Module, recipe: Recipe):
        self.net = net
        self.averaged = copy.deepcopy(net).eval() if recipe.averaging else net
        self.recipe = recipe
        self.steps = 0
        self.optimizer = make_optimizer(net, recipe)
        # The loss is taken where the net sees the scene: in front of the last enlargement.
        self._core = without_scaling(net)
        self._device = next(net.parameters()).device

    def step(self, batch: Batch, epoch: int, within: float) -> StepResult:
        """Learn from a batch, after the share `within` (0 to 1) of an epoch's steps.

        Raises TrainingError when the loss is not finite.
        """
        self.net.train()
        images, houses, known = (
            torch.from_numpy(array).to(self._device)
            for array in (batch.images, batch.houses, batch.known)
        )
        logits = self._core(images)
        loss = weighted_loss(logits, houses, known, self.recipe.class_weights)
        value = loss.item()
        if not math.isfinite(value):
            raise TrainingError(
                f"the loss became {value} in epoch {epoch}; the weights of the epochs before are "
                "kept: train again with a lower --lr."
            )
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.recipe, epoch, within)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.steps += 1
        self._average()
        self.net.eval()
        return StepResult(value, _block_confusion(logits.detach(), houses, known))

    @torch.no_grad()
    def _average(self) -> None:
        if self.averaged is self.net:
            return
        # Young means forget faster: the first weights are of no use.
        share = 1 - min(self.recipe.averaging, (1 + self.steps) / (10 + self.steps))
        means, values = self.averaged.state_dict(), self.net.state_dict()
        for name, mean in means.items():
            if mean.is_floating_point():  # weights, and the statistics of batch normalisation
                mean.lerp_(values[name], share)

    def state(self) -> dict[str, Tensor]:
        """Everything the next step depends on, by name."""
        tensors = {f"net.{name}": value for name, value in self.net.state_dict().items()}
        if self.averaged is not self.net:
            averaged = self.averaged.state_dict()
            tensors |= {f"averaged.{name}": value for name, value in averaged.items()}
        for number, values in self.optimizer.state_dict()["state"].items():
            tensors |= {
                f"optimizer.{number}.{name}": value
                for name, value in values.items()
                if isinstance(value, Tensor)
            }
        return {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}

    def restore(self, tensors: dict[str, Tensor], steps: int) -> None:
        """Go back to what `state` gave after `steps` steps."""
        self.steps = steps
        self.net.load_state_dict(_named(tensors, "net."))
        if self.averaged is not self.net:
            self.averaged.load_state_dict(_named(tensors, "averaged."))
        state: dict[int, dict] = {}
        for name, value in _named(tensors, "optimizer.").items():
            number, key = name.split(".")
            state.setdefault(int(number), {})[key] = value
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": state})


def _named(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def _block_confusion(logits: Tensor, houses: Tensor, known: Tensor) -> Confusion:
    """Blocks by what most of their labelled pixels are."""
    counted = known > 0
    predicted = (class_difference(logits)[:, 0] > 0) & counted
    truth = (2 * houses > known) & counted
    tp = int((predicted & truth).sum())
    positives, houses_count, total = (int(mask.sum()) for mask in (predicted, truth, counted))
    fp, fn = positives - tp, houses_count - tp
    return Confusion(tp, fp, fn, total - tp - fp - fn)
