import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from geofcn.core.metrics import Confusion
from geofcn.errors import TrainingError
from geofcn.models.nets import make_net
from geofcn.recipes import DEFAULT, EXERCISE
from geofcn.training.trainer import (
    Batch,
    Trainer,
    contact_loss,
    learning_rate,
    make_optimizer,
    weighted_loss,
)

# --- the rules, by hand ---


@pytest.mark.parametrize(
    ("epoch", "rate"),
    [(1, 1e-4), (40, 1e-4), (41, 5e-5), (80, 5e-5), (81, 2.5e-5), (200, 1e-4 / 16)],
)
def test_the_learning_rate_is_halved_every_forty_epochs(epoch, rate):
    for within in (0, 0.5, 0.99):
        assert learning_rate(EXERCISE, epoch, within) == pytest.approx(rate, rel=1e-12)


def test_the_default_rate_warms_up_and_falls_to_nothing():
    recipe = replace(DEFAULT, epochs=20, lr=1.0)
    rates = [learning_rate(recipe, 1 + step // 10, step % 10 / 10) for step in range(200)]
    top = int(np.argmax(rates))
    assert rates[0] == pytest.approx(0.05)
    assert max(rates) == pytest.approx(1, abs=0.02) and top == 10
    assert (np.diff(rates[: top + 1]) > 0).all() and (np.diff(rates[top:]) < 0).all()
    assert rates[-1] < 0.001
    assert learning_rate(recipe, 20, 1) == pytest.approx(0, abs=1e-12)


def test_the_loss_is_the_weighted_mean_over_pixels():
    # Logits 0 and ln 3 are probabilities of 1/4 and 3/4.
    logits = torch.tensor([[[[0.0, 0.0, 0.0]], [[math.log(3)] * 3]]])
    by_hand = (1 * math.log(4) + 6 * math.log(4 / 3)) / 7
    houses, known = torch.tensor([[[0.0, 1, 0]]]), torch.tensor([[[1.0, 1, 0]]])
    assert weighted_loss(logits, houses, known, (1, 6)).item() == pytest.approx(by_hand, rel=1e-6)
    # The mean is over the batch's pixels, not over its tiles' means.
    pair = torch.cat([logits, logits])
    houses = torch.tensor([[[0.0, 1, 0]], [[1, 1, 1]]])
    known = torch.tensor([[[1.0, 1, 0]], [[1, 1, 1]]])
    by_hand = (math.log(4) + 4 * 6 * math.log(4 / 3)) / 25
    assert weighted_loss(pair, houses, known, (1, 6)).item() == pytest.approx(by_hand, rel=1e-6)


def test_the_loss_of_contacts_is_cross_entropy_and_dice():
    # Probabilities 1/2, 3/4 and 1/4, the last one where nothing is known.
    logits = torch.tensor([[[0.0, math.log(3), -math.log(3)]]])
    contacts, known = torch.tensor([[[1.0, 0, 0]]]), torch.tensor([[[1.0, 1, 0]]])
    entropy = (2 * math.log(2) + math.log(4)) / 2
    dice = 1 - (2 * 0.5 + 1) / (0.5 + 0.75 + 1 + 1)
    loss = contact_loss(logits, contacts, known).item()
    assert loss == pytest.approx(entropy + dice, rel=1e-6)
    nothing = torch.zeros(1, 1, 3)
    assert contact_loss(logits, nothing, nothing).item() == pytest.approx(0, abs=1e-6)


def test_a_net_learns_where_houses_meet_only_where_that_is_known():
    torch.manual_seed(0)
    recipe = replace(DEFAULT, net="fcnn", epochs=1, class_weights=(1.0, 2.0), contacts="yes")
    plain = batch_of(0)
    contacts = (np.roll(plain.houses, 1) > plain.houses).astype(np.float32)
    for known in (np.ones_like(contacts), np.zeros_like(contacts)):
        trainer = Trainer(make_net("fcnn", 3, contacts=True), recipe)
        trainer.step(replace(plain, contacts=contacts * known, contacts_known=known), 1, 0.5)
        *classes, contact = trainer.net.conv4.bias.grad.abs().tolist()
        assert min(classes) > 1e-3
        assert (contact > 1e-3) == known.any()


def test_the_exercise_descends_with_momentum_and_decays_biases_too():
    net = torch.nn.Conv2d(1, 1, 1)
    with torch.no_grad():
        net.weight.fill_(2.0)
        net.bias.fill_(1.0)
    recipe = replace(EXERCISE, lr=0.1, weight_decay=0.5)
    optimizer = make_optimizer(net, recipe)
    assert len(optimizer.param_groups) == 1
    # Gradient 1: velocity v = 0.9 v + (1 + 0.5 p), p = p - 0.1 v, twice.
    expected = {}
    for name, value in (("weight", 2.0), ("bias", 1.0)):
        velocity = 0.0
        for _ in range(2):
            velocity = 0.9 * velocity + 1 + 0.5 * value
            value -= 0.1 * velocity
        expected[name] = value
    for _ in range(2):
        net.weight.grad, net.bias.grad = torch.ones_like(net.weight), torch.ones_like(net.bias)
        optimizer.step()
    assert net.weight.item() == pytest.approx(expected["weight"], rel=1e-6)
    assert net.bias.item() == pytest.approx(expected["bias"], rel=1e-6)
    assert isinstance(make_optimizer(net, DEFAULT), torch.optim.AdamW)


def test_at_scale_one_the_loss_is_torchs_cross_entropy():
    torch.manual_seed(0)
    logits, labels = torch.randn(3, 2, 5, 7), torch.randint(0, 3, (3, 5, 7))
    expected = F.cross_entropy(logits, labels, torch.tensor([1.0, 6.0]), ignore_index=2)
    loss = weighted_loss(logits, (labels == 1).float(), (labels != 2).float(), (1.0, 6.0))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


def test_a_block_counts_as_the_pixels_it_holds():
    # 3 of 4 pixels known, 1 of them a house; probability of a house 3/4.
    logits = torch.tensor([[[[0.0]], [[math.log(3)]]]])
    by_hand = (6 * 1 * math.log(4 / 3) + 1 * 2 * math.log(4)) / (6 + 2)
    loss = weighted_loss(logits, torch.full((1, 1, 1), 0.25), torch.full((1, 1, 1), 0.75), (1, 6))
    assert loss.item() == pytest.approx(by_hand, rel=1e-6)


def test_nothing_known_is_no_loss():
    nothing = torch.zeros(1, 2, 2)
    assert weighted_loss(torch.randn(1, 2, 2, 2), nothing, nothing, (1, 6)).item() == 0


# --- steps ---


def batch_of(seed: int) -> Batch:
    random = np.random.default_rng(seed)
    houses = (random.random((2, 16, 16)) < 0.3).astype(np.float32)
    images = random.normal(houses[:, None], 0.3, (2, 3, 16, 16)).astype(np.float32)
    return Batch(images, houses, np.ones_like(houses))


def trainer_of(recipe, scale: int = 1) -> Trainer:
    torch.manual_seed(0)
    return Trainer(make_net(recipe.net, 3, scale), replace(recipe, class_weights=(1.0, 2.0)))


def equal(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("base", [EXERCISE, DEFAULT])
@pytest.mark.parametrize("net", ["fcnn2", "unet"])
def test_a_restored_trainer_goes_on_bit_for_bit(base, net):
    recipe = replace(base, net=net, epochs=2)
    straight, first = trainer_of(recipe), trainer_of(recipe)
    for number in range(6):
        straight.step(batch_of(number), 1, number / 6)
    for number in range(3):
        first.step(batch_of(number), 1, number / 6)
    second = trainer_of(recipe)
    second.restore(first.state(), 3)
    for number in range(3, 6):
        second.step(batch_of(number), 1, number / 6)
    assert equal(straight.state(), second.state())
    assert not equal(straight.state(), first.state())


def test_the_averaged_net_is_the_running_mean():
    recipe = replace(DEFAULT, net="fcnn", epochs=1)
    trainer = trainer_of(recipe)
    mean = trainer.net.conv1.weight.detach().clone()
    for number in range(30):
        trainer.step(batch_of(number), 1, number / 30)
        keep = min(recipe.averaging, (number + 2) / (number + 11))
        mean = keep * mean + (1 - keep) * trainer.net.conv1.weight.detach()
    torch.testing.assert_close(trainer.averaged.conv1.weight.detach(), mean)
    assert not torch.equal(trainer.averaged.conv1.weight, trainer.net.conv1.weight)


def test_weights_decay_to_where_they_started():
    recipe = replace(
        DEFAULT, net="fcnn", epochs=1, weight_decay=5.0, decay_to_start=True, averaging=0.0
    )
    trainer = trainer_of(recipe)
    start = trainer.net.conv1.weight.detach().clone()
    with torch.no_grad():
        trainer.net.conv1.weight += 1
    nothing = batch_of(0)
    nothing.known[:] = nothing.houses[:] = 0
    trainer.step(nothing, 1, 0.5)
    left = 1 - 5.0 * learning_rate(recipe, 1, 0.5)
    torch.testing.assert_close(trainer.net.conv1.weight.detach(), start + left)


@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_norms_keep_their_statistics(frozen):
    recipe = replace(DEFAULT, net="unet", epochs=1, freeze_norms=frozen)
    trainer = trainer_of(recipe)
    norm = trainer.net.first[1]
    before, weight = norm.running_mean.clone(), norm.weight.detach().clone()
    trainer.step(batch_of(0), 1, 0.5)
    assert torch.equal(norm.running_mean, before) is frozen
    assert not torch.equal(norm.weight, weight)


def test_without_averaging_the_net_itself_is_used():
    trainer = trainer_of(EXERCISE)
    assert trainer.averaged is trainer.net


def test_a_step_learns_and_counts():
    trainer = trainer_of(replace(DEFAULT, net="fcnn", epochs=1))
    steps = [trainer.step(batch_of(n % 3), 1, n / 300) for n in range(200)]
    assert steps[-1].loss < steps[0].loss / 2
    confusion = steps[-1].confusion
    assert sum(vars(confusion).values()) == 2 * 16 * 16 and confusion.f1 > 0.7
    assert isinstance(confusion, Confusion)


def test_a_loss_that_is_not_finite_stops_before_the_weights_change():
    trainer = trainer_of(EXERCISE)
    before = trainer.state()
    broken = batch_of(0)
    broken.images[0, 0, 0, 0] = np.nan
    with pytest.raises(TrainingError, match=r"loss became nan in epoch 3.*--lr"):
        trainer.step(broken, 3, 0)
    assert equal(before, trainer.state())


def test_the_loss_of_a_scaled_net_is_taken_on_its_blocks():
    recipe = replace(DEFAULT, net="fcnn", epochs=1)
    scaled, plain = trainer_of(recipe, 4), trainer_of(recipe)
    assert scaled.step(batch_of(0), 1, 0).loss == plain.step(batch_of(0), 1, 0).loss


def test_automatic_class_weights_have_to_be_settled_before():
    with pytest.raises(ValueError, match="class weights"):
        Trainer(make_net("fcnn", 3), replace(DEFAULT, class_weights=None))
