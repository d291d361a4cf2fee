"""geofcn.defaults: the package and its command line have the same words and defaults."""

import inspect

import click
import pytest

import geofcn
from geofcn import defaults
from geofcn.polygons.outline import DEFAULT_OUTLINE, METHODS
from geofcn_cli.main import VERBS, main

# Words that one side alone has: messages and the terminal belong to the command line, what a caller
# passes on to Python.
COMMAND_ONLY = {
    "verbose", "quiet", "debug", "as_json", "unfinished", "config", "save_config",
}  # fmt: skip
PYTHON_ONLY = {"progress", "fields", "compute_window"}


def command(verb: str) -> dict[str, click.Parameter]:
    found = main.get_command(click.Context(main), verb)
    return {parameter.name: parameter for parameter in found.params}


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_takes_the_words_of_its_command(verb):
    signature = inspect.signature(getattr(geofcn, verb))
    assert set(command(verb)) - COMMAND_ONLY == set(signature.parameters) - PYTHON_ONLY


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_has_the_defaults_of_its_command(verb):
    parameters = inspect.signature(getattr(geofcn, verb)).parameters
    parsed = main.get_command(click.Context(main), verb)
    arguments = [p.name for p in parsed.params if isinstance(p, click.Argument)]
    typed = parsed.make_context(verb, list(arguments)).params
    for name in set(typed) - COMMAND_ONLY - set(arguments):
        default = parameters[name].default
        if default is None:
            # What makes an Outline is left to it; what may be given several times is a tuple.
            default = getattr(DEFAULT_OUTLINE, name, () if typed[name] == () else None)
        assert typed[name] == default, name


def test_choices_are_those_of_the_package():
    infer = command("infer")
    assert tuple(infer["device"].type.choices) == defaults.DEVICES
    assert tuple(infer["probability_dtype"].type.choices) == defaults.PROBABILITY_DTYPES
    assert tuple(infer["outline"].type.choices) == METHODS
    assert defaults.MODEL.startswith(f"{defaults.RUN}/") and defaults.MODEL.endswith(
        defaults.BEST_F1
    )
