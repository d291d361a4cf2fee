"""The plugin in a real QGIS; skipped where there is none."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SESSION = Path(__file__).parents[1] / "support" / "qgis_session.py"
# Debian's qgis_process gives the program an option that it does not know; the program is this one.
PROCESS = shutil.which("qgis_process.bin") or shutil.which("qgis_process")

pytestmark = pytest.mark.skipif(PROCESS is None, reason="QGIS is not installed")


@pytest.fixture(scope="module")
def workplace(tmp_path_factory, geofcn_command):
    """A profile with the plugin, and a program that runs the geofcn that is tested."""
    folder = tmp_path_factory.mktemp("qgis")
    profile = folder / "profiles" / "default"
    profile.mkdir(parents=True)
    geofcn_command("qgis-plugin", profile)
    program = folder / "geofcn"
    path = os.pathsep.join(sys.path)
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{path}" exec {sys.executable} -m geofcn_cli "$@"\n')
    program.chmod(0o755)
    settings = profile / "QGIS" / "QGIS3.ini"
    settings.parent.mkdir()
    settings.write_text(f"[Processing]\nConfiguration\\GEOFCN_PROGRAM={program}\n")
    return folder


def run(folder: Path, *command) -> subprocess.CompletedProcess:
    own = {"QT_QPA_PLATFORM": "offscreen", "QGIS_CUSTOM_CONFIG_PATH": str(folder)}
    inherited = {key: text for key, text in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        [str(part) for part in command], env={**inherited, **own}, cwd=folder,
        capture_output=True, text=True, timeout=1200,
    )  # fmt: skip


@pytest.fixture(scope="module")
def session(workplace, trained):
    """What tests/support/qgis_session.py has found out."""
    python = next(
        (name for name in ("/usr/bin/python3", "python3") if _has_qgis(workplace, name)), None
    )
    if python is None:
        pytest.skip("no Python has QGIS")
    folder = workplace / "data"
    shutil.copytree(trained, folder)
    plugins = workplace / "profiles" / "default" / "python" / "plugins"
    done = run(workplace, python, SESSION, plugins, workplace / "geofcn", folder)
    assert done.returncode in (0, -11), done.stderr[-3000:]  # QGIS may crash when it is closed
    return json.loads(done.stdout.splitlines()[-1])


def _has_qgis(folder: Path, python: str) -> bool:
    return run(folder, python, "-c", "import qgis.core").returncode == 0


def test_qgis_process_lists_the_verbs_and_runs_one(workplace, tmp_path):
    assert run(workplace, PROCESS, "plugins", "enable", "geofcn_qgis").returncode == 0
    listed = run(workplace, PROCESS, "list").stdout
    for verb in ("sample", "info", "train", "infer", "polygonize", "review", "evaluate"):
        assert f"geofcn:{verb}\t" in listed
    done = run(
        workplace, PROCESS, "run", "geofcn:sample", f"--FOLDER={tmp_path / 's'}", "--SIZE=128"
    )
    assert f"SCENE:\t{tmp_path / 's' / 'scene.tif'}" in done.stdout, done.stdout + done.stderr
    assert (tmp_path / "s" / "labels.gpkg").exists()


def test_results_are_loaded_with_their_styles(session):
    assert session["loaded"] == {
        "Mask": "paletted", "Probability": "singlebandpseudocolor", "Polygons": "graduatedSymbol",
    }  # fmt: skip
    assert "inference: 262144 of 262144 px" in session["progress"]


def test_layers_are_handed_over_with_what_counts_of_them(session):
    command, filtered = session["commands"]["labels"]
    assert "labels.gpkg|layername=houses|subset=id > 2'" in command
    command, drawn = session["commands"]["drawn"]
    assert "|" not in command.split()[-1], "a layer in memory is copied"
    assert drawn == filtered


def test_a_training_that_was_cancelled_goes_on(session):
    assert "Stopped; run the same command again to go on." in session["cancelled"]
    assert "unfinished.safetensors" in session["unfinished"]
    assert session["model"].endswith("from-qgis/best-f1.safetensors")


def test_an_error_is_the_sentence(session):
    assert "scene.tif: " in session["error"] and session["error"].endswith(".")
    assert "Error" not in session["error"]
