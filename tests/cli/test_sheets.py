"""Scenes of many sheets through the commands: the answers are those of the one raster."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import rasterio
from rasterio.windows import Window
from safetensors.numpy import load_file

from geofcn.io.opening import open_scene
from geofcn.models.model_file import save_model

SIDE = 200
# A part of the real scene with houses and blank pixels, and the sheets of it that are missing.
PART = Window(2900, 700, 620, 500)
MISSING = ((1, 1), (0, 3))


@pytest.fixture(scope="module")
def town(real_data, tmp_path_factory) -> Path:
    """A folder with merged.tif, a part of a real scene, and with sheets/ that were cut from it."""
    folder = tmp_path_factory.mktemp("town")
    (folder / "sheets").mkdir()
    with rasterio.open(real_data / "kampala_alpha_gap" / "scene.tif") as file:
        image, profile = file.read(window=PART), file.profile
        profile |= {"transform": file.window_transform(PART)}
    for row, col in MISSING:
        image[:, row * SIDE : (row + 1) * SIDE, col * SIDE : (col + 1) * SIDE] = 0
    write(folder / "merged.tif", image, profile)
    for row in range(0, PART.height, SIDE):
        for col in range(0, PART.width, SIDE):
            if (row // SIDE, col // SIDE) not in MISSING:
                piece = image[:, row : row + SIDE, col : col + SIDE]
                place = profile["transform"] * rasterio.Affine.translation(col, row)
                name = f"sheet{(7 * row + 3 * col) % 11}_{row}_{col}.tif"  # in any order
                write(folder / "sheets" / name, piece, profile | {"transform": place})
    return folder


def write(path, image, profile):
    _, height, width = image.shape
    settled = profile | {"height": height, "width": width, "blockxsize": 64, "blockysize": 64}
    with rasterio.open(path, "w", **settled) as file:
        file.write(image)


@pytest.fixture
def model(tmp_path, make_model) -> Path:
    path = tmp_path / "model.safetensors"
    save_model(make_model("fcnn", scale=4, seed=2), path)
    return path


@pytest.fixture
def infer(geofcn_command, model, tmp_path):
    """infer(scene, name, ...) -> pixels of the mask and of the probability, and the houses."""

    def run(scene, name, *options):
        paths = [tmp_path / f"{name}{ending}" for ending in ("-m.tif", "-p.tif", ".gpkg")]
        geofcn_command(
            "infer", scene, paths[0], "--model", model, "--probability", paths[1],
            "--polygons", paths[2], "--min-area", 0, *options,
        )  # fmt: skip
        rasters = []
        for path in paths[:2]:
            with rasterio.open(path) as file:
                rasters.append((file.profile, file.read()))
        return rasters, pyogrio.raw.read(paths[2], layer="houses")

    return run


def assert_same(found, expected):
    for (profile, pixels), (of_merged, wanted) in zip(found[0], expected[0], strict=True):
        assert repr(profile) == repr(of_merged)
        assert (pixels == wanted).all()
    (_, _, wkb, columns), (_, _, merged_wkb, merged_columns) = found[1], expected[1]
    assert wkb.tolist() == merged_wkb.tolist()
    for values, wanted in zip(columns, merged_columns, strict=True):
        assert values.tolist() == wanted.tolist()


def test_masks_and_houses_of_sheets_are_those_of_the_merged_raster(infer, town):
    expected = infer(town / "merged.tif", "merged", "--tile", 64)
    pixels = expected[0][0][1]
    assert {0, 1, 255} <= set(np.unique(pixels)) and len(expected[1][2]) > 9
    assert_same(infer(f"{town}/sheets/*_*.tif", "pattern", "--tile", 300), expected)
    listed = town / "list.txt"
    listed.write_text("\n".join(f"sheets/{path.name}" for path in (town / "sheets").iterdir()))
    for name in ("sheets", "list.txt"):
        scene = open_scene(town / name)
        assert (scene.read(scene.window)[1] == (expected[0][0][1][0] != 255)).all()


def test_a_training_on_sheets_is_one_on_the_merged_raster(geofcn_command, town, tmp_path):
    with rasterio.open(town / "merged.tif") as file:
        profile, alpha = file.profile | {"count": 1, "photometric": None}, file.read(4)
    labels = np.zeros(alpha.shape, np.uint8)
    labels[50:450:40, 30:600:30] = 1
    write(tmp_path / "labels.tif", labels[None], profile)
    (tmp_path / "labels").mkdir()
    for number, rows in enumerate((slice(0, 300), slice(300, None))):
        place = profile["transform"] * rasterio.Affine.translation(0, rows.start)
        write(tmp_path / f"labels/{number}.tif", labels[None, rows], profile | {"transform": place})
    runs = [("merged.tif", "labels.tif"), ("sheets", "labels/*.tif")]
    weights = []
    for number, (scene, of_scene) in enumerate(runs):
        run = tmp_path / f"run{number}"
        geofcn_command(
            "train", town / scene, tmp_path / of_scene, "-o", run, "--net", "fcnn", "--scale", 8,
            "--tile", 128, "--epochs", 1, "--validate-fraction", 0.2,
        )  # fmt: skip
        tensors = load_file(run / "last.safetensors")
        weights.append({name: tensor.tolist() for name, tensor in tensors.items()})
    assert weights[0] == weights[1]


def test_info_tells_how_sheets_lie(geofcn_command, town):
    facts = json.loads(geofcn_command("info", town / "sheets", "--json").stdout)
    missing = (SIDE * SIDE + SIDE * 20) / (PART.width * PART.height)
    assert (facts["width"], facts["height"]) == (PART.width, PART.height)
    assert (facts["sheets_count"], facts["sheets_overlap_share"]) == (10, 0)
    assert facts["sheets_gap_share"] == pytest.approx(missing)
    assert any("no sheet covers 14.2 % of their frame" in line for line in facts["odd"])
    assert "sheets gap share            0.1419" in geofcn_command("info", town / "sheets").stdout
    assert "sheets_count" not in json.loads(
        geofcn_command("info", town / "merged.tif", "--json").stdout
    )


@pytest.mark.parametrize(
    ("scene", "options", "message"),
    [
        ("sheets", ["sheets/mask.tif"], "mask.tif: it would be one of the sheets of"),
        (
            "sheets",
            ["m.tif", "--probability", "sheets/p.tif"],
            "p.tif: it would be one of the sheets",
        ),
        ("list.txt", ["sheets/{0}", "--overwrite"], "{0}: this is the input itself"),
        (
            "sheets/*.tif",
            ["sheets/{0}", "--overwrite"],
            "{0}: .*one of the sheets|the input itself",
        ),
    ],
)
def test_outputs_are_no_sheets(
    geofcn_command, town, tmp_path, model, monkeypatch, scene, options, message
):
    shutil.copytree(town / "sheets", tmp_path / "sheets")
    first, *_ = sorted(path.name for path in (tmp_path / "sheets").iterdir())
    (tmp_path / "list.txt").write_text(f"sheets/{first}")
    monkeypatch.chdir(tmp_path)
    before = {path.name: path.read_bytes() for path in (tmp_path / "sheets").iterdir()}
    options = [option.format(first) for option in options]
    result = geofcn_command("infer", scene, *options, "--model", model, code=1)
    assert re.search(message.format(first), result.output)
    assert {path.name: path.read_bytes() for path in (tmp_path / "sheets").iterdir()} == before


def test_a_pattern_that_the_shell_took_apart_is_named(geofcn_command, town, model):
    sheets = sorted((town / "sheets").iterdir())
    result = geofcn_command("infer", *sheets, "mask.tif", "--model", model, code=2)
    assert "unexpected extra arguments" in result.output
    assert "A scene of several files is one argument" in " ".join(result.output.split())


def test_a_folder_without_rasters_says_what_a_scene_may_be(geofcn_command, tmp_path, model):
    result = geofcn_command("infer", tmp_path, tmp_path / "m.tif", "--model", model, code=1)
    assert "no raster is found by it; name a raster, a folder of rasters" in result.output
