"""geofcn train"""

import csv
import tomllib

import pytest
from matplotlib.image import imread
from safetensors import safe_open

import geofcn
from geofcn.errors import TrainingError
from geofcn.training.run import Run
from geofcn.training.trainer import Trainer

FILES = {
    "survey.npz",
    "finished.safetensors",
    "best-f1.safetensors",
    "best-accuracy.safetensors",
    "last.safetensors",
    "history.csv",
    "loss.png",
    "scores.png",
    "overlay.png",
    "run.toml",
    "report.html",
}


def test_a_run_holds_models_history_and_pictures(trained):
    run = trained / "run"
    assert {path.name for path in run.iterdir()} == FILES
    with open(run / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4, 5, 6]
    assert {"loss", "precision", "recall", "f1", "accuracy", "iou"} <= set(rows[0])
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    assert imread(run / "overlay.png").shape[:2] == (28 + 512 + 36, 512)
    for name in ("loss.png", "scores.png"):
        assert imread(run / name).size


def test_a_run_says_how_it_is_repeated_to_the_same_bytes(geofcn_command, village, tmp_path):
    pairs = [village(96, seed, f"v{seed} \"ä'") for seed in range(2)]
    options = "--net", "fcnn", "--epochs", 2, "--tile", 32, "--scale", 1, "--class-weights", "1,4"
    first, second = tmp_path / "a", tmp_path / "b"
    geofcn_command(
        "train", *pairs[0], "--and", *pairs[1], *options, "--house-value", 1, "--device", "cpu",
        "-o", first,
    )  # fmt: skip
    geofcn_command("train", "--config", first / "run.toml", "-o", second)
    for name in ("best-f1.safetensors", "last.safetensors", "history.csv"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name
    said = [tomllib.loads((run / "run.toml").read_text("utf-8")) for run in (first, second)]
    assert [options.pop("output") for options in said] == [str(first), str(second)]
    assert said[0] == said[1]
    assert said[0]["labels"] == f"{pairs[0][1]}|house=1"
    assert said[0]["and"] == [[str(path) for path in pairs[1]]]
    again = geofcn_command("train", "--config", first / "run.toml", code=1)
    assert f"{first}: it holds a run already" in again.stderr


def test_the_model_carries_its_options(trained):
    model = geofcn.load_model(trained / "run" / "best-f1.safetensors")
    assert model.metadata.scale == 2
    assert model.metadata.recipe["tile"] == 128
    assert model.metadata.recipe["stride"] == 64
    assert model.metadata.resolution == pytest.approx(0.2, rel=1e-2)
    assert model.metadata.colours == ("red", "green", "blue")
    with safe_open(trained / "run" / "best-f1.safetensors", framework="np") as file:
        assert set(file.metadata()) == {"geofcn", "crc32"}


def test_vector_labels_in_another_crs_train_the_same(geofcn_command, trained, tmp_path):
    import geopandas

    houses = geopandas.read_file(trained / "labels.gpkg").to_crs("EPSG:4326")
    houses.to_file(tmp_path / "houses.geojson")
    options = "--epochs", 1, "--tile", 128, "--scale", 4, "--validate-fraction", 0
    for name, labels in (("a", trained / "labels.tif"), ("b", tmp_path / "houses.geojson")):
        geofcn_command("train", trained / "scene.tif", labels, "-o", tmp_path / name, *options)
    rows = [(tmp_path / name / "history.csv").read_text().splitlines()[1] for name in "ab"]
    first, second = ([float(value) for value in row.split(",")[:-1]] for row in rows)
    assert first == pytest.approx(second, rel=0.02)


def test_a_run_is_not_overwritten_unless_told(geofcn_command, trained):
    scene, labels = trained / "scene.tif", trained / "labels.tif"
    result = geofcn_command("train", scene, labels, "-o", trained / "run", code=1)
    assert "--overwrite" in result.stderr
    assert {path.name for path in (trained / "run").iterdir()} == FILES


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--class-weights", "1;6"], "1,6"),
        (["--scale", "3"], "auto"),
        (["--tile", "130", "--scale", "8"], "multiple"),
        (["--stride", "300"], "stride"),
        (["--device", "cuda"], "cuda"),
    ],
)
def test_a_wrong_option_is_a_usage_error_that_says_what_is_legal(
    geofcn_command, trained, tmp_path, options, word
):
    result = geofcn_command(
        "train",
        trained / "scene.tif",
        trained / "labels.tif",
        "-o",
        tmp_path / "r",
        *options,
        code=2,
    )
    assert word in result.stderr
    assert not (tmp_path / "r").exists()


def test_missing_labels_are_one_sentence(geofcn_command, trained, tmp_path):
    result = geofcn_command(
        "train", trained / "scene.tif", tmp_path / "none.gpkg", "-o", tmp_path / "r", code=1
    )
    assert result.stderr.count("\n") == 1
    assert "none.gpkg" in result.stderr


def test_two_scenes_and_a_validation_scene(geofcn_command, trained, tmp_path):
    geofcn_command("sample", tmp_path / "other", "--size", 256, "--seed", 5)
    other = tmp_path / "other" / "scene.tif", tmp_path / "other" / "labels.tif"
    geofcn_command(
        "train", trained / "scene.tif", trained / "labels.tif", "--and", *other,
        "--validate", *other, "-o", tmp_path / "r", "--epochs", 1, "--tile", 128, "--scale", 4,
    )  # fmt: skip
    model = geofcn.load_model(tmp_path / "r" / "last.safetensors")
    assert len(model.metadata.scenes) == 2


