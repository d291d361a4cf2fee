"""Nothing needs what only POSIX systems have: the verbs run with it taken away.

Windows itself was not there to try: support/without_posix.py takes away what it lacks.
"""

import pkgutil
import subprocess
import sys
from pathlib import Path

import geopandas
import pytest
import rasterio

import geofcn
import geofcn_cli

SCRIPT = Path(__file__).parent / "support" / "without_posix.py"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what is open")


def run(code: str, *arguments: object) -> str:
    """What Python code prints, run after the script has taken things away."""
    prelude = f"import sys; sys.path.insert(0, {str(SCRIPT.parent)!r}); import without_posix as w\n"
    command = [sys.executable, "-c", prelude + code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_script_takes_away_what_it_says(tmp_path):
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    code = """
import os, pathlib, mmap
w.hide_posix(); w.refuse_odd_syncs(); w.refuse_to_touch_open_files()
a, b = map(pathlib.Path, sys.argv[1:])
def refused(action):
    try:
        action()
    except PermissionError:
        return True
from geofcn import runtime
print(hasattr(runtime.os, "sched_getaffinity"), runtime.cores() > 0)
with open(a) as file:
    print(refused(lambda: a.replace(b)), refused(lambda: b.replace(a)), refused(a.unlink))
    print(refused(lambda: os.fsync(file.fileno())))
    held = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
print(refused(a.unlink))
held.close()
a.replace(b)
print(b.read_text())
"""
    printed = run(code, tmp_path / "a", tmp_path / "b").split()
    assert printed == ["False", "True", "True", "True", "True", "True", "True", "a"]


def test_every_module_is_imported():
    names = [
        module.name
        for package in (geofcn, geofcn_cli)
        for module in pkgutil.walk_packages(package.__path__, prefix=f"{package.__name__}.")
        if not module.name.endswith("__main__")
        and not module.name.startswith("geofcn.qgis_plugin")  # is imported by QGIS alone
    ]
    code = "w.hide_posix()\nfrom importlib import import_module\n"
    code += "for name in sys.argv[1:]: import_module(name)\nprint('all')"
    assert run(code, *names).split() == ["all"]


def test_the_verbs_run_and_replace_what_they_wrote(tmp_path):
    commands = [
        "sample s --size 256",
        "info s/scene.tif",
        "train s/scene.tif s/labels.tif -o run --net fcnn --tile 64 --scale 1 --epochs 2",
        "infer s/scene.tif mask.tif --model run/best-f1.safetensors --probability p.tif "
        "--polygons h.gpkg --verify 2",
        "polygonize mask.tif again.gpkg --probability p.tif",
        "review p.tif boxes.shp --report s/scene.tif boxes.html",
        "evaluate mask.tif s/labels.tif --matches m.shp",
    ]
    again = [f"{command} --overwrite" for command in commands if not command.startswith("info")]
    done = subprocess.run(
        [sys.executable, SCRIPT, *commands, *again], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "EPSG:32632" in done.stdout
    for printed in ("training F1", " 0 differ", "again.gpkg: ", "accuracy"):
        assert done.stdout.count(printed) == 2
    with rasterio.open(tmp_path / "mask.tif") as written:
        assert written.shape == (256, 256)
    houses = geopandas.read_file(tmp_path / "h.gpkg", layer="houses")
    assert len(houses) == len(geopandas.read_file(tmp_path / "again.gpkg", layer="houses"))
