import shutil
import sys

import pytest

from geofcn.qgis_plugin.command import arguments, find_geofcn
from geofcn.qgis_plugin.description import (
    FLAG,
    LAYER,
    NUMBER,
    RASTER,
    TABLE,
    TEXT,
    Parameter,
    Verb,
)
from geofcn.qgis_plugin.process import GeofcnError

TRAIN = Verb(
    "train",
    "Train",
    "",
    (
        Parameter("SCENE", "Scene", RASTER),
        Parameter("LABELS", "Labels", LAYER),
        Parameter("LR", "Lr", NUMBER, "--lr", default=0.5),
        Parameter("CO", "Co", TEXT, "--co", repeated=True),
        Parameter("VALIDATE_SCENE", "Validate: scene", RASTER, "--validate"),
        Parameter("VALIDATE_LABELS", "Validate: labels", LAYER, "--validate"),
        Parameter("AND", "And", TABLE, "--and", choices=("Scene", "Labels")),
        Parameter("OVERWRITE", "Overwrite", FLAG, "--overwrite"),
    ),
)


def test_options_come_first_and_paths_behind_two_dashes():
    values = {"LABELS": "l.gpkg|layername=roofs", "SCENE": "-s.tif", "LR": 0.25}
    assert arguments(TRAIN, values) == [
        "train", "--lr", "0.25", "--", "-s.tif", "l.gpkg|layername=roofs",
    ]  # fmt: skip


@pytest.mark.parametrize("value", [None, 0.5, ""])
def test_what_is_the_default_is_not_typed(value):
    assert arguments(TRAIN, {"SCENE": "s", "LR": value}) == ["train", "--", "s"]


def test_zero_is_a_value():
    assert arguments(TRAIN, {"LR": 0}) == ["train", "--lr", "0", "--"]


def test_flags():
    assert arguments(TRAIN, {"OVERWRITE": True}) == ["train", "--overwrite", "--"]
    assert arguments(TRAIN, {"OVERWRITE": False}) == ["train", "--"]


def test_an_option_of_two_values_is_typed_once():
    values = {"VALIDATE_LABELS": "l", "VALIDATE_SCENE": "s"}
    assert arguments(TRAIN, values) == ["train", "--validate", "s", "l", "--"]
    with pytest.raises(GeofcnError, match="Validate: scene and Validate: labels belong together"):
        arguments(TRAIN, {"VALIDATE_SCENE": "s"})


def test_options_that_repeat():
    values = {"CO": "LEVEL=9 'A=B C'", "AND": ["a", "b", "c", "d"]}
    assert arguments(TRAIN, values) == [
        "train", "--co", "LEVEL=9", "--co", "A=B C", "--and", "a", "b", "--and", "c", "d", "--",
    ]  # fmt: skip


# --- the program ---


def test_the_program_is_the_users_the_installers_or_that_on_the_path(monkeypatch, tmp_path):
    installer = (sys.executable, "-m", "geofcn_cli")
    gone = (str(tmp_path / "python"), "-m", "geofcn_cli")
    assert find_geofcn("/opt/geofcn", installer) == ["/opt/geofcn"]
    assert find_geofcn("", installer) == [*installer]
    monkeypatch.setattr(shutil, "which", {"geofcn": "/usr/bin/geofcn"}.get)
    assert find_geofcn("", gone) == ["/usr/bin/geofcn"]


def test_without_a_program_it_is_said_where_to_name_one(monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(GeofcnError, match=r"was not found; .* Settings > Options > Processing"):
        find_geofcn("", (str(tmp_path / "python"),))