@pytest.mark.parametrize("name", ["exercise", "seed"])
def test_the_recipe_of_the_exercise_is_reachable_by_its_old_name_too(
    geofcn_command, tmp_path, name
):
    geofcn_command("sample", tmp_path, "--size", 256)
    geofcn_command(
        "train", tmp_path / "scene.tif", tmp_path / "labels.tif", "-o", tmp_path / "r",
        "--recipe", name, "--epochs", 1,
    )  # fmt: skip
    model = geofcn.load_model(tmp_path / "r" / "best-f1.safetensors")
    assert model.normalisation.mean.shape == (3, 128, 128)
    assert (model.metadata.net, model.metadata.scale, model.metadata.threshold) == ("fcnn2", 1, 0.5)
    assert model.metadata.recipe["class_weights"] == [1.0, 6.0]
    assert model.metadata.recipe["name"] == "exercise"
    assert "seed" not in geofcn_command("train", "--help").stdout.partition("--net")[0]


def test_resume_goes_alone_and_needs_an_unfinished_run(geofcn_command, trained, tmp_path):
    result = geofcn_command("train", "--resume", trained / "run", "--lr", 1, code=2)
    assert "--resume goes on as the training was started" in result.stderr
    result = geofcn_command("train", "--resume", trained / "run", code=1)
    assert "holds no unfinished training" in result.stderr
    result = geofcn_command("train", "--resume", trained / "run", "--epochs", 1, code=1)
    assert "epochs; give --epochs above that" in result.stderr
    result = geofcn_command("train", "--resume", tmp_path / "nothing", "-q", code=1)
    assert "there is no such folder" in result.stderr
    result = geofcn_command("train", trained / "scene.tif", code=2)
    assert "Give SCENE and LABELS" in result.stderr


def test_an_area_and_patience_are_taken(geofcn_command, trained, tmp_path):
    result = geofcn_command(
        "train", trained / "scene.tif", trained / "labels.gpkg", "-o", tmp_path / "run",
        "--area", trained / "labels.gpkg", "--net", "fcnn", "--tile", 64, "--epochs", 1,
        "--patience", 1, "--validate-fraction", 0, code=1,
    )  # fmt: skip
    # Within the houses there is nothing but houses.
    assert "call every pixel a house" in result.stderr


def test_a_model_is_taught(geofcn_command, trained, tmp_path):
    parent = trained / "run" / "best-f1.safetensors"
    scene = trained / "scene.tif", trained / "labels.gpkg"
    result = geofcn_command(
        "train", *scene, "--from", parent, "-o", tmp_path / "run", "--tile", 128, "--epochs", 1
    )
    assert result.stdout.startswith("training F1 ")
    taught, old = (
        geofcn.load_model(path).metadata for path in (tmp_path / "run/best-f1.safetensors", parent)
    )
    assert (taught.scale, taught.threshold) == (old.scale, old.threshold)
    assert taught.parent.scenes == old.scenes
    assert (tmp_path / "run" / "history.csv").read_text().endswith(",training\n")
    table = geofcn_command("info", scene[0], "--model", tmp_path / "run/best-f1.safetensors").stdout
    assert "scene.tif, scene.tif" in table
    command = "train", *scene, "--from", parent, "-o", tmp_path / "other", "--net", "fcnn"
    assert "has lite" in geofcn_command(*command, code=2).stderr
    assert not (tmp_path / "other").exists()


def test_what_counts_of_the_labels_is_said_and_kept_for_a_resumed_training(
    geofcn_command, trained, tmp_path, monkeypatch
):
    import geopandas

    houses = geopandas.read_file(trained / "labels.gpkg")
    houses.to_file(tmp_path / "town.gpkg", layer="houses")
    houses.to_file(tmp_path / "town.gpkg", layer="parcels", mode="a")
    monkeypatch.chdir(tmp_path)
    scene, options = trained / "scene.tif", ("--epochs", 1, "--tile", 128, "--scale", 8)
    refused = geofcn_command("train", scene, "town.gpkg", *options, code=1)
    assert "has the layers houses, parcels" in refused.stderr
    saved = []
    save = Run.save

    def stop(run, trainer, state):
        saved.append(run.request)
        save(run, trainer, state)
        raise TrainingError("stopped")

    with monkeypatch.context() as patch:
        patch.setattr(Run, "save", stop)
        geofcn_command(
            "train",
            scene,
            "town.gpkg",
            "--layer",
            "houses",
            "--where",
            "fid < 30",
            *options,
            code=1,
        )
    assert saved[0]["labels"] == f"{tmp_path}/town.gpkg|layername=houses|subset=fid < 30"
    monkeypatch.chdir(tmp_path.parent)
    geofcn_command("train", "--resume", tmp_path / "geofcn-run")
    assert (tmp_path / "geofcn-run" / "best-f1.safetensors").exists()


@pytest.mark.parametrize("quiet", [(), ("-q",)])
def test_a_line_says_beforehand_what_is_done_but_where_it_is_to_be_quiet(
    geofcn_command, village, tmp_path, monkeypatch, quiet
):
    def end(*_):
        raise TrainingError("begun")

    monkeypatch.setattr(Trainer, "step", end)
    options = "--net", "fcnn", "--epochs", 1, "--tile", 32, "--scale", 1, "--device", "cpu"
    run = tmp_path / "run"
    result = geofcn_command("train", *village(96), "-o", run, *options, *quiet, code=1)
    *_, told, error = ["", *result.stderr.splitlines()]
    assert error == "Error: begun"
    assert told.startswith("training fcnn at scale 1, net pixels of 0.2 m, on ") != bool(quiet)
