"""--config and --save-config: a verb's options in a TOML file."""

import os
import tomllib
from pathlib import Path

import click
import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from geofcn_cli import config
from geofcn_cli.main import VERBS, main

COMMANDS = {verb: main.get_command(click.Context(main), verb) for verb in VERBS}
# What TOML and command lines can hold: no surrogates, no NUL.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
NUMBERS = st.floats(allow_nan=False)
ODD = {
    "co": TEXTS.map(lambda text: f"NAME={text}"),
    "bands": st.lists(st.integers(0, 9), min_size=1, max_size=3),
    "class-weights": st.just("auto") | st.lists(st.floats(0.1, 9), min_size=2, max_size=2),
    "scale": st.sampled_from(["auto", 1, 2, 4, 8]),
    "shift-labels": st.lists(st.floats(-9, 9), min_size=2, max_size=2),
    "threshold": st.sampled_from(["scene", "model"]) | st.floats(0, 1),
}


def one_use(key: str, parameter: click.Parameter) -> st.SearchStrategy:
    """What one use of a parameter may be, in TOML."""
    kind = parameter.type
    if parameter.nargs > 1:
        once = NUMBERS if isinstance(kind, click.types.FloatParamType) else TEXTS
        return st.lists(once, min_size=parameter.nargs, max_size=parameter.nargs)
    if key in ODD and not isinstance(kind, click.Choice):
        return ODD[key]
    if isinstance(kind, click.Choice):
        return st.sampled_from(list(kind.choices))
    if isinstance(kind, click.types.IntParamType):
        least, most = getattr(kind, "min", None), getattr(kind, "max", None)
        return st.integers(-9 if least is None else least, most)
    if isinstance(kind, click.FloatRange):
        return st.floats(
            kind.min, kind.max, exclude_min=kind.min_open, exclude_max=kind.max_open,
            allow_nan=False, allow_infinity=False,
        )  # fmt: skip
    if isinstance(kind, click.types.FloatParamType):
        return NUMBERS
    return TEXTS


def spoken(key: str, parameter: click.Parameter) -> st.SearchStrategy:
    if isinstance(parameter, click.Option) and parameter.is_flag:
        return st.booleans()
    once = one_use(key, parameter)
    repeats = isinstance(parameter, click.Option) and parameter.multiple
    return st.lists(once, max_size=3) if repeats else once


@st.composite
def files(draw) -> tuple[str, dict]:
    """A verb, and a file of any of its options with all of its arguments."""
    verb = draw(st.sampled_from(VERBS))
    known = config.parameters_of(COMMANDS[verb])
    needed = [key for key, parameter in known.items() if isinstance(parameter, click.Argument)]
    chosen = draw(st.lists(st.sampled_from(list(known)), unique=True))
    return verb, {key: draw(spoken(key, known[key])) for key in {*needed, *chosen}}


def parsed(verb: str, *arguments: object) -> click.Context:
    return COMMANDS[verb].make_context(verb, list(map(str, arguments)))


@settings(max_examples=150)
@given(files())
def test_what_is_written_says_what_was_read(tmp_path, file):
    verb, options = file
    path, again = tmp_path / "a.toml", tmp_path / "b.toml"
    path.write_text(tomli_w.dumps(options), encoding="utf-8", newline="")
    first = parsed(verb, "--config", path)
    again.write_text(config.as_toml(first), encoding="utf-8")
    assert tomllib.loads(again.read_text(encoding="utf-8")).keys() == options.keys()
    second = parsed(verb, "--config", again)
    assert second.params == first.params
    for key, parameter in config.parameters_of(COMMANDS[verb]).items():
        is_given = first.get_parameter_source(parameter.name) in config.GIVEN
        assert is_given == (key in options)


@pytest.mark.parametrize(
    ("verb", "text", "typed"),
    [
        ("sample", 'dir = "s"\nsize = 256\ndense = true', ["s", "--size", 256, "--dense"]),
        (
            "train",
            'scene = "a.tif"\nlabels = "a.gpkg"\nand = [["b.tif", "b.gpkg"], ["c.tif", "c.gpkg"]]\n'
            'class_weights = [1, 6]\nbands = [4, 1]\nscale = 4\nfrom = "m"\nlog_tensorboard = true',
            ["a.tif", "a.gpkg", "--and", "b.tif", "b.gpkg", "--and", "c.tif", "c.gpkg",
             "--class-weights", "1,6", "--bands", "4,1", "--scale", 4, "--from", "m",
             "--log-tensorboard"],
        ),
        (
            "infer",
            'scene = "a.tif"\nmask = "m.tif"\nthreshold = 0.25\nco = ["level=9"]\nmin-area = 0',
            ["a.tif", "m.tif", "--threshold", 0.25, "--co", "LEVEL=9", "--min-area", 0],
        ),
    ],
)  # fmt: skip
def test_a_file_says_what_can_be_typed(tmp_path, verb, text, typed):
    path = tmp_path / "a.toml"
    path.write_text(text)
    assert parsed(verb, "--config", path).params == parsed(verb, *typed).params


