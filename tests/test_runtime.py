"""geofcn.runtime: processors and memory of this process."""

import os
import subprocess
import sys

import pytest

from geofcn import runtime
from geofcn.runtime import (
    MALLOC_ENVIRONMENT,
    MALLOPT_NUMBERS,
    cores,
    give_back_freed_memory,
    keep_freed_memory,
)

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")


@linux
def test_cores_are_those_the_process_may_use():
    assert cores() == len(os.sched_getaffinity(0))
    script = (
        "import os; from geofcn.runtime import cores; "
        "os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); print(cores())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "1\n"


def test_cores_are_those_of_the_machine_where_nothing_tells_the_process(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert cores() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cores() == 1, "unknown"


def test_every_setting_of_the_environment_has_its_number():
    assert MALLOC_ENVIRONMENT.keys() == MALLOPT_NUMBERS.keys()


@linux
def test_glibc_takes_every_setting():
    # In a process of its own: the settings last.
    script = (
        "from geofcn.runtime import MALLOC_ENVIRONMENT, MALLOPT_NUMBERS, _glibc; "
        "print({_glibc().mallopt(MALLOPT_NUMBERS[name], value) "
        "for name, value in MALLOC_ENVIRONMENT.items()})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "{1}\n", done.stderr


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(runtime.sys, "platform", "darwin")
    assert runtime._glibc() is None
    keep_freed_memory()
    give_back_freed_memory()


@linux
def test_what_is_freed_is_kept_until_it_is_given_back():
    script = """
import gc
import numpy as np
from geofcn.runtime import give_back_freed_memory, keep_freed_memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 2**20

keep_freed_memory()
arrays = [np.ones(2**17) for _ in range(300)]
full = resident()
del arrays
gc.collect()
assert full - resident() < 50, "kept"
give_back_freed_memory()
assert full - resident() > 250, "given back"
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_peak_counts_bytes_and_is_kept_in_mind():
    # In a process of its own: this one's peak may lie far above what it holds.
    script = """
from geofcn.runtime import peak_memory

before = peak_memory()
block = b"x" * (before + 2**26)
peak = peak_memory()
assert len(block) <= peak < len(block) + 2 * before, (before, peak)
size = len(block)
del block
assert peak_memory() >= size, "Linux counts in steps of some pages"
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_peak_is_not_that_of_what_started_the_process():
    child = "from geofcn.runtime import peak_memory; print(peak_memory())"
    script = (
        "import subprocess, sys; block = bytearray(b'x') * 2**29; "
        f"subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert int(done.stdout) < 2**28


def test_the_peak_is_known_where_proc_does_not_say_it(tmp_path, monkeypatch):
    status = tmp_path / "status"
    status.write_text("Name:\tpython\nVmRSS:\t1 kB\n")
    monkeypatch.setattr(runtime, "Path", lambda name: status)
    assert runtime.peak_memory() > 2**20
