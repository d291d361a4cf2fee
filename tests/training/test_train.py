import copy
import csv
import importlib
import math
import os
import subprocess
import sys
import time

import geopandas
import matplotlib.image
import numpy as np
import pytest
import rasterio
import shapely
import torch
from rasterio.enums import ColorInterp

import geofcn
from geofcn.core.metrics import Confusion
from geofcn.core.windows import training_windows
from geofcn.errors import LabelsError, ModelError, OutputError, TrainingError, UsageError
from geofcn.io.labels import open_labelled_scene
from geofcn.models.model_file import load_model
from geofcn.models.nets import make_net
from geofcn.recipes import make_recipe
from geofcn.training import loader, loop, overlay, plots, trainer, validation
from geofcn.training import train as train_module
from geofcn.training.plots import LEGEND_ROWS
from geofcn.training.run import CHECKPOINT, RUN_FILES
from geofcn.training.sampling import select
from geofcn.training.state import best_of
from geofcn.training.survey import survey
from geofcn.training.tiles import TileCache
from geofcn.training.train import SURVEY, resume, train
from geofcn.training.validation import ValidationScores

# Small enough for a blink: 64 pixels are 2 x 2 tiles.
QUICK = {"tile": 32, "epochs": 2, "device": "cpu"}


def weights_in(path) -> dict:
    return load_model(path).net.state_dict()


