"""Tensors and metadata in a `.safetensors` file, which cannot run code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save

from geofcn.io.files import write_whole


def read_tensors(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    """Metadata and tensors of a file, on the CPU, by name.

    Raises
    ------
    SafetensorError, OSError
        Where it is no such file, or cannot be read.
    """
    with safe_open(path, framework="pt") as file:
        # Copies: the file's own tensors keep it mapped, and Windows replaces no file that is.
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        return file.metadata() or {}, tensors


def write_tensors(
    path: Path, metadata: Mapping[str, str], tensors: Mapping[str, torch.Tensor]
) -> None:
    """Write a file under a temporary name, then replace what is at `path`.

    Raises
    ------
    OutputError
        Where it cannot be written.
    """
    # safetensors' own save_file would let nobody but its owner read the file.
    write_whole(path, save(dict(tensors), dict(metadata)))
