import json

import click
import pytest

from geofcn.qgis_plugin import description
from geofcn.qgis_plugin.description import (
    BASIC,
    CHOICE,
    FLAG,
    FOLDER_OUT,
    HIDDEN,
    INTEGER,
    KINDS,
    LAYER,
    MODEL,
    NUMBER,
    PAGE_OUT,
    RASTER,
    RASTER_OUT,
    TABLE,
    TEXT,
    VECTOR,
    VECTOR_OUT,
    Installation,
)
from geofcn_cli.main import VERBS, main
from geofcn_cli.qgis_plugin import _installation


@pytest.fixture(scope="module")
def verbs(tmp_path_factory):
    path = tmp_path_factory.mktemp("plugin") / "verbs.json"
    path.write_text(json.dumps(_installation()))
    return {verb.name: verb for verb in Installation.read(path).verbs}


def by_key(verb):
    return {parameter.key: parameter for parameter in verb.parameters}


def test_every_verb_is_an_algorithm(verbs):
    assert set(verbs) == set(description.TITLES) <= set(VERBS)
    assert all(verb.help for verb in verbs.values())


@pytest.mark.parametrize("name", description.TITLES)
def test_every_option_is_a_parameter_or_left_out_on_purpose(verbs, name):
    command = main.get_command(click.Context(main), name)
    options = {max(p.opts, key=len) for p in command.params if isinstance(p, click.Option)}
    shown = {parameter.option for parameter in verbs[name].parameters} - {""}
    assert shown == options - {f"--{word}" for word in HIDDEN}
    assert len(by_key(verbs[name])) == len(verbs[name].parameters), "no key twice"


@pytest.mark.parametrize("name", description.TITLES)
def test_every_path_has_a_widget_of_its_own(verbs, name):
    command = main.get_command(click.Context(main), name)
    paths = {max(p.opts, key=len) for p in command.params if isinstance(p.type, click.Path)}
    for parameter in verbs[name].parameters:
        if parameter.option in paths or not parameter.option:
            assert parameter.kind not in (TEXT, CHOICE, INTEGER, NUMBER), parameter.key


def test_no_name_in_the_tables_is_a_stranger(verbs):
    words = {p.option.lstrip("-") or p.key.lower() for v in verbs.values() for p in v.parameters}
    assert set(BASIC) <= words


def test_kinds_follow_from_names_and_types(verbs):
    infer, train, review = by_key(verbs["infer"]), by_key(verbs["train"]), by_key(verbs["review"])
    expected = {"SCENE": RASTER, "MASK": RASTER_OUT, "MODEL": MODEL, "PROBABILITY": RASTER_OUT}
    expected |= {"POLYGONS": VECTOR_OUT, "OUTLINE": CHOICE, "TILE": INTEGER, "MIN_AREA": NUMBER}
    expected |= {"OVERWRITE": FLAG, "CO": TEXT, "BANDS": TEXT}
    assert {key: infer[key].kind for key in expected} == expected
    expected = {"LABELS": LAYER, "AND": TABLE, "VALIDATE_SCENE": RASTER, "VALIDATE_LABELS": LAYER}
    expected |= {"AREA": VECTOR, "OUTPUT": FOLDER_OUT, "FROM": MODEL}
    assert {key: train[key].kind for key in expected} == expected
    expected = {"PROBABILITY": RASTER, "REPORT_SCENE": RASTER, "REPORT_PAGE": PAGE_OUT}
    assert {key: review[key].kind for key in expected} == expected
    assert by_key(verbs["polygonize"])["PROBABILITY"].kind == RASTER
    assert set(KINDS) >= {"scene", "labels"}


def test_what_the_command_line_finds_where_it_is_called_must_be_named(verbs):
    assert by_key(verbs["infer"])["MODEL"].required
    assert by_key(verbs["infer"])["MODEL"].default is None
    assert not by_key(verbs["info"])["MODEL"].required
    assert all(by_key(verbs["train"])[key].required for key in ("SCENE", "LABELS", "OUTPUT"))


def test_choices_bounds_defaults_and_help_are_the_command_lines(verbs):
    infer = by_key(verbs["infer"])
    assert infer["OUTLINE"].choices == ("raw", "simplify", "square")
    assert infer["OUTLINE"].default == "simplify" and infer["TILE"].default == 1024
    assert (infer["TILE"].least, infer["MIN_AREA"].least) == (1, 0)
    assert infer["MIN_AREA"].label == "Min area (m²)" and infer["MIN_AREA"].default is None
    assert infer["TILE"].advanced and not infer["OUTLINE"].advanced
    assert "overviews" not in infer["TILE"].help and "Pixels a task" in infer["TILE"].help


def test_a_dialog_begins_with_what_is_needed_and_ends_with_what_is_written(verbs):
    keys = [parameter.key for parameter in verbs["infer"].as_shown]
    assert keys[:2] == ["SCENE", "MODEL"]
    assert keys[-4:] == ["MASK", "PROBABILITY", "POLYGONS", "REPORT"]


def test_arguments_stay_in_the_order_in_which_they_are_typed(verbs):
    places = [p.key for p in verbs["evaluate"].parameters if not p.option]
    assert places == ["PREDICTION", "LABELS"]


def test_a_plugin_that_was_not_installed_by_the_command_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        Installation.read(tmp_path / "verbs.json")
