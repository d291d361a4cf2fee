"""What is in git is what is installed."""

import subprocess
import sys
import zipfile
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import geofcn
import geofcn_cli

ROOT = Path(__file__).resolve().parents[1]


def test_the_wheel_holds_every_module_of_both_packages(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", tmp_path, ROOT],
        check=True,
    )
    (wheel,) = tmp_path.glob("geofcn-*.whl")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".py")}
    expected = {str(path.relative_to(ROOT)) for path in (ROOT / "geofcn").rglob("*.py")}
    expected |= {f"geofcn_cli/{path.name}" for path in (ROOT / "cli").rglob("*.py")}
    assert held == expected


def test_the_command_is_installed():
    (script,) = entry_points(group="console_scripts", name="geofcn")
    assert script.value == "geofcn_cli.main:main"
    assert Path(geofcn_cli.__file__).name == "__init__.py"


def test_help_needs_no_heavy_import():
    heavy = "torch", "dask", "geopandas", "matplotlib", "rasterio", "numpy"
    code = (
        "import sys, click.testing, geofcn_cli.main as m;"
        "r = click.testing.CliRunner().invoke(m.main, ['--help']);"
        "assert r.exit_code == 0, r.output;"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_package_names_the_verbs():
    for name in geofcn.__all__:
        if name != "__version__":
            assert callable(getattr(geofcn, name)), name
    with pytest.raises(AttributeError, match="no attribute 'fly'"):
        geofcn.fly  # noqa: B018