def test_what_is_typed_counts_more_than_the_file(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text('scene = "a.tif"\nlabels = "a.gpkg"\nepochs = 3\nseed = 4')
    params = parsed("train", "b.tif", "--epochs", 5, "--config", path).params
    assert (params["scene"], params["labels"]) == ("b.tif", "a.gpkg")
    assert (params["epochs"], params["seed"]) == (5, 4)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("epoch = 3", "train has no option epoch; did you mean epochs?"),
        ("zzz = 3", "train has no option zzz; it has scene, labels, and, output, from"),
        ('config = "b.toml"', "train has no option config"),
        ('epochs = "3"', "epochs is '3'; give a number."),
        ("epochs = true", "epochs is True; give a number."),
        ("epochs = 2.5", "epochs: '2.5' is not a valid integer range."),
        ("epochs = 0", "epochs: 0 is not in the range x>=1."),
        ("net = 3", "net is 3; give a text."),
        ('scene = "a\\u0000.tif"', "scene is 'a\\x00.tif'; give a text without the character NUL."),
        ('and = [["b", "c\\u0000"]]', "give a text without the character NUL."),
        ('bands = "\\u0000"', "give a text without the character NUL."),
        ('net = "resnet"', "net: 'resnet' is not one of 'lite', 'unet'"),
        ("overwrite = 1", "overwrite is 1; give true or false."),
        ('house-value = "2"', "house-value is '2'; give a list."),
        ('and = ["b.tif", "b.gpkg"]', "give lists of 2."),
        ('validate = ["b.tif"]', "validate is ['b.tif']; give a list of 2."),
        ("[train]\nepochs = 3", "train has no option train"),
        ("batch = {n = 3}", "batch is {'n': 3}; give a number."),
        ("class-weights = 1979-05-27", "give a number or a text."),
        ("weight-decay = 1\nweight_decay = 1", "weight-decay is in it twice"),
        ("epochs 3", "this is no TOML file"),
        ("epochs = '\\xff'", "this is no TOML file"),
    ],
)  # fmt: skip
def test_a_file_that_does_not_fit_is_named_with_its_key(geofcn_command, tmp_path, text, reason):
    path = tmp_path / "a.toml"
    path.write_bytes(text.encode().replace(b"\\xff", b"\xff"))
    said = " ".join(geofcn_command("train", "--config", path, code=2).stderr.split())
    assert f"Error: {path}: " in said and reason in said


def test_a_missing_file_is_named(geofcn_command, tmp_path):
    said = geofcn_command("info", "--config", tmp_path / "no.toml", code=2).stderr
    assert "no.toml: it cannot be read (No such file or directory)" in said


def test_options_from_a_file_are_given_ones(geofcn_command, tmp_path):
    path = tmp_path / "a.toml"
    path.write_text('resume = "run"\nseed = 3')
    assert "--resume goes on" in geofcn_command("train", "--config", path, code=2).stderr
    path.write_text("simplify = 3.0")
    given = "infer", "a.tif", "m.tif", "--config", path
    assert "give --polygons FILE" in geofcn_command(*given, code=2).stderr


def test_what_was_given_is_saved_once_it_is_done(geofcn_command, tmp_path):
    folder, saved = tmp_path / "s", tmp_path / "run.toml"
    sizes = "--size", 128, "--seed", 2
    geofcn_command("sample", folder, *sizes, "--save-config", saved)
    assert tomllib.loads(saved.read_text()) == {"dir": str(folder), "size": 128, "seed": 2}
    # Neither after an error, nor over a file that is there.
    geofcn_command("sample", folder, *sizes, "--save-config", tmp_path / "no.toml", code=1)
    assert not Path(tmp_path / "no.toml").exists()
    said = geofcn_command("sample", tmp_path / "t", "--save-config", saved, code=1).stderr
    assert "run.toml: it exists already; give --overwrite" in said
    assert not (tmp_path / "t").exists()
    again = geofcn_command("sample", "--config", saved, "--overwrite")
    assert str(folder) in again.stdout


def test_what_a_file_of_options_cannot_hold_is_said_before_the_work(geofcn_command, tmp_path):
    """Bytes of a name that are no text."""
    folder = tmp_path / os.fsdecode(b"s\xff")
    given = "sample", folder, "--size", 128, "--save-config", tmp_path / "run.toml"
    assert "a name with '\\udcff', which is no text" in geofcn_command(*given, code=1).stderr
    assert not folder.exists()
