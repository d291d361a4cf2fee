import csv
import os

import geopandas
import matplotlib.image
import numpy as np
import pytest
import rasterio
import shapely
import torch
from rasterio.enums import ColorInterp
from rasterio.transform import Affine

import geofcn
from geofcn.errors import LabelsError, OutputError, SceneError, UsageError
from geofcn.models.model_file import load_model
from geofcn.recipes import make_recipe
from geofcn.training import loader, plots
from geofcn.training import train as train_module
from geofcn.training.plots import LEGEND_ROWS, TITLE_ROWS
from geofcn.training.run import RUN_FILES
from geofcn.training.train import SURVEY, resume, train
from geofcn.training.trainer import Trainer

# Small enough for a blink: 64 pixels are 2 x 2 tiles.
QUICK = {"tile": 32, "epochs": 2, "device": "cpu"}


def weights_in(path) -> dict:
    return load_model(path).net.state_dict()


def equal(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# --- a run ---


@pytest.mark.parametrize("recipe", ["exercise", "default"])
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
    metadata = model.metadata
    exercise = recipe == "exercise"
    assert metadata.net == metadata.recipe["net"]
    assert metadata.colours == ("red", "green", "blue")
    assert metadata.scale == metadata.recipe["scale"] == (1 if exercise else 2)
    settled = {"scale": metadata.scale, "stride": 16 if exercise else 32}
    # Labels of one value do not tell where houses meet.
    asked = make_recipe(recipe, {"tile": 32, "epochs": 2, "contacts": "no"})
    assert metadata.recipe == {**asked.to_json(), **settled}
    assert metadata.scenes == ("village.tif",)
    assert metadata.resolution == pytest.approx(0.2, rel=1e-3)
    assert metadata.threshold == history[-1].threshold
    assert metadata.scores["epoch"] == 2
    period = 32 if exercise else 1
    assert model.normalisation.mean.shape == (3, period, period)
    overlay = matplotlib.image.imread(run / "overlay.png")
    assert overlay.shape[:2] == (TITLE_ROWS + 160 + LEGEND_ROWS, 160)
    for picture in ("loss.png", "scores.png"):
        assert matplotlib.image.imread(run / picture).std() > 0.01


def test_the_public_name_is_the_function():
    assert geofcn.train is train


def test_labels_may_be_a_frame_with_which_a_killed_training_goes_on(
    village, tmp_path, stop_training
):
    scene, _ = village(96)
    houses = [
        shapely.box(500_000.8 + 4 * n, 4_999_982, 500_002.8 + 4 * n, 4_999_996) for n in range(4)
    ]
    frame = geopandas.GeoDataFrame(geometry=houses, crs="EPSG:25832")
    frame.to_file(tmp_path / "labels.gpkg")
    options = {**QUICK, "net": "fcnn", "scale": 1, "validate_fraction": 0.0}
    train(scene, tmp_path / "labels.gpkg", tmp_path / "file", **options)
    stop_training(2, scene, frame, tmp_path / "frame", **options)
    with pytest.raises(OutputError, match="unfinished training with other options"):
        train(scene, frame.head(3), tmp_path / "frame", **options)
    train(scene, frame.copy(), tmp_path / "frame", **options)
    weights = [weights_in(tmp_path / name / "last.safetensors") for name in ("file", "frame")]
    assert equal(*weights)


def test_training_learns(village, tmp_path):
    scene, labels = village(160)
    history = train(scene, labels, tmp_path / "r", epochs=8, tile=32, scale=1, batch=4,
                    validate_fraction=0.0, device="cpu").epochs  # fmt: skip
    assert history[-1].loss < history[0].loss / 2
    assert max(row.f1 for row in history) > 0.8


@pytest.mark.parametrize("recipe", ["exercise", "default"])
def test_the_same_seed_gives_the_same_weights_bit_for_bit(village, tmp_path, monkeypatch, recipe):
    scene, labels = village(160)
    weights = []
    for number, threads in enumerate((1, 3)):
        monkeypatch.setattr(loader, "cores", lambda threads=threads: threads)
        train(scene, labels, tmp_path / str(number), recipe=recipe, **QUICK)
        weights.append(weights_in(tmp_path / str(number) / "last.safetensors"))
    assert equal(*weights)
    train(scene, labels, tmp_path / "other", recipe=recipe, seed=7, **QUICK)
    assert not equal(weights[0], weights_in(tmp_path / "other" / "last.safetensors"))


def test_training_on_two_scenes_and_validating_on_a_third(village, tmp_path):
    pairs = [village(64, seed, f"v{seed}") for seed in range(3)]
    train(*pairs[0], tmp_path / "run", and_=[pairs[1]], validate=pairs[2], **QUICK)
    model = load_model(tmp_path / "run" / "best-f1.safetensors")
    assert model.metadata.scenes == ("v0.tif", "v1.tif")


def test_the_scenes_are_looked_at_once(village, tmp_path, monkeypatch):
    pair, run = village(96), tmp_path / "run"
    train(*pair, run, **QUICK)
    monkeypatch.setattr(train_module, "survey", None)
    train(*pair, run, overwrite=True, **{**QUICK, "lr": 1e-3})


# --- a training that goes on ---


def test_a_training_stopped_while_it_draws_goes_on_there(village, tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    def killed(*_):
        raise Killed

    pair, run = village(96), tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(plots, "loss_plot", killed)
        with pytest.raises(Killed):
            train(*pair, run, **QUICK)
    monkeypatch.setattr(Trainer, "step", None)
    assert len(resume(run).epochs) == 2
    assert sorted(path.name for path in run.iterdir()) == sorted([*RUN_FILES, SURVEY])


def test_where_nothing_is_unfinished_nothing_is_resumed(tmp_path):
    with pytest.raises(OutputError, match=r"run: there is no such folder"):
        resume(tmp_path / "run")
    with pytest.raises(OutputError, match=r"it holds no unfinished training"):
        resume(tmp_path)
    with pytest.raises(OutputError, match=r"no training that could go on; start .* by --from"):
        resume(tmp_path, epochs=9)


def test_a_training_is_extended_to_more_epochs_than_it_has(village, tmp_path):
    run = tmp_path / "run"
    train(*village(96), run, **QUICK)
    with pytest.raises(OutputError, match=r"run: its training has 2 epochs; give --epochs above"):
        resume(run, epochs=2)
    with pytest.raises(OutputError, match=r"run already.*--resume .*run --epochs N"):
        train(*village(96), run, **QUICK)


def test_a_run_whose_extension_is_refused_is_finished_as_before(village, tmp_path):
    pair, run = village(96), tmp_path / "run"
    train(*pair, run, **QUICK)
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    os.utime(pair[0])
    with pytest.raises(OutputError, match="its files have changed since"):
        resume(run, epochs=3)
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


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
    true_path, wrong_path = write_raster("true.tif", truth), write_raster("wrong.tif", wrong)
    options = {**QUICK, "area": area, "validate_fraction": 0.0}
    expected = train(scene, true_path, tmp_path / "true", **options).epochs
    assert train(scene, wrong_path, tmp_path / "wrong", **options).epochs == expected
    options["area"] = None
    assert train(scene, wrong_path, tmp_path / "all", **options).epochs != expected


def test_an_area_counts_for_the_scenes_it_touches(village, write_raster, tmp_path, caplog):
    first, labels = village(64)
    with rasterio.open(first) as dataset:
        image, transform, crs = dataset.read(), dataset.transform, dataset.crs
    far = write_raster("far.tif", image, transform=transform @ Affine.translation(1000, 0))
    with rasterio.open(labels) as dataset:
        far_labels = write_raster(
            "far-labels.tif", dataset.read(1), transform=transform @ Affine.translation(1000, 0)
        )
    area = tmp_path / "area.gpkg"
    left = shapely.box(*transform * (0, 64), *transform * (32, 0))
    geopandas.GeoSeries([left], crs=crs).to_file(area)
    options = {**QUICK, "epochs": 1, "net": "fcnn", "area": area, "validate_fraction": 0.0}
    rows = train(first, labels, tmp_path / "run", and_=[(far, far_labels)], **options).epochs
    counted = [message for message in caplog.messages if "counts as a whole" in message]
    assert len(counted) == 1 and counted[0].startswith(str(far))
    assert len(rows) == 1


def test_a_training_within_an_area_goes_on_wherever_it_is_asked_for(
    village, write_vectors, tmp_path, monkeypatch
):
    """The area's path counted for its identity, first as it was typed and then from the root."""
    monkeypatch.chdir(tmp_path)
    write_vectors("area.gpkg", [shapely.box(500_000, 4_999_980, 500_010, 5_000_000)])
    train(*village(96), "run", area="area.gpkg", **QUICK)
    assert len(resume("run", epochs=3).epochs) == 3


def test_an_area_beside_the_scene_or_of_pixels_is_refused(village, tmp_path):
    scene, labels = village()
    area = tmp_path / "area.gpkg"
    geopandas.GeoSeries([shapely.box(0, 0, 1, 1)], crs=4326).to_file(area)
    with pytest.raises(LabelsError, match=r"area\.gpkg: none of its"):
        train(scene, labels, tmp_path / "run", area=area, **QUICK)
    with pytest.raises(LabelsError, match="as polygons, not as a raster"):
        train(scene, labels, tmp_path / "run", area=labels, **QUICK)


# --- what goes wrong ---


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"tile": 30, "stride": 15}, UsageError, "stride 15.*multiple of 2"),
        ({"tile": 30, "scale": 4}, UsageError, "tile 30.*multiple of 8"),
        ({"tile": 36, "scale": 4}, UsageError, "tile 36.*multiple of 8"),
        ({"net": "resnet"}, UsageError, "net resnet"),
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


