"""Every command and option is explained, and the README knows the commands."""

from pathlib import Path

import click
import pytest

from geofcn_cli.main import VERBS, main

README = Path(__file__).resolve().parents[1] / "README.md"
COMMANDS = {name: main.get_command(click.Context(main), name) for name in VERBS}


@pytest.mark.parametrize("name", VERBS)
def test_every_command_is_in_the_readme(name):
    assert f"geofcn {name}" in README.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", VERBS)
def test_every_command_and_option_has_help(name):
    command = COMMANDS[name]
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


@pytest.mark.parametrize("name", VERBS)
def test_help_names_every_default(name):
    command = COMMANDS[name]
    text = command.get_help(click.Context(command, info_name=name))
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.is_flag:
            has_default = parameter.default not in (None, ()) and parameter.show_default
            explained = "default:" in parameter.help or has_default
            optional = parameter.name in OPTIONAL
            assert explained or optional, f"{name} {parameter.opts[0]}: {text}"


# Options that do nothing unless they are given.
OPTIONAL = {
    "and_", "validate", "model", "probability", "polygons", "nodata", "scheduler",
    "matches", "area", "bounds", "bounds_crs", "co", "unfinished", "from_", "layer", "where",
    "map_", "report", "scene", "stac", "config", "save_config", "shift_labels",
}  # fmt: skip


def test_every_verb_takes_the_common_options():
    for name, command in COMMANDS.items():
        options = {opt for parameter in command.params for opt in parameter.opts}
        assert {"--verbose", "-v", "--quiet", "-q", "--debug", "--config"} <= options, name