def equal(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_best_is_the_first_of_equals():
    assert best_of([0.1]) == 1
    assert best_of([0.1, 0.2]) == 2
    assert best_of([0.2, 0.2]) == 1
    assert best_of([0.3, 0.1, 0.2]) == 1
    assert best_of([math.nan]) == best_of([math.nan, math.nan]) == 1
    assert best_of([math.nan, 0.0]) == 2, "no score at all is worse than 0"
    assert best_of([0.0, math.nan]) == 1


# --- a run ---


@pytest.mark.parametrize("recipe", ["seed", "default"])
def test_a_run_holds_all_its_files(village, tmp_path, recipe):
    scene, labels = village(160)
    run = tmp_path / "deep" / "run"
    history = train(scene, labels, run, recipe=recipe, **QUICK).epochs
    assert sorted(p.name for p in run.iterdir()) == sorted([*RUN_FILES, SURVEY])
    assert [row.epoch for row in history] == [1, 2]
    with open(run / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [1, 2]
    assert [float(row["loss"]) for row in rows] == pytest.approx(
        [r.loss for r in history], rel=1e-5
    )
    model = load_model(run / "last.safetensors")
    plan = make_recipe(recipe, {"tile": 32, "epochs": 2})
    assert model.metadata.net == model.metadata.recipe["net"] and model.metadata.colours == (
        "red",
        "green",
        "blue",
    )
    assert model.metadata.scale == model.metadata.recipe["scale"] == (1 if recipe == "seed" else 4)
    settled = {"scale": model.metadata.scale, "stride": 16 if recipe == "seed" else 32}
    assert model.metadata.recipe == {**plan.to_json(), **settled}
    assert model.metadata.scenes == ("village.tif",)
    assert model.metadata.resolution == pytest.approx(0.2, rel=1e-3)
    assert model.metadata.threshold == history[-1].threshold
    assert model.metadata.scores["epoch"] == 2
    period = 32 if recipe == "seed" else 1
    assert model.normalisation.mean.shape == (3, period, period)
    overlay = matplotlib.image.imread(run / "overlay.png")
    assert overlay.shape[:2] == (160 + LEGEND_ROWS, 160)
    for picture in ("loss.png", "scores.png"):
        assert matplotlib.image.imread(run / picture).std() > 0.01


def test_training_learns(village, tmp_path):
    scene, labels = village(160)
    history = train(scene, labels, tmp_path / "r", epochs=8, tile=32, scale=1, batch=4,
                    validate_fraction=0.0, device="cpu").epochs  # fmt: skip
    assert history[-1].loss < history[0].loss / 2
    assert max(row.f1 for row in history) > 0.8


def test_the_seed_is_scored_on_all_padded_tiles_at_stride_w(village, tmp_path):
    scene, labels = village(72)  # padded to 96: 9 tiles of 32
    run = tmp_path / "run"
    last = train(scene, labels, run, recipe="exercise", **QUICK).epochs[-1]
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
        lambda trainer, *rest: (
            first.append(copy.deepcopy(trainer.net.state_dict())) or fit(trainer, *rest)
        ),
    )
    torch.manual_seed(5)
    train(scene, labels, tmp_path / "a", recipe="exercise", **QUICK)
    torch.manual_seed(1984)
    assert equal(first[0], make_net("fcnn2", 3).state_dict())


@pytest.mark.parametrize("recipe", ["seed", "default"])
def test_the_same_seed_gives_the_same_weights_bit_for_bit(village, tmp_path, monkeypatch, recipe):
    scene, labels = village(160)
    digests = []
    for number, threads in enumerate((1, 3)):
        monkeypatch.setattr(loader, "cores", lambda threads=threads: threads)
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

    def validate_model(model):
        states.append(copy.deepcopy(model.net.state_dict()))
        return ValidationScores(verdicts[len(states) - 1], 0.5 + len(states) / 100, 0.0)

    monkeypatch.setattr(train_module, "make_validator", lambda *_: validate_model)
    scene, labels = village()
    run = tmp_path / "run"
    train(scene, labels, run, recipe="exercise", tile=32, epochs=4, device="cpu")
    for name, epoch in (("best-f1", 2), ("best-accuracy", 3), ("last", 4)):
        model = load_model(run / f"{name}.safetensors")
        assert equal(model.net.state_dict(), states[epoch - 1]), name
        assert model.metadata.scores["epoch"] == epoch
        assert model.metadata.threshold == pytest.approx(0.5 + epoch / 100)
    assert not equal(states[1], states[3]), "training went on"


def test_training_on_two_scenes_and_validating_on_a_third(village, tmp_path):
    pairs = [village(64, seed, f"v{seed}") for seed in range(3)]
    train(*pairs[0], tmp_path / "run", and_=[pairs[1]], validate=pairs[2], **QUICK)
    model = load_model(tmp_path / "run" / "best-f1.safetensors")
    assert model.metadata.scenes == ("v0.tif", "v1.tif")


def test_validation_blocks_are_never_trained_on(village, tmp_path, monkeypatch):
    scene, labels = village(160)
    seen = {}
    choose, validate_model = train_module.select, train_module.make_validator

    def remember_selection(*args, **options):
        seen["trained"] = choose(*args, **options)
        return seen["trained"]

    def remember_judged(sources, held_out, plan):
        seen["held"] = held_out
        return validate_model(sources, held_out, plan)

    monkeypatch.setattr(train_module, "select", remember_selection)
    monkeypatch.setattr(train_module, "make_validator", remember_judged)
    train(scene, labels, tmp_path / "run", **{**QUICK, "epochs": 1})
    assert seen["held"] and seen["trained"].windows
    for _, block in seen["held"]:
        for _, window in seen["trained"].windows:
            assert window.intersect(block.grow(32)).pixels == 0


def test_automatic_class_weights_are_the_root_of_the_ratio(village, tmp_path):
    scene, labels = village()
    train(scene, labels, tmp_path / "run", recipe="exercise", class_weights="auto", **QUICK)
    with rasterio.open(labels) as file:
        tiles, plan = (
            TileCache([open_labelled_scene(scene, labels)], True),
            make_recipe("exercise", {"tile": 32}),
        )
        share = select(tiles, plan, survey(tiles, plan)).house_share
        assert 0 < share < 1 and file.read(1).any()
    kept = load_model(tmp_path / "run" / "last.safetensors").metadata.recipe["class_weights"]
    assert kept == [1.0, pytest.approx(math.sqrt((1 - share) / share), abs=1e-3)]


# --- a training that is stopped ---


SHORT = {**QUICK, "batch": 1, "stride": 32}


class Stopped(BaseException):
    """Stands for a kill: nothing catches it."""


@pytest.fixture
def stopping(monkeypatch):
    """stopping(n) -> the n-th step of the next training is not done; 0: all are. Its state is
    kept after every step, or after so many seconds.
    """
    step, calls = trainer.Trainer.step, []

    def set_up(number: int, seconds: float = 0):
        calls.clear()

        def counted(self, *args):
            calls.append(1)
            if len(calls) == number:
                raise Stopped
            return step(self, *args)

        monkeypatch.setattr(trainer.Trainer, "step", counted)
        monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", seconds)

    return set_up


def contents(run) -> dict:
    return {path.name: path.read_bytes() for path in run.iterdir()}


@pytest.mark.parametrize("recipe", ["seed", "default"])
@pytest.mark.parametrize("at", [1, 4, 11, 21])
def test_a_stopped_training_goes_on_to_the_same_files(village, tmp_path, stopping, recipe, at):
    # 25 tiles: 3 epochs of 7 steps.
    pair, given = village(160), {**QUICK, "epochs": 3, "batch": 4, "recipe": recipe}
    given |= {"validate_fraction": 0.0, "stride": 32}
    straight, run = tmp_path / "straight", tmp_path / "run"
    expected = train(*pair, straight, **given).epochs
    stopping(at)
    with pytest.raises(Stopped):
        train(*pair, run, **given)
    assert (run / CHECKPOINT).exists()
    stopping(0)
    result = train(*pair, run, **given) if at % 2 else resume(run)
    assert result.epochs == expected
    assert contents(run) == contents(straight)


def test_a_training_stopped_before_its_state_was_kept_goes_on_too(village, tmp_path, stopping):
    pair, given = village(96), {**SHORT, "epochs": 3}
    straight, run = tmp_path / "straight", tmp_path / "run"
    train(*pair, straight, **given)
    stopping(12, seconds=1000)
    with pytest.raises(Stopped):
        train(*pair, run, **given)
    assert (run / "last.safetensors").exists(), "an epoch is done"
    stopping(0)
    train(*pair, run, **given)
    assert contents(run) == contents(straight)


def test_a_training_that_is_killed_again_and_again_ends_the_same(village, tmp_path):
    pair, straight, run = village(96), tmp_path / "straight", tmp_path / "run"
    code = (
        "import importlib, sys; train = importlib.import_module('geofcn.training.train')\n"
        "import torch; torch.set_num_threads(1); train.CHECKPOINT_SECONDS = 0\n"
        "from geofcn_cli.main import main; main(sys.argv[1:])"
    )
    options = ("--net", "fcnn2", "--tile", 32, "--epochs", 30, "--device", "cpu", "-q")
    command = [sys.executable, "-c", code, "train", *map(str, (*pair, "-o", run, *options))]
    kills = 0
    while kills < 3:
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        while process.poll() is None and not (run / CHECKPOINT).exists():
            time.sleep(0.01)
        # A while after what it went on from: some epochs, or the drawing at the end.
        time.sleep(2.5 + 0.5 * kills if kills else 0.1)
        if process.poll() is not None:
            break
        process.kill()
        process.communicate()
        kills += 1
    assert kills >= 1
    assert subprocess.run(command, capture_output=True).returncode in (0, 1)
    train(*pair, straight, net="fcnn2", tile=32, epochs=30, device="cpu")
    assert contents(run) == contents(straight)


def test_a_training_stopped_while_it_draws_goes_on_there(village, tmp_path, monkeypatch):
    pair, run = village(96), tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(plots, "loss_plot", lambda *_: (_ for _ in ()).throw(Stopped))
        with pytest.raises(Stopped):
            train(*pair, run, **QUICK)
    monkeypatch.setattr(trainer.Trainer, "step", None)
    assert len(resume(run)) == 2
    assert sorted(contents(run)) == sorted([*RUN_FILES, SURVEY])


def test_another_training_does_not_go_on_in_its_place(village, tmp_path, stopping):
    pair, run = village(96), tmp_path / "run"
    stopping(4)
    with pytest.raises(Stopped):
        train(*pair, run, **SHORT)
    before = contents(run)
    with pytest.raises(OutputError, match=r"unfinished training.*--resume"):
        train(*pair, run, **{**SHORT, "lr": 0.1})
    assert contents(run) == before
    stopping(0)
    assert len(train(*pair, run, overwrite=True, **{**SHORT, "lr": 0.1})) == 2
    with pytest.raises(OutputError, match="no unfinished training"):
        resume(run)


def test_a_changed_scene_is_not_gone_on_with(village, tmp_path, stopping):
    scene, labels = village(96)
    run = tmp_path / "run"
    stopping(4)
    with pytest.raises(Stopped):
        train(scene, labels, run, **SHORT)
    os.utime(labels, ns=(1, 1))
    with pytest.raises(OutputError, match=r"unfinished training.*--overwrite"):
        resume(run)


def test_a_damaged_state_is_said_and_can_be_overwritten(village, tmp_path, stopping):
    pair, run = village(96), tmp_path / "run"
    stopping(4)
    with pytest.raises(Stopped):
        train(*pair, run, **SHORT)
    (run / CHECKPOINT).write_bytes(b"nonsense")
    stopping(0)
    with pytest.raises(TrainingError, match=r"damaged.*--overwrite"):
        train(*pair, run, **SHORT)
    assert len(train(*pair, run, overwrite=True, **SHORT)) == 2


def test_the_scenes_are_looked_at_once(village, tmp_path, monkeypatch):
    pair, run = village(96), tmp_path / "run"
    train(*pair, run, **QUICK)
    monkeypatch.setattr(train_module, "survey", None)
    train(*pair, run, overwrite=True, **{**QUICK, "lr": 1e-3})


def test_patience_ends_a_training_that_gets_no_better(village, tmp_path, monkeypatch):
    verdicts = iter([0.1, 0.5, 0.4, 0.5, 0.2, 0.9])

    def validate_model(model):
        f1 = next(verdicts)
        return ValidationScores(
            Confusion(int(1000 * f1), 1000 - int(1000 * f1), 1000 - int(1000 * f1)), 0.5, 0
        )

    monkeypatch.setattr(train_module, "make_validator", lambda *_: validate_model)
    history = train(*village(), tmp_path / "run", **{**QUICK, "epochs": 6}, patience=3).epochs
    assert [row.epoch for row in history] == [1, 2, 3, 4, 5]
    kept = load_model(tmp_path / "run" / "best-f1.safetensors").metadata.scores
    assert kept["epoch"] == 2


def test_tensorboard_gets_what_the_history_has(village, tmp_path):
    accumulator = importlib.import_module("tensorboard.backend.event_processing.event_accumulator")
    history = train(
        *village(), tmp_path / "run", log_tensorboard=True, recipe="exercise", **QUICK
    ).epochs
    events = accumulator.EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    found = [event.value for event in events.Scalars("epoch/f1")]
    assert found == pytest.approx([row.f1 for row in history], nan_ok=True)
    steps = [event.step for event in events.Scalars("loss/step")]
    assert steps == list(range(1, 19)), "two epochs of 9 tiles"


# --- areas ---


def test_nothing_is_learnt_or_scored_outside_of_the_area(village, write_raster, tmp_path):
    scene, labels = village(160)
    with rasterio.open(labels) as dataset:
        truth, transform, crs = dataset.read(1), dataset.transform, dataset.crs
    left = shapely.box(*transform * (0, 160), *transform * (96, 0))
    area = tmp_path / "area.gpkg"
    geopandas.GeoSeries([left], crs=crs).to_crs(4326).to_file(area)
    wrong = truth.copy()
    wrong[:, 97:] = 1 - wrong[:, 97:]
    told, untold = (write_raster(name, a) for name, a in (("t.tif", truth), ("w.tif", wrong)))
    given = {**QUICK, "area": area, "validate_fraction": 0.0}
    histories = [train(scene, found, tmp_path / found.stem, **given) for found in (told, untold)]
    assert histories[0] == histories[1]
    assert train(scene, untold, tmp_path / "all", **{**given, "area": None}) != histories[0]


def test_an_area_beside_the_scene_or_of_pixels_is_refused(village, tmp_path):
    scene, labels = village()
    area = tmp_path / "area.gpkg"
    geopandas.GeoSeries([shapely.box(0, 0, 1, 1)], crs=4326).to_file(area)
    with pytest.raises(LabelsError, match=r"area\.gpkg: none of its"):
        train(scene, labels, tmp_path / "run", area=area, **QUICK)
    with pytest.raises(LabelsError, match="as polygons, not as a raster"):
        train(scene, labels, tmp_path / "run", area=labels, **QUICK)


# --- what goes wrong ---


def test_a_diverged_training_stops_and_keeps_what_it_has(village, tmp_path, monkeypatch):
    scene, labels = village()
    calls, healthy = [], trainer.weighted_loss

    def breaks_in_epoch_two(logits, *rest):
        calls.append(1)
        return healthy(logits, *rest) * (math.nan if len(calls) > 10 else 1)

    monkeypatch.setattr(trainer, "weighted_loss", breaks_in_epoch_two)
    run = tmp_path / "run"
    with pytest.raises(TrainingError, match=r"loss became nan in epoch 2.*--lr"):
        train(scene, labels, run, recipe="exercise", **QUICK)
    for name in ("last", "best-f1", "best-accuracy"):
        assert load_model(run / f"{name}.safetensors").metadata.scores["epoch"] == 1
    assert len((run / "history.csv").read_text().splitlines()) == 2


def test_an_absurd_learning_rate_is_a_training_error(village, tmp_path):
    with pytest.raises(TrainingError, match="lower --lr"):
        train(*village(), tmp_path / "run", recipe="exercise", lr=1e30, **QUICK)


def test_a_run_is_not_overwritten_unless_asked_to(village, tmp_path):
    scene, labels = village()
    run = tmp_path / "run"
    train(scene, labels, run, recipe="exercise", **QUICK)
    (run / "mine.txt").write_text("keep me")
    before = {p.name: p.read_bytes() for p in run.iterdir()}
    with pytest.raises(OutputError, match=r"run: it holds a run already; give --overwrite"):
        train(scene, labels, run, recipe="exercise", **QUICK)
    assert {p.name: p.read_bytes() for p in run.iterdir()} == before
    train(scene, labels, run, recipe="exercise", seed=3, overwrite=True, **QUICK)
    assert sorted(p.name for p in run.iterdir()) == sorted([*RUN_FILES, SURVEY, "mine.txt"])
    assert (run / "last.safetensors").read_bytes() != before["last.safetensors"]


def test_an_older_run_outlives_a_training_that_is_refused(village, write_raster, tmp_path):
    scene, labels = village()
    run = tmp_path / "run"
    train(scene, labels, run, recipe="exercise", **QUICK)
    empty = write_raster("empty.tif", np.zeros((64, 64), np.uint8))
    with pytest.raises(LabelsError, match="no house"):
        train(scene, empty, run, recipe="exercise", overwrite=True, **QUICK)
    assert sorted(p.name for p in run.iterdir()) == sorted([*RUN_FILES, SURVEY])


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
        ({"tile": 30, "scale": 4}, UsageError, "tile 30.*multiple of 8"),
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
        train(*village(), tmp_path / "run", recipe="exercise", **{**QUICK, **options})
    assert not (tmp_path / "run").exists()


def test_scenes_of_another_kind_are_not_mixed(village, write_raster, tmp_path):
    scene, labels = village()
    deep = write_raster("deep.tif", np.ones((3, 64, 64), np.uint16))
    with pytest.raises(UsageError, match=r"deep\.tif.*uint16.*village\.tif"):
        train(scene, labels, tmp_path / "run", and_=[(deep, labels)], **QUICK)
    with pytest.raises(UsageError, match=r"deep\.tif"):
        train(scene, labels, tmp_path / "run", validate=(deep, labels), **QUICK)


def test_the_public_name_is_the_function():
    assert geofcn.train is train


def test_windows_of_the_overlay_tile_the_reduced_scene(village, tmp_path, monkeypatch):
    scene, labels = village(160)
    run = tmp_path / "run"
    train(scene, labels, run, recipe="exercise", **QUICK)
    whole = matplotlib.image.imread(run / "overlay.png")
    monkeypatch.setattr(overlay, "VALIDATION_WINDOW", 16)
    monkeypatch.setattr(validation, "VALIDATION_WINDOW", 16)
    train_module.write_overlay(open_labelled_scene(scene, labels), run, train_module.silent)
    assert (matplotlib.image.imread(run / "overlay.png") == whole).all()
    monkeypatch.setattr(overlay, "OVERLAY_PIXELS", 60)
    train_module.write_overlay(open_labelled_scene(scene, labels), run, train_module.silent)
    reduced = matplotlib.image.imread(run / "overlay.png")
    assert reduced.shape[:2] == (54 + LEGEND_ROWS, 54), "every third pixel"


def test_a_scene_too_small_to_keep_a_part_is_scored_on_itself(village, tmp_path, caplog):
    scene, labels = village(64)
    history = geofcn.train(scene, labels, tmp_path / "run", tile=64, scale=1, epochs=1).epochs
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
        geofcn.train(scene, labels, tmp_path / "run", and_=[(swapped, labels)], tile=64, epochs=1)
