"""geofcn.models.device: the choice of a device, and threads of a pass."""

import os
import subprocess
import sys

import pytest
import torch

from geofcn.defaults import DEVICES
from geofcn.errors import UsageError
from geofcn.models.device import (
    compute_in_full_precision,
    one_torch_thread,
    pick_device,
    processor,
)


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


def test_a_gpu_convolves_in_float32(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    compute_in_full_precision()
    assert not torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize("name", DEVICES)
def test_a_device_that_is_offered_computes_or_is_refused(name):
    try:
        device = pick_device(name)
    except UsageError as error:
        assert name in ("cuda", "mps") and f"device {name}" in str(error)
    else:
        assert torch.ones(2, device=device).sum().item() == 2


def test_the_number_of_threads_is_one_inside_and_restored_even_after_an_error():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        with one_torch_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 3
        with pytest.raises(ZeroDivisionError), one_torch_thread():
            _ = 1 / 0
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_the_type_of_a_gpu_is_its_name(monkeypatch):
    assert processor("mps") == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H100")
    assert processor.__wrapped__("cuda") == "NVIDIA H100"


@pytest.mark.parametrize("setting", [{}, {"ONEDNN_MAX_CPU_ISA": "SSE41"}])
def test_the_type_of_a_cpu_tells_how_it_rounds(setting):
    code = "from geofcn.models.device import processor; print(processor('cpu'))"
    told = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **setting},
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    assert (told == processor("cpu")) == (not setting)