def with_pixels_of(pixel: float, paths) -> list:
    """The pair of rasters, moved to pixels of `pixel` metres."""
    for path in paths:
        with rasterio.open(path, "r+") as raster:
            raster.transform = rasterio.Affine(pixel, 0, 500_000, 0, -pixel, 5_000_000)
    return list(paths)


def test_scenes_of_different_resolutions_are_trained_on_and_resumed_bit_for_bit(
    village, tmp_path, stop_training
):
    pairs = [village(64), with_pixels_of(0.3, village(96, 1, "coarse"))]
    finer = with_pixels_of(0.1, village(128, 2, "finer"))
    options = {**QUICK, "and_": [pairs[1]], "validate": finer, "batch": 4}
    expected, killed = tmp_path / "a", tmp_path / "b"
    history = train(*pairs[0], expected, **options).epochs
    assert all(np.isfinite(row.f1) for row in history)
    model = load_model(expected / "last.safetensors")
    assert model.metadata.resolution == pytest.approx(0.2, rel=1e-3)
    stop_training(3, *pairs[0], killed, **options)
    resume(killed)
    assert equal(weights_in(expected / "last.safetensors"), weights_in(killed / "last.safetensors"))
    assert (expected / "history.csv").read_bytes() == (killed / "history.csv").read_bytes()


