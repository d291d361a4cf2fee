import ast
import configparser
import json
import subprocess
import sys
from pathlib import Path

import pytest

import geofcn
from geofcn_cli import qgis_plugin
from geofcn_cli.main import VERBS

SOURCE = Path(geofcn.__file__).parent / "qgis_plugin"


@pytest.fixture
def profile(tmp_path):
    (tmp_path / "profile").mkdir()
    return tmp_path / "profile"


def installed(profile: Path) -> set[str]:
    folder = profile / "python" / "plugins" / "geofcn_qgis"
    return {path.name for path in folder.iterdir()}


def test_the_plugin_is_copied_with_what_the_verbs_take(geofcn_command, profile):
    geofcn_command("qgis-plugin", profile)
    sources = {path.name for path in SOURCE.iterdir()} - {"__pycache__"}
    assert installed(profile) == sources | {"verbs.json"}
    path = profile / "python" / "plugins" / "geofcn_qgis" / "verbs.json"
    told = json.loads(path.read_text())
    assert set(told["verbs"]) == set(VERBS)
    done = subprocess.run([*told["command"], "--version"], capture_output=True, text=True)
    assert geofcn.__version__ in done.stdout


def test_an_update_replaces_all_of_an_older_one(geofcn_command, profile):
    geofcn_command("qgis-plugin", profile)
    folder = profile / "python" / "plugins" / "geofcn_qgis"
    (folder / "old_module.py").touch()
    geofcn_command("qgis-plugin", profile)
    assert "old_module.py" not in installed(profile)
    assert [path.name for path in folder.parent.iterdir()] == ["geofcn_qgis"]


def test_a_profile_that_is_not_there_is_an_error(geofcn_command, tmp_path):
    result = geofcn_command("qgis-plugin", tmp_path / "none", code=1)
    assert "there is no such profile of QGIS; start QGIS once" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("system, part", [("linux", ".local/share"), ("darwin", "Library"),
                                          ("win32", "roaming")])  # fmt: skip
def test_the_default_profile_is_where_the_system_keeps_it(monkeypatch, tmp_path, system, part):
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setenv("APPDATA", str(tmp_path / "roaming"))
    folder = qgis_plugin._default_profile()
    assert folder.parts[-3:] == ("QGIS3", "profiles", "default") and part in str(folder)


def test_qgis_finds_in_the_metadata_what_it_asks_for(geofcn_command, profile):
    geofcn_command("qgis-plugin", profile)
    metadata = configparser.ConfigParser()
    metadata.read(profile / "python" / "plugins" / "geofcn_qgis" / "metadata.txt")
    general = metadata["general"]
    asked = {"name", "description", "about", "version", "qgisMinimumVersion", "author", "email"}
    assert asked <= {key for key in asked if general.get(key)}
    assert general["version"] == geofcn.__version__
    assert general["hasProcessingProvider"] == "yes"
    assert (SOURCE / general["icon"]).is_file()


@pytest.mark.parametrize("path", sorted(SOURCE.glob("*.py")), ids=lambda path: path.name)
def test_the_plugin_is_written_for_the_python_of_qgis(path):
    ast.parse(path.read_text(), feature_version=(3, 9))
