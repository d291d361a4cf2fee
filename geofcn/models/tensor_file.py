"""Tensors and metadata in a `.safetensors` file, which cannot run code."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save

from geofcn.io.files import is_special, write_whole

# What a file may take: ours are far smaller, and a stranger's must not fill memory.
MAX_HEADER_BYTES = 16 * 2**20
MAX_BYTES = 512 * 2**20

# Where a file's metadata has the checksum of all else.
CHECKSUM = "crc32"


def read_tensors(
    path: Path, *, needs_checksum: bool = False
) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    """Metadata and tensors of a file, on the CPU, by name.

    Parameters
    ----------
    path : Path
        Of the file.
    needs_checksum : bool
        Refuse a file without checksum, as older versions wrote them.

    Raises
    ------
    SafetensorError, OSError
        Where it is no such file, is larger than any of geofcn's, or cannot be read.
    ValueError
        Where its checksum is missing, or not that of what it holds.
    """
    _refuse_foreign(path)
    with safe_open(path, framework="pt") as file:
        # Copies: the file's own tensors keep it mapped, and Windows replaces no file that is.
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        metadata = dict(file.metadata() or {})
    checksum = metadata.pop(CHECKSUM, None)
    if checksum is None and needs_checksum:
        raise ValueError("it has no checksum")
    if checksum not in (None, _checksum(metadata, tensors)):
        raise ValueError("its checksum does not fit")
    return metadata, tensors


def _refuse_foreign(path: Path) -> None:
    """Raise OSError for what would never end, or fill memory, before anything of it is parsed."""
    if is_special(path):
        raise OSError("a pipe or a device")
    size = path.stat().st_size
    with open(path, "rb") as file:
        header = int.from_bytes(file.read(8), "little")
    if size > MAX_BYTES:
        raise OSError(f"it has {size} bytes, geofcn's have {MAX_BYTES} at the most")
    if MAX_HEADER_BYTES < header < size:
        raise OSError(f"its header has {header} bytes, geofcn's {MAX_HEADER_BYTES} at the most")


def write_tensors(
    path: Path, metadata: Mapping[str, str], tensors: Mapping[str, torch.Tensor]
) -> None:
    """Write a file under a temporary name, then replace what is at `path`.

    Raises
    ------
    OutputError
        Where it cannot be written.
    """
    checked = {**metadata, CHECKSUM: _checksum(metadata, tensors)}
    # safetensors' own save_file would let nobody but its owner read the file.
    write_whole(path, _in_order(save(dict(tensors), checked)))


def _in_order(content: bytes) -> bytes:
    """The same file, its metadata in order: equal models are equal files.

    safetensors writes them in an order that is another one each time.
    """
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # where tensors start
    return len(text).to_bytes(8, "little") + text + content[start:]


def _checksum(metadata: Mapping[str, str], tensors: Mapping[str, torch.Tensor]) -> str:
    """CRC-32 of all that a file holds, hexadecimal."""
    found = zlib.crc32(json.dumps(sorted(metadata.items())).encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        found = zlib.crc32(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode(), found)
        # As bytes: a foreign file may hold types that numpy does not know.
        found = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data, found)
    return f"{found:08x}"
