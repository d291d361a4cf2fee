"""geofcn.training.division: what is held out is never learnt from, and little of it is told."""

import pytest

import geofcn
from geofcn.training import division
from geofcn.training import train as train_module
from geofcn.training.train import train

QUICK = {"tile": 32, "epochs": 2, "device": "cpu"}


def test_validation_blocks_are_never_trained_on(village, tmp_path, monkeypatch):
    scene, labels = village(160)
    selections, validated = [], []
    choose, make_validator = division.select, train_module.make_validator

    def remember_selection(*args, **options):
        selections.append(choose(*args, **options))
        return selections[-1]

    def remember_validated(tiles, held_out, *rest):
        validated.extend(held_out)
        return make_validator(tiles, held_out, *rest)

    monkeypatch.setattr(division, "select", remember_selection)
    monkeypatch.setattr(train_module, "make_validator", remember_validated)
    train(scene, labels, tmp_path / "run", **{**QUICK, "epochs": 1})
    windows = selections[-1].windows
    assert validated and windows
    for _, block in validated:
        for _, window in windows:
            assert window.intersect(block.grow(32)).pixels == 0


@pytest.mark.parametrize("validate", [None, ()])
def test_a_scene_too_small_to_keep_a_part_is_scored_on_itself(village, tmp_path, caplog, validate):
    scene, labels = village(64)
    given = {"tile": 64, "scale": 1, "epochs": 1, "validate": validate}
    result = geofcn.train(scene, labels, tmp_path / "run", **given)
    assert [row.scored_on for row in result.epochs] == ["training"]
    assert str(result).startswith("training F1")
    assert "too small" in caplog.text
    assert "so are the threshold and the calibration, too sure of themselves" in caplog.text


def test_the_exercise_is_scored_on_what_it_learns_from_without_a_word(village, tmp_path, caplog):
    train(*village(64), tmp_path / "run", recipe="exercise", **{**QUICK, "epochs": 1})
    assert "held out" not in caplog.text


def test_hardly_a_house_held_out_is_told(village, tmp_path, caplog):
    train(*village(160), tmp_path / "run", **{**QUICK, "epochs": 1})
    assert "so few houses are held out (about 0)" in caplog.text
