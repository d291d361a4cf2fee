import subprocess
import sys

import pytest
import torch

from geofcn.errors import UsageError
from geofcn.models.device import pick_device


def test_devices(monkeypatch):
    assert pick_device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert pick_device("auto") == torch.device("cpu")
    for missing in ("cuda", "mps", "tpu"):
        with pytest.raises(UsageError, match="--device cpu"):
            pick_device(missing)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device("auto") == torch.device("cuda")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
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
