"""geofcn.report.call: a call as a shell and as Python take it again."""

import ast
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import geofcn
from geofcn.polygons.outline import Outline
from geofcn.progress import silent
from geofcn.report.call import Call, quoted
from geofcn_cli.main import main

INFER = {"scene": "s.tif", "mask": Path("m.tif"), "progress": silent}


def typed(call: Call) -> dict:
    """What the command line makes of the command, without what is as it would be by default."""
    command = main.get_command(None, call.verb)
    context = command.make_context(call.verb, shlex.split(call.command)[2:])
    return {
        name: value
        for name, value in context.params.items()
        if context.get_parameter_source(name).name == "COMMANDLINE"
    }


def test_what_is_as_by_default_is_left_out():
    call = Call.of(geofcn.infer, {**INFER, "tile": 1024, "fill_holes": 0.0, "threshold": None})
    assert call.command == "geofcn infer s.tif m.tif"
    assert call.python == "geofcn.infer('s.tif', 'm.tif')"
    assert call.in_shell


def test_every_kind_of_option_is_one_that_the_command_takes():
    given = {
        "tile": 64, "co": {"COMPRESS": "ZSTD", "LEVEL": "9"}, "min_area": 0.0, "nodata": 0,
        "bands": [3, 1], "overwrite": True, "threshold": 0.25, "polygons": Path("a b.gpkg"),
    }  # fmt: skip
    assert typed(Call.of(geofcn.infer, {**INFER, **given})) == {
        **given, "scene": "s.tif", "mask": "m.tif", "bands": (3, 1), "polygons": "a b.gpkg",
        "co": ("COMPRESS=ZSTD", "LEVEL=9"),
    }  # fmt: skip
    given = {
        "output": "run", "and_": [["a.tif", "a.gpkg"], ("b.tif", "b.gpkg")], "from_": "m",
        "validate": ("v.tif", "v.gpkg"), "class_weights": (1.0, 2.5), "lr": 1e-3, "patience": 0,
        "house_value": [2, 3.5],
    }  # fmt: skip
    assert typed(Call.of(geofcn.train, {"scene": "-s.tif", "labels": "l", **given})) == {
        **given, "scene": "-s.tif", "labels": "l", "house_value": (2, 3.5),
        "and_": (("a.tif", "a.gpkg"), ("b.tif", "b.gpkg")),
    }  # fmt: skip


@pytest.mark.parametrize("given", [{"compute_window": 64}, {"outline": Outline("square")}])
def test_what_no_command_can_say_is_said_in_python(given):
    call = Call.of(geofcn.infer, {**INFER, **given})
    assert not call.in_shell
    (name, value), (parsed,) = *given.items(), ast.parse(call.python).body
    assert parsed.value.keywords[0].arg == name and repr(value) in call.python
    assert not Call.of(geofcn.train, {"scene": "s", "labels": "l", "averaging": 0.5}).in_shell


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_a_shell_reads_any_name_as_it_is():
    names = ["a b", "it's", "$(rm)", "a\nb", "\x1b[2J", "ü\u202e\n'\\", "\udcff\n", '"<x>&"', "-"]
    script = " ".join(map(quoted, ["printf", "%s\\0", *names]))
    assert script.isprintable()
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True)
    assert done.stdout.decode("utf-8", "surrogateescape").split("\0")[:-1] == names


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_a_quoted_word_prints_on_one_line(word):
    assert quoted(word).isprintable()
    if word.isprintable():
        assert shlex.split(quoted(word)) == [word]
