"""geofcn completion: the scripts of shells, and what they are answered."""

import os
import shutil
import subprocess
import sys

import pytest

from geofcn_cli.completion import SHELLS

HEAVY = {"dask", "geopandas", "matplotlib", "numpy", "pandas", "rasterio", "torch"}


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_takes_its_script(geofcn_command, shell):
    script = geofcn_command("completion", shell).stdout
    assert f"_GEOFCN_COMPLETE={shell}_complete" in script
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True)


def test_an_unknown_shell_is_a_usage_error(geofcn_command):
    assert "'tcsh' is not one of" in geofcn_command("completion", "tcsh", code=2).stderr


def answers(typed: str) -> tuple[set[str], set[str]]:
    """What bash is answered at the end of a line, and the modules that took."""
    words = typed.split(" ")
    code = (
        "import sys, geofcn_cli.main as m\n"
        "try: m.main(prog_name='geofcn')\n"
        "except SystemExit: print(*sys.modules, file=sys.stderr)"
    )
    asked = {
        "_GEOFCN_COMPLETE": "bash_complete",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(words) - 1),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **asked}, capture_output=True, text=True
    )
    return set(done.stdout.split()), set(done.stderr.split())


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("geofcn in", {"plain,info", "plain,infer"}),
        ("geofcn infer --prob", {"plain,--probability", "plain,--probability-dtype"}),
        ("geofcn train --net u", {"plain,unet"}),
        ("geofcn polygonize ", {"file,"}),
    ],
)
def test_verbs_options_and_choices_are_completed_without_heavy_imports(typed, expected):
    found, modules = answers(typed)
    assert found == expected
    assert modules and modules.isdisjoint(HEAVY)
