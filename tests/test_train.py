import copy
import csv
import importlib
import math
from dataclasses import replace

import matplotlib.image
import numpy as np
import pytest
import rasterio
import torch
from rasterio.enums import ColorInterp

import geofcn
from geofcn import flow
from geofcn.config import DEFAULT_RECIPE, SEED_RECIPE, make_recipe
from geofcn.errors import LabelsError, ModelError, OutputError, TrainingError, UsageError
from geofcn.grid import Window, training_windows
from geofcn.labels import open_source
from geofcn.metrics import Confusion
from geofcn.modelfile import load_model
from geofcn.nets import make_net
from geofcn.pixels import BLANK, Normalisation
from geofcn.samples import TileSet, select
from geofcn.scoring import Verdict
from geofcn.train import (
    RUN_FILES,
    augment,
    batches,
    is_best,
    learning_rate,
    make_optimizer,
    train,
    weighted_loss,
)

# `geofcn.train` is the function: the verb has the name.
train_module = importlib.import_module("geofcn.train")

# Small enough for a blink: 64 pixels are 2 x 2 tiles.
QUICK = {"tile": 32, "epochs": 2, "device": "cpu"}
PLAIN = Normalisation(np.zeros((3, 1, 1), np.float32), np.ones(3, np.float32))


def weights_in(path) -> dict:
    return load_model(path).net.state_dict()


