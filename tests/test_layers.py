"""The house has floors: a module imports geofcn modules of lower floors only."""

import ast
from pathlib import Path

import pytest

import geofcn

FLOORS = {
    -1: "errors arrays",  # the ground the house stands on
    0: "config grid pixels augment metrics objects progress files houses qgis sums pool "
    "squaring simplifying",
    1: "scene rasterout vectorout nets machine probing flow shards checkpoint journal plots ground "
    "village painting strip polygons outlines",
    2: "model learner labels stats synthetic sweep",
    3: "modelfile tiles polygonize verify",
    4: "scoring job samples batches run",
    5: "train infer evaluate info",
}
FLOOR = {module: floor for floor, modules in FLOORS.items() for module in modules.split()}
# Modules without I/O and without a net, and what they must not pull in.
PURE = f"{FLOORS[-1]} {FLOORS[0]} strip polygons outlines sweep".split()
HEAVY = {
    "dask", "distributed", "fiona", "geopandas", "matplotlib", "pandas", "pyarrow", "pyogrio",
    "pyproj", "rasterio", "safetensors", "torch", "tqdm",
}  # fmt: skip

FOLDER = Path(geofcn.__file__).parent
MODULES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")


def imports(path: Path) -> set[str]:
    """Every module a file imports, dotted, wherever in the file: `from a import b` gives a.b."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = "geofcn" if node.level else node.module
            if node.level and node.module:
                origin = f"geofcn.{node.module}"
            found.update(f"{origin}.{alias.name}" for alias in node.names)
    return found


def geofcn_modules(path: Path) -> set[str]:
    """The geofcn modules a file imports, by their bare names."""
    parts = [name.split(".") for name in imports(path) if name.split(".")[0] == "geofcn"]
    return {part[1] for part in parts if len(part) > 1 and part[1] in FLOOR}


def test_the_package_is_flat_and_every_module_has_a_floor():
    assert [path.name for path in FOLDER.iterdir() if (path / "__init__.py").exists()] == []
    assert set(MODULES) <= set(FLOOR)


@pytest.mark.parametrize("module", MODULES)
def test_imports_only_go_down(module):
    imported = geofcn_modules(FOLDER / f"{module}.py")
    assert {name for name in imported if FLOOR[name] >= FLOOR[module]} == set()


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_have_no_outside_world(module):
    tops = {name.split(".")[0] for name in imports(FOLDER / f"{module}.py")}
    assert tops & HEAVY == set()


@pytest.mark.parametrize("module", ["__init__", *MODULES])
def test_the_library_knows_nothing_of_its_command_line(module):
    tops = {name.split(".")[0] for name in imports(FOLDER / f"{module}.py")}
    assert tops & {"geofcn_cli", "cli", "click"} == set()


def test_importing_the_package_imports_no_verb():
    assert geofcn_modules(FOLDER / "__init__.py") == set()


def test_an_unknown_verb_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'fly'"):
        geofcn.fly  # noqa: B018


def test_the_finder_sees_through_every_form_of_import(tmp_path):
    path = tmp_path / "module.py"
    path.write_text(
        "import geofcn.train\nfrom geofcn import nets\nfrom geofcn.scene import Scene\n"
        "from . import grid\nfrom .pixels import HOUSE\n"
        "def late():\n    from geofcn.labels import Labels\n"
    )
    assert geofcn_modules(path) == {"train", "nets", "scene", "grid", "pixels", "labels"}
