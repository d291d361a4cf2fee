"""The `geofcn` command and its list of verbs."""

import geofcn
from geofcn_cli.main import VERBS


def test_help_lists_the_verbs_in_the_order_of_their_use(geofcn_command):
    text = geofcn_command("--help").stdout
    places = [text.index(f"\n  {verb} ") for verb in VERBS]
    assert places == sorted(places)
    assert "\n  geofcn train scene.tif labels.tif " in text, "examples keep their lines"


def test_the_version_is_that_of_the_package(geofcn_command):
    assert geofcn_command("--version").stdout.strip() == f"geofcn, version {geofcn.__version__}"


def test_an_unknown_verb_is_a_usage_error(geofcn_command):
    assert "No such command 'fly'" in geofcn_command("fly", code=2).output
