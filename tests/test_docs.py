"""Every command and option is explained; README and manual know the commands; links hold."""

import re
from pathlib import Path

import click
import pytest

from geofcn_cli.main import VERBS, main

ROOT = Path(__file__).resolve().parents[1]
README, MANUAL = ROOT / "README.md", ROOT / "examples" / "manual.md"
PAGES = [README, *sorted(ROOT.glob("examples/*.md")), ROOT / "CONTRIBUTING.md"]
COMMANDS = {name: main.get_command(click.Context(main), name) for name in VERBS}


@pytest.mark.parametrize("name", VERBS)
def test_every_command_is_in_the_readme(name):
    assert f"geofcn {name}" in README.read_text(encoding="utf-8")
    assert f"geofcn {name}" in MANUAL.read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """What the headings of a page are called in links."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if not link.startswith("http"):
            path, _, anchor = link.partition("#")
            target = (page.parent / path) if path else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


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
