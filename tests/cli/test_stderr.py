"""What libraries print on stderr by themselves: libtiff's lines go, all others come in the end."""

import subprocess
import sys

import pytest

LIMITED = """
import resource, signal, sys
from geofcn_cli.main import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
main(prog_name="geofcn")
"""
PRINTING = """
import os, sys
from geofcn_cli.stderr import without_noise
try:
    with without_noise():
        os.write(2, b"a library: something odd\\n_tiffWriteProc: File too large.\\nand more\\n")
        print("a message", file=sys.stderr)
        {last}
finally:
    print("the end", file=sys.stderr)
"""


def run(*args) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-P", "-c", *args], capture_output=True, text=True)


def test_a_full_disk_is_one_line(tmp_path):
    ended = run(LIMITED, "sample", str(tmp_path / "s"), "--size", "600")
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("Error: ") and "scene.tif: writing failed (" in line
    assert list(tmp_path.iterdir()) == [], "not even the folder that was made"


@pytest.mark.parametrize("last", ["pass", "sys.exit(3)", "raise ZeroDivisionError"])
def test_what_is_no_noise_is_printed_in_the_end(last):
    ended = run(PRINTING.format(last=last))
    shown = ended.stderr.splitlines()[:4]
    assert shown == ["a message", "a library: something odd", "and more", "the end"]
    assert ended.returncode == {"pass": 0, "sys.exit(3)": 3}.get(last, 1)
