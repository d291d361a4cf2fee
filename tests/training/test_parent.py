import warnings
from dataclasses import replace

import numpy as np
import pytest
import rasterio
import torch
from rasterio.enums import ColorInterp
from run_folder import contents

from geofcn.core.calibration import Calibration, ScoreCalibration
from geofcn.core.pixels import Normalisation
from geofcn.errors import ModelError, OutputError, UsageError
from geofcn.models.model import Parent
from geofcn.models.model_file import load_model, model_digest, save_model
from geofcn.training.parent import described
from geofcn.training.train import resume, train

# Small enough for a blink.
QUICK = {"tile": 32, "epochs": 2, "device": "cpu"}


@pytest.fixture
def saved_parent(make_model, tmp_path):
    """saved_parent(net, ...) -> path of a model with a threshold and class weights of its own."""

    def save(net="unet", **options):
        facts = {"threshold": 0.625, "scenes": ("old.tif",), "resolution": 0.25}
        recipe = {"class_weights": [1.0, 3.0]}
        path = tmp_path / "parent.safetensors"
        save_model(make_model(net, recipe=recipe, **{**facts, **options}), path)
        return path

    return save


def weights_of(model) -> dict:
    return {n: v for n, v in model.net.state_dict().items() if not is_statistic(n)}


def statistics_of(model) -> dict:
    return {n: v for n, v in model.net.state_dict().items() if is_statistic(n)}


def is_statistic(name: str) -> bool:
    return "running" in name or "num_batches" in name


