"""What is in git is what is built, installed, and seen by tools."""

import ast
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from importlib.metadata import entry_points, packages_distributions, requires
from pathlib import Path

import pytest
import rasterio

import geofcn
import geofcn_cli
from geofcn_cli.main import main

ROOT = Path(__file__).resolve().parents[1]


def tracked(*patterns: str) -> set[str]:
    """The files that git holds, by their paths from the root."""
    command = ["git", "-C", ROOT, "ls-files", *patterns]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> tuple[Path, Path]:
    """The sdist, and the wheel that is built of it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--outdir", folder, ROOT]
    subprocess.run(command, capture_output=True, text=True, check=True)
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return sdist, wheel


def test_the_wheel_holds_every_module_of_all_packages(built):
    names = zipfile.ZipFile(built[1]).namelist()
    modules = {name for name in names if name.endswith((".py", "py.typed"))}
    sources = tracked("geofcn/*.py", "geofcn/*.typed")
    assert len({Path(source).parent for source in sources}) == 15, "fourteen packages in the first"
    commands = {f"geofcn_{path}" for path in tracked("cli/*.py", "cli/*.typed")}
    assert modules == sources | commands
    assert tracked("geofcn/qgis_plugin/*") <= set(names)
    assert tracked("geofcn/report/templates/*") <= set(names)


def test_the_sdist_holds_what_a_build_needs(built):
    with tarfile.open(built[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert tracked("geofcn/*.py", "cli/*.py", "setup.cfg", "pyproject.toml") <= names
    assert {"LICENSE", "README.md", "geofcn/py.typed"} <= names


def test_the_wheel_installs_in_a_fresh_environment_and_runs(built, tmp_path):
    """What it requires is seen in this environment, which has it already."""
    venv.create(tmp_path / "fresh", with_pip=True)
    own = sysconfig.get_path("purelib", vars={"base": str(tmp_path / "fresh")})
    here = {sysconfig.get_path(kind) for kind in ("purelib", "platlib")}
    (Path(own) / "required.pth").write_text("\n".join(sorted(here)))
    scripts = tmp_path / "fresh" / ("Scripts" if sys.platform == "win32" else "bin")
    command = [scripts / "python", "-m", "pip", "install", "--quiet", "--no-deps"]
    subprocess.run([*command, "--force-reinstall", built[1]], check=True)
    code = "import geofcn, geofcn_cli; print(geofcn.__file__, geofcn_cli.__file__)"
    found = subprocess.run([scripts / "python", "-P", "-c", code], capture_output=True, text=True)
    assert all(path.startswith(own) for path in found.stdout.split()), found
    subprocess.run([scripts / "geofcn", "sample", tmp_path / "s", "--size", "128"], check=True)
    with rasterio.open(tmp_path / "s" / "scene.tif") as scene:
        assert scene.shape == (128, 128) and scene.count == 3


def test_whatever_is_imported_is_required():
    """Also what another package brings along: it may cease to."""
    files = [ROOT / path for path in tracked("geofcn/*.py", "cli/*.py")]
    nodes = [
        node
        for file in files
        if "qgis_plugin" not in file.parent.name
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    ]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    packages = {name.partition(".")[0] for name in names} - {"geofcn", "geofcn_cli"}
    distributions = packages_distributions()
    # A package, and what follows in brackets: dask[distributed].
    needed = [text for text in requires("geofcn") if not re.search("extra == .test.", text)]
    words = {word for text in needed for word in re.match(r"[\w.\-\[\]]+", text)[0].split("[")}
    required = {normal(word.strip("]")) for word in words}
    for package in packages - set(sys.stdlib_module_names):
        assert required & set(map(normal, distributions[package])), package


def normal(name: str) -> str:
    return name.lower().replace("_", "-")


def test_the_command_is_installed():
    (script,) = entry_points(group="console_scripts", name="geofcn")
    assert script.value == "geofcn_cli.main:main"
    assert Path(geofcn_cli.__file__).name == "__init__.py"


def test_rasterio_lists_the_command_among_its_own(tmp_path):
    (plugin,) = entry_points(group="rasterio.rio_plugins", name="geofcn")
    assert plugin.load() is main and main.name == "geofcn"
    run = "from rasterio.rio.main import main_group; main_group()"
    command = [sys.executable, "-c", run, "geofcn", "sample", tmp_path / "s", "--size", "128"]
    subprocess.run(command, check=True, capture_output=True)
    assert (tmp_path / "s" / "scene.tif").exists()


def test_the_version_is_that_of_the_package():
    assert entry_points(group="console_scripts", name="geofcn")["geofcn"].dist.version == (
        geofcn.__version__
    )


def imported_by(arguments: list[str]) -> set[str]:
    """The modules that a command of geofcn imports, run in a process of its own."""
    code = (
        "import sys, click.testing, geofcn_cli.main as m;"
        f"r = click.testing.CliRunner().invoke(m.main, {arguments!r});"
        "assert r.exit_code == 0, r.output;"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


HEAVY = {"dask", "distributed", "geopandas", "matplotlib", "numpy", "pandas", "rasterio", "torch"}


def test_help_needs_no_heavy_import():
    assert imported_by(["--help"]).isdisjoint(HEAVY)


@pytest.mark.parametrize(
    "verb", ["sample", "info", "train", "infer", "polygonize", "review", "evaluate", "export"]
)
def test_help_of_a_verb_needs_no_heavy_import(verb):
    assert imported_by([verb, "--help"]).isdisjoint(HEAVY)


def test_info_of_a_scene_needs_neither_torch_nor_dask(trained):
    modules = imported_by(["info", str(trained / "scene.tif")])
    assert "rasterio" in modules
    assert modules.isdisjoint({"dask", "distributed", "geopandas", "matplotlib", "torch"})


def test_the_package_names_what_it_exports():
    assert set(geofcn.__all__) == {
        "GeofcnError", "Outline", "__version__", "evaluate", "export", "infer", "info",
        "load_model", "polygonize", "resume", "review", "sample", "train",
    }  # fmt: skip
    assert dir(geofcn) == sorted(geofcn.__all__)
    for name in geofcn.__all__:
        assert getattr(geofcn, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'fly'"):
        geofcn.fly  # noqa: B018


def test_a_type_checker_sees_the_signatures():
    code = "import geofcn; reveal_type(geofcn.train); reveal_type(geofcn.evaluate)"
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert "scene: str | os.PathLike[str]" in done.stdout, done.stdout
    assert "-> geofcn.training.result.TrainingResult" in done.stdout
    assert "-> geofcn.evaluation.result.Evaluation" in done.stdout