def equal(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# --- the seed's rules, by hand ---


@pytest.mark.parametrize(
    ("epoch", "rate"),
    [(1, 1e-4), (40, 1e-4), (41, 5e-5), (80, 5e-5), (81, 2.5e-5), (200, 1e-4 / 16)],
)
def test_the_learning_rate_is_halved_every_forty_epochs(epoch, rate):
    for within in (0, 0.5, 0.99):
        assert learning_rate(SEED_RECIPE, epoch, within) == pytest.approx(rate, rel=1e-12)


def test_the_default_rate_warms_up_and_falls_to_nothing():
    plan = replace(DEFAULT_RECIPE, epochs=20, lr=1.0)
    rates = [learning_rate(plan, 1 + step // 10, step % 10 / 10) for step in range(200)]
    top = int(np.argmax(rates))
    assert rates[0] == pytest.approx(0.05)
    assert max(rates) == pytest.approx(1, abs=0.02) and top == 10
    assert (np.diff(rates[: top + 1]) > 0).all() and (np.diff(rates[top:]) < 0).all()
    assert rates[-1] < 0.001
    assert learning_rate(plan, 20, 1) == pytest.approx(0, abs=1e-12)


def test_the_loss_is_the_weighted_mean_over_pixels():
    # Logits 0 and ln 3 are probabilities of 1/4 and 3/4.
    logits = torch.tensor([[[[0.0, 0.0, 0.0]], [[math.log(3)] * 3]]])
    weights = torch.tensor([1.0, 6.0])
    by_hand = (1 * math.log(4) + 6 * math.log(4 / 3)) / 7
    labels = torch.tensor([[[0, 1, BLANK]]])
    assert weighted_loss(logits, labels, weights).item() == pytest.approx(by_hand, rel=1e-6)
    # The mean is over the batch's pixels, not over its tiles' means.
    pair = torch.cat([logits, logits])
    labels = torch.tensor([[[0, 1, BLANK]], [[1, 1, 1]]])
    by_hand = (math.log(4) + 4 * 6 * math.log(4 / 3)) / 25
    assert weighted_loss(pair, labels, weights).item() == pytest.approx(by_hand, rel=1e-6)


def test_the_seed_descends_with_momentum_and_decays_biases_too():
    net = torch.nn.Conv2d(1, 1, 1)
    with torch.no_grad():
        net.weight.fill_(2.0)
        net.bias.fill_(1.0)
    plan = replace(SEED_RECIPE, lr=0.1, weight_decay=0.5)
    optimizer = make_optimizer(net, plan)
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
    assert isinstance(make_optimizer(net, DEFAULT_RECIPE), torch.optim.AdamW)


def test_best_is_the_first_of_equals():
    assert is_best([0.1])
    assert is_best([0.1, 0.2])
    assert not is_best([0.2, 0.2])
    assert not is_best([0.3, 0.1, 0.2])
    assert is_best([math.nan])
    assert is_best([math.nan, 0.0]), "no score at all is worse than 0"
    assert not is_best([0.0, math.nan])
    assert not is_best([math.nan, math.nan])


@pytest.fixture
def numbered(write_raster):
    """A source whose 3 x 2 tiles of 8 x 8 are told apart by their value: 1 to 6, row by row."""
    values = np.kron(np.arange(1, 7).reshape(3, 2), np.ones((8, 8))).astype(np.uint8)
    labels = np.zeros((24, 16), np.uint8)
    labels[::8, ::8] = 1
    return open_source(
        write_raster("n.tif", np.repeat(values[None], 3, axis=0)), write_raster("l.tif", labels)
    )


def order_of(source, plan, epoch) -> list[int]:
    places = [(0, w) for w in training_windows(24, 16, plan.tile, plan.stride)]
    tiles = TileSet([source], plan, places)
    return [
        int(image[0].max()) for images, _ in batches(tiles, PLAIN, plan, epoch) for image in images
    ]


def test_the_seeds_tiles_come_in_column_order_in_every_epoch(numbered):
    plan = replace(SEED_RECIPE, tile=8, stride=8)
    for epoch in (1, 2):
        assert order_of(numbered, plan, epoch) == [1, 3, 5, 2, 4, 6]


def test_shuffling_depends_on_seed_and_epoch_alone(numbered):
    plan = replace(DEFAULT_RECIPE, tile=8, stride=8, augment=False, batch=4)
    orders = {(seed, epoch): order_of(numbered, replace(plan, seed=seed), epoch)
              for seed in (1, 2) for epoch in (1, 2, 3)}  # fmt: skip
    assert all(sorted(order) == [1, 2, 3, 4, 5, 6] for order in orders.values())
    assert len({tuple(order) for order in orders.values()}) > 3
    assert orders[1, 2] == order_of(numbered, replace(plan, seed=1), 2)


def test_a_batch_is_normalised_images_and_plain_labels(numbered):
    plan = replace(SEED_RECIPE, tile=8, stride=8, batch=4)
    tiles = TileSet([numbered], plan, [(0, w) for w in training_windows(24, 16, 8, 8)])
    mean = Normalisation(np.full((3, 8, 8), 2, np.float32), np.ones(3, np.float32))
    shapes = []
    for images, labels in batches(tiles, mean, plan, 1):
        shapes.append((images.shape, labels.shape))
        assert images.dtype == np.float32 and labels.dtype == np.uint8
        assert labels.sum() == len(labels) and labels[:, 0, 0].all()
    assert shapes == [((4, 3, 8, 8), (4, 8, 8)), ((2, 3, 8, 8), (2, 8, 8))]


def test_the_mean_image_is_that_of_the_kept_tiles(numbered):
    selection = select([numbered], replace(SEED_RECIPE, tile=8, stride=8))
    assert (selection.normalisation.mean == 3.5).all()


# --- augmentation ---


def test_labels_follow_the_image_through_every_turn_and_flip():
    random = np.random.default_rng(0)
    labels = np.arange(16, dtype=np.uint8).reshape(4, 4)
    image = np.stack([labels + 10.0, labels * 2 + 50.0]).astype(np.float32)
    seen = set()
    for _ in range(200):
        turned, classes = augment(image, labels, random)
        assert turned.dtype == np.float32 and classes.dtype == np.uint8
        seen.add(classes.tobytes())
        # Brightness and contrast keep the order of values in a band.
        for band in turned:
            assert (band.ravel().argsort() == classes.ravel().argsort()).all()
    assert len(seen) == 8, "the symmetries of a square"


def test_blank_stays_blank_and_the_input_is_left_alone():
    random = np.random.default_rng(1)
    image = np.ones((3, 8, 8), np.float32)
    image[:, 2:4, 1] = 0
    image[0, 7, 7] = 0  # one band only: not blank
    labels = np.where((image == 0).all(axis=0), BLANK, 0).astype(np.uint8)
    before = image.copy()
    changed = 0
    for _ in range(50):
        turned, classes = augment(image, labels, random)
        assert ((turned == 0).all(axis=0) == (classes == BLANK)).all()
        changed += not np.array_equal(np.unique(turned), np.unique(image))
    assert changed > 45
    assert (image == before).all()


# --- a run ---


@pytest.mark.parametrize("recipe", ["seed", "default"])
def test_a_run_holds_all_its_files(village, tmp_path, recipe):
    scene, labels = village(160)
    run = tmp_path / "deep" / "run"
    history = train(scene, labels, run, recipe=recipe, **QUICK)
    assert sorted(p.name for p in run.iterdir()) == sorted(RUN_FILES)
    assert [row.epoch for row in history] == [1, 2]
    with open(run / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [1, 2]
    assert [float(row["loss"]) for row in rows] == pytest.approx(
        [r.loss for r in history], rel=1e-5
    )
    model = load_model(run / "last.safetensors")
    plan = make_recipe(recipe, {"tile": 32, "epochs": 2})
    assert model.card.net == "fcnn2" and model.card.colours == ("red", "green", "blue")
    assert model.card.scale == model.card.recipe["scale"] == (1 if recipe == "seed" else 4)
    assert model.card.recipe == {**plan.to_json(), "scale": model.card.scale}
    assert model.card.scenes == ("village.tif",)
    assert model.card.resolution == pytest.approx(0.2, rel=1e-3)
    assert model.card.threshold == history[-1].threshold
    assert model.card.scores["epoch"] == 2
    period = 32 if recipe == "seed" else 1
    assert model.normalisation.mean.shape == (3, period, period)
    overlay = matplotlib.image.imread(run / "overlay.png")
    assert overlay.shape[:2] == (160, 160)
    for picture in ("loss.png", "scores.png"):
        assert matplotlib.image.imread(run / picture).std() > 0.01


def test_training_learns(village, tmp_path):
    scene, labels = village(160)
    history = train(scene, labels, tmp_path / "r", epochs=8, tile=32, scale=1, batch=4,
                    validate_fraction=0.0, device="cpu")  # fmt: skip
    assert history[-1].loss < history[0].loss / 2
    assert max(row.f1 for row in history) > 0.8


def test_the_seed_is_scored_on_all_padded_tiles_at_stride_w(village, tmp_path):
    scene, labels = village(72)  # padded to 96: 9 tiles of 32
    run = tmp_path / "run"
    last = train(scene, labels, run, recipe="seed", **QUICK)[-1]
    model = load_model(run / "last.safetensors")
    with rasterio.open(scene) as file, rasterio.open(labels) as truth:
        image = np.zeros((3, 96, 96), np.uint8)
        classes = np.zeros((96, 96), bool)
        image[:, :72, :72], classes[:72, :72] = file.read(), truth.read(1) == 1
    total = Confusion()
    for w in training_windows(72, 72, 32, 32):
        part = model.normalisation.apply(image[:, *w.slices], None, 0, 0)
        logits = model.logits(part).numpy()
        houses, real = logits[1] > logits[0], classes[w.slices]
        total += Confusion(
            int((houses & real).sum()), int((houses & ~real).sum()),
            int((~houses & real).sum()), int((~houses & ~real).sum()),
        )  # fmt: skip
    assert sum(vars(total).values()) == 96 * 96, "padding is background and counts"
    assert (last.accuracy, last.recall) == (total.accuracy, total.recall)
    assert last.threshold == 0.5


def test_the_net_is_made_right_after_the_seed_is_set(village, tmp_path, monkeypatch):
    scene, labels = village()
    first = []
    fit = train_module._fit
    monkeypatch.setattr(
        train_module,
        "_fit",
        lambda model, *rest: (
            first.append(copy.deepcopy(model.net.state_dict())) or fit(model, *rest)
        ),
    )
    torch.manual_seed(5)
    train(scene, labels, tmp_path / "a", recipe="seed", **QUICK)
    torch.manual_seed(1984)
    assert equal(first[0], make_net("fcnn2", 3).state_dict())


@pytest.mark.parametrize("recipe", ["seed", "default"])
def test_the_same_seed_gives_the_same_weights_bit_for_bit(village, tmp_path, monkeypatch, recipe):
    scene, labels = village(160)
    digests = []
    for number, threads in enumerate((1, 3)):
        monkeypatch.setattr(flow, "cores", lambda threads=threads: threads)
        train(scene, labels, tmp_path / str(number), recipe=recipe, **QUICK)
        digests.append(weights_in(tmp_path / str(number) / "last.safetensors"))
    assert equal(*digests)
    train(scene, labels, tmp_path / "other", recipe=recipe, seed=7, **QUICK)
    assert not equal(digests[0], weights_in(tmp_path / "other" / "last.safetensors"))


def test_best_weights_are_copies_of_the_first_best_epoch(village, tmp_path, monkeypatch):
    verdicts = [  # f1: .5, .8, .8, .67; accuracy: .5, .5, .9, .5
        Confusion(1, 1, 1, 1), Confusion(2, 1, 0, 0), Confusion(2, 1, 0, 7), Confusion(1, 1, 0, 0),
    ]  # fmt: skip
    states = []

    def judge(model):
        states.append(copy.deepcopy(model.net.state_dict()))
        return Verdict(verdicts[len(states) - 1], 0.5 + len(states) / 100)

    monkeypatch.setattr(train_module, "_judge", lambda *_: judge)
    scene, labels = village()
    run = tmp_path / "run"
    train(scene, labels, run, recipe="seed", tile=32, epochs=4, device="cpu")
    for name, epoch in (("best-f1", 2), ("best-accuracy", 3), ("last", 4)):
        model = load_model(run / f"{name}.safetensors")
        assert equal(model.net.state_dict(), states[epoch - 1]), name
        assert model.card.scores["epoch"] == epoch
        assert model.card.threshold == pytest.approx(0.5 + epoch / 100)
    assert not equal(states[1], states[3]), "training went on"


def test_training_on_two_scenes_and_validating_on_a_third(village, tmp_path):
    pairs = [village(64, seed, f"v{seed}") for seed in range(3)]
    train(*pairs[0], tmp_path / "run", others=[pairs[1]], validate=pairs[2], **QUICK)
    model = load_model(tmp_path / "run" / "best-f1.safetensors")
    assert model.card.scenes == ("v0.tif", "v1.tif")


def test_validation_blocks_are_never_trained_on(village, tmp_path, monkeypatch):
    scene, labels = village(160)
    seen = {}
    choose, judge = train_module.select, train_module._judge

    def remember_selection(*args, **options):
        seen["trained"] = choose(*args, **options)
        return seen["trained"]

    def remember_judged(sources, held_out, plan):
        seen["held"] = held_out
        return judge(sources, held_out, plan)

    monkeypatch.setattr(train_module, "select", remember_selection)
    monkeypatch.setattr(train_module, "_judge", remember_judged)
    train(scene, labels, tmp_path / "run", **{**QUICK, "epochs": 1})
    assert seen["held"] and seen["trained"].places
    for _, block in seen["held"]:
        for _, window in seen["trained"].places:
            assert window.intersect(block.grow(32)).pixels == 0


def test_automatic_class_weights_are_the_root_of_the_ratio(village, tmp_path):
    scene, labels = village()
    train(scene, labels, tmp_path / "run", recipe="seed", class_weights="auto", **QUICK)
    with rasterio.open(labels) as file:
        share = select([open_source(scene, labels)], make_recipe("seed", {"tile": 32})).house_share
        assert 0 < share < 1 and file.read(1).any()
    kept = load_model(tmp_path / "run" / "last.safetensors").card.recipe["class_weights"]
    assert kept == [1.0, pytest.approx(math.sqrt((1 - share) / share), abs=1e-3)]


# --- what goes wrong ---


def test_a_diverged_training_stops_and_keeps_what_it_has(village, tmp_path, monkeypatch):
    scene, labels = village()
    calls, healthy = [], train_module.weighted_loss

    def breaks_in_epoch_two(logits, *rest):
        calls.append(1)
        return healthy(logits, *rest) * (math.nan if len(calls) > 10 else 1)

    monkeypatch.setattr(train_module, "weighted_loss", breaks_in_epoch_two)
    run = tmp_path / "run"
    with pytest.raises(TrainingError, match=r"loss became nan in epoch 2.*--lr"):
        train(scene, labels, run, recipe="seed", **QUICK)
    for name in ("last", "best-f1", "best-accuracy"):
        assert load_model(run / f"{name}.safetensors").card.scores["epoch"] == 1
    assert len((run / "history.csv").read_text().splitlines()) == 2


def test_an_absurd_learning_rate_is_a_training_error(village, tmp_path):
    with pytest.raises(TrainingError, match="lower --lr"):
        train(*village(), tmp_path / "run", recipe="seed", lr=1e30, **QUICK)


def test_a_run_is_not_overwritten_unless_asked_to(village, tmp_path):
    scene, labels = village()
    run = tmp_path / "run"
    train(scene, labels, run, recipe="seed", **QUICK)
    (run / "mine.txt").write_text("keep me")
    before = {p.name: p.read_bytes() for p in run.iterdir()}
    with pytest.raises(OutputError, match=r"run: it holds a run already; give --overwrite"):
        train(scene, labels, run, recipe="seed", **QUICK)
    assert {p.name: p.read_bytes() for p in run.iterdir()} == before
    train(scene, labels, run, recipe="seed", seed=3, overwrite=True, **QUICK)
    assert sorted(p.name for p in run.iterdir()) == sorted([*RUN_FILES, "mine.txt"])
    assert (run / "last.safetensors").read_bytes() != before["last.safetensors"]


def test_an_older_run_outlives_a_training_that_is_refused(village, write_raster, tmp_path):
    scene, labels = village()
    run = tmp_path / "run"
    train(scene, labels, run, recipe="seed", **QUICK)
    empty = write_raster("empty.tif", np.zeros((64, 64), np.uint8))
    with pytest.raises(LabelsError, match="no house"):
        train(scene, empty, run, recipe="seed", overwrite=True, **QUICK)
    assert sorted(p.name for p in run.iterdir()) == sorted(RUN_FILES)


def test_a_file_or_a_locked_place_is_no_run_folder(village, tmp_path, monkeypatch):
    pair = village()
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="this is a file"):
        train(*pair, tmp_path / "file", **QUICK)
    with pytest.raises(OutputError, match="cannot be written"):
        train(*pair, tmp_path / "file" / "below", **QUICK)

    def denied(self, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(train_module.Path, "touch", denied)
    with pytest.raises(OutputError, match=r"cannot be written.*Permission denied"):
        train(*pair, tmp_path / "locked", **QUICK)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"tile": 30, "stride": 15}, UsageError, "stride 15.*multiple of 2"),
        ({"tile": 36, "scale": 4}, UsageError, "tile 36.*multiple of 8"),
        ({"net": "resnet"}, ModelError, "net resnet"),
        ({"device": "cuda:9"}, UsageError, "device"),
        ({"colour": "red"}, UsageError, "option colour"),
        ({"validate_fraction": 0.5, "validate": ("a", "b")}, UsageError, "not both"),
    ],
)
def test_what_cannot_work_is_refused_before_a_folder_is_made(
    village, tmp_path, options, error, message
):
    with pytest.raises(error, match=message):
        train(*village(), tmp_path / "run", recipe="seed", **{**QUICK, **options})
    assert not (tmp_path / "run").exists()