def equal(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# --- what is taken over ---


def test_a_taught_model_is_its_parent_but_for_the_weights(village, saved_parent, tmp_path):
    path = saved_parent(scale=2)
    result = train(*village(96), tmp_path / "run", from_=path, **QUICK)
    parent, taught = load_model(path), load_model(result.model)
    about = taught.metadata
    assert (about.net, about.scale, about.resolution) == ("unet", 2, 0.25)
    assert (taught.normalisation.mean == parent.normalisation.mean).all()
    assert (taught.normalisation.scale == parent.normalisation.scale).all()
    assert (about.recipe["name"], about.recipe["class_weights"]) == ("teach", [1.0, 3.0])
    assert about.scenes == ("village.tif",)
    assert about.parent == Parent(model_digest(parent), ("old.tif",))
    assert about.all_scenes == ("old.tif", "village.tif")
    # The statistics of few tiles are no good ones, whatever the weights learn.
    assert statistics_of(taught) and equal(statistics_of(taught), statistics_of(parent))
    assert not equal(weights_of(taught), weights_of(parent))


def test_weights_start_where_the_parents_are(village, saved_parent, tmp_path):
    path = saved_parent()
    run = train(*village(), tmp_path / "run", from_=path, lr=1e-12, **QUICK)
    parent, taught = (weights_of(load_model(each)) for each in (path, run.model))
    for name, value in parent.items():
        torch.testing.assert_close(taught[name], value, atol=1e-6, rtol=0)


def test_where_nothing_is_held_out_the_threshold_stays_and_the_last_weights_are_the_model(
    village, saved_parent, tmp_path
):
    result = train(*village(96), tmp_path / "run", from_=saved_parent("fcnn"), **QUICK)
    assert {row.threshold for row in result.epochs} == {0.625}
    last = load_model(tmp_path / "run" / "last.safetensors")
    assert equal(weights_of(load_model(result.model)), weights_of(last))
    assert (last.metadata.threshold, last.metadata.scores["scored_on"]) == (0.625, "training")
    assert result.best is result.epochs[-1]


@pytest.mark.parametrize("fraction", [0.0, 0.1])
def test_calibrations_stay_the_parents_where_nothing_or_next_to_nothing_is_held_out(
    village, saved_parent, tmp_path, caplog, fraction
):
    kept = Calibration(0.8, 0.3, 0.2), ScoreCalibration(0.7, -0.1)
    path = saved_parent("fcnn", calibration=kept[0], score_calibration=kept[1])
    run = train(*village(160), tmp_path / "run", from_=path, validate_fraction=fraction, **QUICK)
    about = load_model(run.model).metadata
    assert (about.calibration, about.score_calibration) == kept
    told = "threshold and calibration stay those of the model to start from"
    assert (told in caplog.text) == (fraction == 0)


def test_a_parent_without_calibration_brings_none(village, saved_parent, tmp_path):
    about = load_model(
        train(*village(96), tmp_path / "run", from_=saved_parent("fcnn"), **QUICK).model
    )
    assert (about.metadata.calibration, about.metadata.score_calibration) == (None, None)


def test_a_held_out_part_moves_the_threshold_a_little(village, saved_parent, tmp_path):
    options = {**QUICK, "from_": saved_parent("fcnn"), "validate_fraction": 0.1}
    rows = train(*village(160), tmp_path / "run", **options).epochs
    assert {row.scored_on for row in rows} == {"validation"}
    # Some hundred pixels are hardly a house.
    assert all(0 < abs(row.threshold - 0.625) < 0.05 for row in rows)


def test_a_model_of_mean_images_is_taught_with_tiles_of_their_size(village, saved_parent, tmp_path):
    mean = np.random.default_rng(0).uniform(50, 90, (3, 16, 16)).astype(np.float32)
    images = Normalisation(mean, np.ones(3, np.float32))
    path = saved_parent("fcnn2", normalisation=images)
    with pytest.raises(UsageError, match="a mean image needs scenes of one resolution"):
        train(*village(), tmp_path / "run", from_=path, epochs=1, device="cpu")
    path = saved_parent("fcnn2", normalisation=images, resolution=0.2)
    run = train(*village(), tmp_path / "run", from_=path, epochs=1, device="cpu")
    about = load_model(run.model)
    assert (about.normalisation.mean == mean).all()
    assert (about.metadata.recipe["tile"], about.metadata.recipe["stride"]) == (16, 8)
    with pytest.raises(UsageError, match=r"tile 32: .*parent\.safetensors has 16"):
        train(*village(), tmp_path / "other", from_=path, **QUICK)


def test_bands_are_matched_by_colour(village, write_raster, saved_parent, tmp_path):
    scene, labels = village()
    with rasterio.open(scene) as dataset:
        swapped = write_raster(
            "swapped.tif",
            dataset.read([3, 2, 1]),
            photometric="minisblack",
            colours=[ColorInterp.blue, ColorInterp.green, ColorInterp.red],
        )
    path = saved_parent("fcnn")
    runs = [
        train(each, labels, tmp_path / each.stem, from_=path, **QUICK) for each in (scene, swapped)
    ]
    first, second = (load_model(run.model) for run in runs)
    assert equal(first.net.state_dict(), second.net.state_dict())
    assert second.metadata.colours == ("red", "green", "blue")


def test_a_parents_parents_are_remembered(make_model):
    grandparent = make_model(scenes=("a.tif", "b.tif"))
    parent = make_model(seed=1, scenes=("c.tif",))
    parent = replace(parent, metadata=replace(parent.metadata, parent=described(grandparent)))
    assert described(parent) == Parent(model_digest(parent), ("a.tif", "b.tif", "c.tif"))


# --- a training that goes on ---


def test_a_stopped_teaching_goes_on_bit_for_bit(village, saved_parent, tmp_path, stop_training):
    pair, options = village(96), {**QUICK, "batch": 2, "from_": saved_parent()}
    straight, run = tmp_path / "straight", tmp_path / "run"
    expected = train(*pair, straight, **options)
    stop_training(7, *pair, run, **options)
    assert resume(run).epochs == expected.epochs
    assert contents(run) == contents(straight)


def test_a_teaching_does_not_go_on_from_another_model_or_from_none(
    village, saved_parent, tmp_path, stop_training
):
    pair, run = village(96), tmp_path / "run"
    stop_training(4, *pair, run, from_=saved_parent("fcnn"), **QUICK)
    path = saved_parent("fcnn", seed=1)
    with pytest.raises(OutputError, match=r"unfinished training.*files have changed"):
        resume(run)
    path.unlink()
    with pytest.raises(ModelError, match=r"parent\.safetensors: there is no such model"):
        resume(run)


# --- what goes wrong ---


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"net": "unet"}, r"net unet: .*parent\.safetensors has fcnn, .*leave that option out"),
        ({"scale": 4}, "scale 4: .* has 1,"),
        ({"scale": "auto"}, "scale auto: .* has 1,"),
        ({"upsample": "bilinear"}, "upsample bilinear: .* has nearest,"),
    ],
)
def test_options_that_contradict_the_model_are_refused(
    village, saved_parent, tmp_path, options, message
):
    with pytest.raises(UsageError, match=message):
        train(*village(), tmp_path / "run", from_=saved_parent("fcnn"), **QUICK, **options)
    assert not (tmp_path / "run").exists()


def test_teaching_needs_a_model_and_scenes_like_its(village, saved_parent, write_raster, tmp_path):
    scene, labels = village()
    with pytest.raises(UsageError, match="recipe teach: it starts from a model; give that by"):
        train(scene, labels, tmp_path / "run", recipe="teach", **QUICK)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        grey = write_raster("grey.tif", np.ones((64, 64), np.uint8))
    with pytest.raises(ModelError, match=r"grey\.tif: it has 1 band"):
        train(grey, labels, tmp_path / "run", from_=saved_parent("fcnn"), **QUICK)


def test_a_run_does_not_replace_the_model_it_starts_from(village, tmp_path):
    run = tmp_path / "run"
    first = train(*village(), run, net="fcnn", **QUICK)
    before = contents(run)
    with pytest.raises(OutputError, match=r"holds the model to start from.*give another -o"):
        train(*village(), run, from_=first.model, overwrite=True, **QUICK)
    assert contents(run) == before
