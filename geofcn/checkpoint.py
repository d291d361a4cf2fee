"""A training's state on disk: one `.safetensors` file, replaced in one step; it cannot run code."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from geofcn.errors import OutputError, TrainingError
from geofcn.files import publish

HEADER = "geofcn-training"


@dataclass(frozen=True)
class Checkpoint:
    """tensors  by name; state  plain JSON types"""

    tensors: dict[str, torch.Tensor]
    state: dict


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write under a temporary name, then replace what is at `path`.

    Raises OutputError where the file cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    tensors = {name: tensor.contiguous() for name, tensor in checkpoint.tensors.items()}
    try:
        partial.write_bytes(save(tensors, {HEADER: json.dumps(checkpoint.state)}))
        publish(partial, path)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        raise OutputError(
            f"{path}: the training's state cannot be written ({error}); make room and run the same "
            "command again."
        ) from error


def load_checkpoint(path: str | os.PathLike) -> Checkpoint | None:
    """The checkpoint at `path`, or None where there is none. Raises TrainingError if damaged."""
    if not Path(path).exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            state = json.loads(file.metadata()[HEADER])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(
            f"{path}: this is no training's state, or a damaged one ({error}); give --overwrite to "
            "start afresh."
        ) from error
    return Checkpoint(tensors, state)