def test_a_scene_of_another_scale_is_seen_as_the_first_and_so_is_one_at_inference(
    village, write_raster, tmp_path
):
    scene, labels = village()
    with rasterio.open(scene) as file:
        deep = write_raster("deep.tif", file.read().astype(np.uint16) * 100)
    with rasterio.open(deep, "r+") as file:
        file.scales = (0.01,) * 3
    plain = train(scene, labels, tmp_path / "plain", **QUICK)
    mixed = train(scene, labels, tmp_path / "mixed", and_=[(deep, labels)], **QUICK)
    means = [geofcn.load_model(run.model).normalisation.mean for run in (plain, mixed)]
    np.testing.assert_allclose(*means, rtol=1e-5)
    about = geofcn.load_model(mixed.model).metadata
    assert (about.dtype, about.bands) == ("uint8", ())
    assert (about.scales, about.offsets) == ((1.0,) * 3, (0.0,) * 3)
    masks = [tmp_path / "plain.tif", tmp_path / "deep-mask.tif"]
    for path, mask in zip((scene, deep), masks, strict=True):
        geofcn.infer(path, mask, model=mixed.model)
    first, second = (rasterio.open(mask).read(1) for mask in masks)
    assert (first != second).mean() < 0.01


def test_a_model_keeps_the_bands_that_were_named_and_is_shown_them(village, write_raster, tmp_path):
    scene, labels = village()
    with rasterio.open(scene) as file:
        image = file.read()
    infrared = np.random.default_rng(0).integers(0, 255, image.shape[1:]).astype(np.uint8)
    colours = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
    four = write_raster("four.tif", np.stack([*image, infrared]), colours=colours)
    model = train(four, labels, tmp_path / "run", bands=(4, 2), **QUICK).model
    about = geofcn.load_model(model).metadata
    assert (about.bands, about.colours) == ((4, 2), ("alpha", "green"))
    mask = geofcn.infer(four, tmp_path / "mask.tif", model=model).mask
    moved = write_raster("moved.tif", np.stack([image[1], infrared]))
    again = geofcn.infer(moved, tmp_path / "again.tif", model=model, bands=(2, 1)).mask
    with rasterio.open(mask) as first, rasterio.open(again) as second:
        assert (first.read() == second.read()).all()
        assert second.tags()["GEOFCN_BANDS"] == "2,1" and "GEOFCN_BANDS" not in first.tags()


def test_labels_that_change_while_they_are_learnt_are_an_error(village, tmp_path, once_under_way):
    scene, labels = village()
    progress = once_under_way(lambda: os.utime(labels))
    with pytest.raises(SceneError, match=r"-labels\.tif: it has changed while it was read"):
        train(scene, labels, tmp_path / "run", net="fcnn", epochs=1, tile=32, progress=progress)
    assert not (tmp_path / "run").exists()


def test_a_second_training_in_one_folder_is_refused(village, tmp_path, once_under_way):
    """One said it was done, and its models were the other's."""
    scene, labels = village()
    refused = []

    def second():
        try:
            train(scene, labels, tmp_path / "run", net="fcnn", epochs=1, tile=32, overwrite=True)
        except OutputError as error:
            refused.append(str(error))

    options = {"net": "fcnn", "epochs": 1, "tile": 32, "progress": once_under_way(second)}
    train(scene, labels, tmp_path / "run", **options)
    assert len(refused) == 1 and "run: another geofcn (process " in refused[0]
    assert not (tmp_path / "run" / ".lock").exists()
