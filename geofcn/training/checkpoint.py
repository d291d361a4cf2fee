"""Checkpoint of a training: one `.safetensors` file, replaced in one step; it cannot run code."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from geofcn.errors import TrainingError
from geofcn.models.tensor_file import read_tensors, write_tensors

HEADER = "geofcn-training"


@dataclass(frozen=True)
class Checkpoint:
    """State of a training, as it is kept.

    Attributes
    ----------
    tensors : dict
        Weights, the optimizer's moments and the like, by name.
    state : dict
        All else, in plain JSON types.
    """

    tensors: dict[str, torch.Tensor]
    state: dict[str, Any]


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint under a temporary name, then replace what is at `path`.

    Raises
    ------
    OutputError
        Where the file cannot be written.
    """
    tensors = {name: tensor.contiguous() for name, tensor in checkpoint.tensors.items()}
    write_tensors(path, {HEADER: json.dumps(checkpoint.state)}, tensors)


def load_checkpoint(path: str | os.PathLike[str]) -> Checkpoint | None:
    """Read the checkpoint at `path`; None where there is none.

    Raises
    ------
    TrainingError
        Where it is damaged, or something else.
    """
    if not Path(path).exists():
        return None
    try:
        metadata, tensors = read_tensors(Path(path), needs_checksum=True)
        state = dict(json.loads(metadata.pop(HEADER)))
        if metadata:
            raise ValueError(f"it says {', '.join(map(ascii, metadata))} besides")
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(
            f"{path}: this is no training's state, or a damaged one ({error}); give --overwrite to "
            "start afresh."
        ) from error
    return Checkpoint(tensors, state)
