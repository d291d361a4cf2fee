"""The examples run, and the README's commands are the scripts that stand there."""

import json
import re
import subprocess
import sys
from pathlib import Path

import geopandas
import matplotlib
import pytest
from matplotlib.image import imread

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "examples" / "notebook.ipynb"


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


@pytest.fixture
def cells() -> list[dict]:
    """The cells of the notebook that hold code, with what they gave when it was run."""
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_the_cells_of_the_notebook_run(cells, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    matplotlib.use("agg")
    # The forecast times a step of the default net, which takes seconds.
    monkeypatch.setattr("geofcn.forecast.training.estimate_training", lambda source: None)
    code = "\n".join("".join(cell["source"]) for cell in cells)
    tiny, count = re.subn(r"SIZE, EPOCHS = \d+, \d+", "SIZE, EPOCHS = 256, 10", code)
    assert count == 1
    found: dict = {}
    exec(compile(tiny, NOTEBOOK.name, "exec"), found)
    assert found["inference"].mask.exists() and len(found["houses"]) > 0
    assert found["scores"].pixels.f1 > 0.3
    assert found["probability"].shape == (256, 256)


def test_the_notebook_was_run_in_order_and_shows_pictures_but_no_errors_or_paths(cells):
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert sum("image/jpeg" in output.get("data", {}) for output in outputs) >= 4
    assert not [output for output in outputs if output["output_type"] == "error"]
    for output in outputs:
        output.get("data", {}).pop("image/jpeg", None)
    assert not re.findall(r"/(?:home|root|tmp|work|Users)/", json.dumps(cells))
    assert NOTEBOOK.stat().st_size < 400_000


def test_the_readme_names_the_scripts_that_exist():
    commands = re.findall(r"^\$ bash (\S+)", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert commands == ["examples/quickstart.sh", "examples/run_tests.sh"]
    assert all((ROOT / command).is_file() for command in commands)
    assert f"bash {commands[1]}" in (ROOT / ".ci" / "run").read_text()