def test_scenes_of_another_kind_are_not_mixed(village, write_raster, tmp_path):
    scene, labels = village()
    deep = write_raster("deep.tif", np.ones((3, 64, 64), np.uint16))
    with pytest.raises(UsageError, match=r"deep\.tif.*uint16.*village\.tif"):
        train(scene, labels, tmp_path / "run", others=[(deep, labels)], **QUICK)
    with pytest.raises(UsageError, match=r"deep\.tif"):
        train(scene, labels, tmp_path / "run", validate=(deep, labels), **QUICK)


def test_the_public_name_is_the_function():
    assert geofcn.train is train


def test_windows_of_the_overlay_tile_the_reduced_scene(village, tmp_path, monkeypatch):
    scene, labels = village(160)
    run = tmp_path / "run"
    train(scene, labels, run, recipe="seed", **QUICK)
    whole = matplotlib.image.imread(run / "overlay.png")
    monkeypatch.setattr(train_module, "JUDGED_WINDOW", 16)
    train_module._overlay(open_source(scene, labels).scene, run, train_module.silent)
    assert (matplotlib.image.imread(run / "overlay.png") == whole).all()
    monkeypatch.setattr(train_module, "OVERLAY_PIXELS", 60)
    train_module._overlay(open_source(scene, labels).scene, run, train_module.silent)
    reduced = matplotlib.image.imread(run / "overlay.png")
    assert reduced.shape[:2] == (54, 54), "every third pixel"
    assert Window(0, 0, 54, 54).pixels == reduced.shape[0] * reduced.shape[1]


def test_a_scene_too_small_to_keep_a_part_is_scored_on_itself(village, tmp_path, caplog):
    scene, labels = village(64)
    history = geofcn.train(scene, labels, tmp_path / "run", tile=64, scale=1, epochs=1)
    assert len(history) == 1
    assert "too small" in caplog.text


def test_scenes_with_their_bands_in_another_order_are_not_mixed(village, write_raster, tmp_path):
    scene, labels = village(64)
    with rasterio.open(scene) as dataset:
        swapped = write_raster(
            "swapped.tif",
            dataset.read([3, 2, 1]),
            photometric="minisblack",
            colours=[ColorInterp.blue, ColorInterp.green, ColorInterp.red],
        )
    with pytest.raises(UsageError, match="blue, green, red"):
        geofcn.train(scene, labels, tmp_path / "run", others=[(swapped, labels)], tile=64, epochs=1)
