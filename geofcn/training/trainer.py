"""Optimiser step: loss, learning rate, weights and their exponential moving average."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from geofcn.core.metrics import Confusion
from geofcn.errors import TrainingError
from geofcn.models.lite import Lite
from geofcn.models.nets import class_difference, without_scaling
from geofcn.recipes import Recipe

# Shares of a training: over which the rate rises, and the rate it starts from.
WARM_UP, FIRST_RATE = 0.05, 0.05


def learning_rate(recipe: Recipe, epoch: int, within: float) -> float:
    """Learning rate of a step: halved every so many epochs, or a warm-up and a cosine.

    It is halved every recipe.lr_halved_every epochs where that is not 0; else it rises linearly
    over the share WARM_UP of the training, then falls to 0 along half a cosine (Loshchilov and
    Hutter, SGDR, 2017).

    Parameters
    ----------
    recipe : Recipe
        Highest rate, number of epochs, and rule.
    epoch : int
        From 1.
    within : float
        Share of the epoch's steps that are done, 0 to 1.

    Examples
    --------
    >>> from geofcn.recipes import EXERCISE
    >>> learning_rate(EXERCISE, 40, 0.5), learning_rate(EXERCISE, 41, 0.5)
    (0.0001, 5e-05)
    """
    if recipe.lr_halved_every:
        return recipe.lr * 0.5 ** ((epoch - 1) // recipe.lr_halved_every)
    share = (epoch - 1 + within) / recipe.epochs
    if share < WARM_UP:
        return recipe.lr * (FIRST_RATE + (1 - FIRST_RATE) * share / WARM_UP)
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * (share - WARM_UP) / (1 - WARM_UP)))


def make_optimizer(net: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """SGD with momentum, or AdamW whose first beta is the momentum; biases decay, too.

    Where weights decay towards others than 0, the optimizer leaves that to the trainer.
    """
    groups = parameter_groups(net, recipe.encoder_lr)
    weight_decay = 0.0 if recipe.decay_to_start else recipe.weight_decay
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            groups, lr=recipe.lr, momentum=recipe.momentum, weight_decay=weight_decay
        )
    return torch.optim.AdamW(
        groups, lr=recipe.lr, betas=(recipe.momentum, 0.999), weight_decay=weight_decay
    )


def parameter_groups(net: nn.Module, encoder_lr: float) -> list[dict[str, Any]]:
    """The weights of a net as an optimizer takes them, each group with its `lr_share`.

    That is the share of the learning rate it learns at: `encoder_lr` for a pretrained encoder, 1
    for the rest.
    """
    core = without_scaling(net)
    encoder = list(core.encoder_parameters()) if isinstance(core, Lite) else []
    pretrained = set(encoder)
    rest = [parameter for parameter in net.parameters() if parameter not in pretrained]
    groups = [{"params": rest, "lr_share": 1.0}, {"params": encoder, "lr_share": encoder_lr}]
    return [group for group in groups if group["params"]]


def weighted_loss(
    logits: Tensor, houses: Tensor, known: Tensor, weights: tuple[float, float]
) -> Tensor:
    """Cross entropy of blocks of pixels, the mean over labelled pixels weighted by their class.

    Parameters
    ----------
    logits : (batch, 2, n, n) tensor
        Of background and house.
    houses, known : (batch, n, n) tensor
        Shares of a block's pixels that are houses, and that are labelled, of which every one
        counts; in blocks of one pixel they are 0 or 1.
    weights : (float, float)
        Of background and house.

    Returns
    -------
    tensor
        The loss; 0 where nothing is labelled.
    """
    background, house = weights
    difference = class_difference(logits)[:, 0]
    as_house, as_background = house * houses, background * (known - houses)
    losses = as_house * F.softplus(-difference) + as_background * F.softplus(difference)
    return losses.sum() / (as_house + as_background).sum().clamp(min=1e-6)


@dataclass(frozen=True)
class Batch:
    """Tiles that a step learns from, in blocks of scale x scale pixels, n of them a side.

    Attributes
    ----------
    images : (batch, bands, n, n) float32 array
        Normalised.
    houses : (batch, n, n) float32 array
        Share of a block's pixels that are houses.
    known : (batch, n, n) float32 array
        Share of a block's pixels that are labelled.
    """

    images: np.ndarray
    houses: np.ndarray
    known: np.ndarray


@dataclass(frozen=True)
class StepResult:
    """Loss and scores of a batch, with the weights before the step.

    Attributes
    ----------
    loss : float
        See `weighted_loss`.
    confusion : Confusion
        Of its labelled blocks, each by what most of its labelled pixels are.
    """

    loss: float
    confusion: Confusion


class Trainer:
    """A net in training, on the device it is on, with its optimizer and averaged weights.

    Parameters
    ----------
    net : torch.nn.Module
        With the weights to start from; changes with every step.
    recipe : Recipe
        Optimizer, learning rate, class weights, averaging, and what stays as it is.

    Attributes
    ----------
    averaged : torch.nn.Module
        The net to use: an exponential moving average of the weights (after Polyak and Juditsky,
        1992), or `net` itself where the recipe has none.
    steps : int
        Steps that are done.

    Raises
    ------
    ValueError
        For a recipe whose class weights are still to be settled.
    """

    def __init__(self, net: nn.Module, recipe: Recipe):
        if recipe.class_weights is None:
            raise ValueError("the recipe's class weights are still to be settled")
        self._class_weights = recipe.class_weights
        self.net = net
        self.averaged = copy.deepcopy(net).eval() if recipe.averaging else net
        self.recipe = recipe
        self.steps = 0
        self.optimizer = make_optimizer(net, recipe)
        decaying = net.parameters() if recipe.decay_to_start else ()
        self._start = [weights.detach().clone() for weights in decaying]
        # The loss is taken where the net sees the scene: in front of the last enlargement.
        self._core = without_scaling(net)
        self._device = next(net.parameters()).device

    def step(self, batch: Batch, epoch: int, within: float) -> StepResult:
        """Learn from a batch.

        Parameters
        ----------
        batch : Batch
            To learn from.
        epoch : int
            From 1.
        within : float
            Share of the epoch's steps that are done, 0 to 1.

        Raises
        ------
        TrainingError
            When the loss is not finite; the weights are left as they are.
        """
        self._prepare_to_learn()
        images, houses, known = (
            torch.from_numpy(array).to(self._device)
            for array in (batch.images, batch.houses, batch.known)
        )
        logits = self._core(images)
        loss = weighted_loss(logits, houses, known, self._class_weights)
        value = loss.item()
        if not math.isfinite(value):
            raise TrainingError(
                f"the loss became {value} in epoch {epoch}; the weights of the epochs before are "
                "kept: train again with a lower --lr."
            )
        rate = learning_rate(self.recipe, epoch, within)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["lr_share"]
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        if self.recipe.decay_to_start:
            self._decay_to_start(rate)
        self.steps += 1
        self._average()
        self.net.eval()
        return StepResult(value, _block_confusion(logits.detach(), houses, known))

    def _prepare_to_learn(self) -> None:
        self.net.train()
        if self.recipe.freeze_norms:
            for module in self.net.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()

    @torch.no_grad()
    def _decay_to_start(self, rate: float) -> None:
        """Decoupled from the gradient, as AdamW's decay is."""
        share = min(1.0, rate * self.recipe.weight_decay)
        for weights, start in zip(self.net.parameters(), self._start, strict=True):
            weights.lerp_(start, share)

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
        """Copies, on the CPU, of everything the next step depends on, by name."""
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
        """Go back to what `state` returned after `steps` steps.

        Raises errors of several classes for what is the state of something else.
        """
        self.steps = steps
        self.net.load_state_dict(_named(tensors, "net."))
        if self.averaged is not self.net:
            self.averaged.load_state_dict(_named(tensors, "averaged."))
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in _named(tensors, "optimizer.").items():
            number, key = name.split(".")
            state.setdefault(int(number), {})[key] = value
        _check_moments(state, [p for group in self.optimizer.param_groups for p in group["params"]])
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": state})


def _check_moments(state: dict[int, dict[str, Tensor]], weights: list[Tensor]) -> None:
    """Raise ValueError where an optimizer could not go on with its state of each of the weights."""
    if len({frozenset(values) for values in state.values()}) > 1:
        raise ValueError("the optimizer's state is incomplete")
    for number, values in state.items():
        shapes = {value.shape for key, value in values.items() if key != "step"}
        if shapes - {weights[number].shape}:
            raise ValueError("the optimizer's state is of other weights")


def _named(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose name starts with `prefix`, by the rest of it."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _block_confusion(logits: Tensor, houses: Tensor, known: Tensor) -> Confusion:
    """Blocks by what most of their labelled pixels are."""
    counted = known > 0
    predicted = (class_difference(logits)[:, 0] > 0) & counted
    truth = (2 * houses > known) & counted
    tp = int((predicted & truth).sum())
    positives, houses_count, total = (int(mask.sum()) for mask in (predicted, truth, counted))
    fp, fn = positives - tp, houses_count - tp
    return Confusion(tp, fp, fn, total - tp - fp - fn)
