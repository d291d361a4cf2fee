"""The examples run, and the README's commands are the scripts that stand there."""

import re
import subprocess
import sys
from pathlib import Path

import geopandas
from matplotlib.image import imread

ROOT = Path(__file__).resolve().parents[1]


def test_the_python_example_runs_from_end_to_end(trained, tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            ROOT / "examples" / "python_api.py",
            trained / "scene.tif",
            trained / "labels.tif",
            tmp_path,
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"(\d+) polygons, F1 (0\.\d+)", done.stdout)
    assert len(geopandas.read_file(tmp_path / "houses.gpkg", layer="houses")) == int(found[1])
    assert float(found[2]) > 0.3


def test_the_picture_shows_all_three(trained, geofcn_command, tmp_path):
    model = trained / "run" / "best-f1.safetensors"
    (tmp_path / "scene.tif").symlink_to(trained / "scene.tif")
    geofcn_command(
        "infer", tmp_path / "scene.tif", tmp_path / "mask.tif", "--model", model,
        "--polygons", tmp_path / "houses.gpkg",
    )  # fmt: skip
    script = ROOT / "examples" / "picture.py"
    subprocess.run([sys.executable, script, tmp_path, tmp_path / "p.jpg"], check=True)
    height, width, _ = imread(tmp_path / "p.jpg").shape
    assert width > 2.5 * height


def test_the_readme_names_the_scripts_that_exist():
    commands = re.findall(r"^\$ bash (\S+)", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert commands == ["examples/quickstart.sh", "examples/run_tests.sh"]
    assert all((ROOT / command).is_file() for command in commands)
    assert f"bash {commands[1]}" in (ROOT / ".ci" / "run").read_text()
