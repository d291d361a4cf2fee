"""Checkpoints of an inference: finished blocks on disk, so that a killed job goes on.

A work folder holds a fingerprint of the job and one shard a block. A shard is written under a
temporary name, synced and renamed: one that has its name is whole, unless the disk damaged it,
which its checksums tell, and it says whose it is. For a job with another fingerprint the folder is
emptied. Whoever uses it holds the lock of the output beside it, see `geofcn.io.locks`.

A shard is cut into strips of rows that are compressed one by one, so that some of its rows can be
read without the others.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa

from geofcn.core.windows import BAND_ROWS, ceil_div, origins, round_up
from geofcn.errors import OutputError
from geofcn.io.files import publish_bytes

CODEC = "zstd"
FINGERPRINT = "job.json"
CLAIMS = "outputs.json"
SHARD = ".shard"
# Bytes of the CRC-32 that a pack begins with, and of the length that a shard begins with.
CHECKSUM = LENGTH = 4
# Pixels of a strip at the least; its rows are a multiple of those of the thinnest row bands.
STRIP_PIXELS = 2**16

Arrays = Mapping[str, np.ndarray]


def pack(arrays: Arrays) -> bytes:
    """Named arrays as compressed bytes.

    Notes
    -----
    A CRC-32 of what follows, a line of JSON (name, dtype, shape, length of each), the arrays.

    Examples
    --------
    >>> unpack(pack({"mask": np.zeros((2, 3), np.uint8)}))
    {'mask': array([[0, 0, 0],
           [0, 0, 0]], dtype=uint8)}
    """
    blobs, entries = [], []
    for name, array in arrays.items():
        blob = pa.compress(np.ascontiguousarray(array), codec=CODEC, asbytes=True)
        entries.append([name, array.dtype.str, array.shape, len(blob)])
        blobs.append(blob)
    return _sealed(b"".join([json.dumps(entries).encode(), b"\n", *blobs]))


def unpack(content: bytes) -> dict[str, np.ndarray]:
    """The arrays that `pack` packed, read-only.

    Raises
    ------
    ValueError
        Where a byte has changed or is missing.
    """
    header, _, rest = _unsealed(content).partition(b"\n")
    arrays, start = {}, 0
    for name, dtype, shape, length in json.loads(header):
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        data = pa.decompress(rest[start : start + length], size, codec=CODEC, asbytes=True)
        arrays[name] = np.frombuffer(data, dtype).reshape(shape)
        start += length
    return arrays


def _sealed(content: bytes) -> bytes:
    """Content with its checksum before it."""
    return zlib.crc32(content).to_bytes(CHECKSUM, "little") + content


def _unsealed(content: bytes) -> bytes:
    """What was sealed; raises ValueError where a byte has changed or is missing."""
    checksum, content = content[:CHECKSUM], content[CHECKSUM:]
    if zlib.crc32(content) != int.from_bytes(checksum, "little"):
        raise ValueError("its checksum does not fit")
    return content


def _shard_of(arrays: Arrays) -> bytes:
    """Named (rows, columns) arrays of one shape, as strips of rows that are packed one by one.

    Notes
    -----
    The length of the index; the index, sealed JSON: rows of all, rows of a strip, and the length of
    each strip; the strips.
    """
    height, width = next(iter(arrays.values())).shape
    rows = round_up(ceil_div(STRIP_PIXELS, width), BAND_ROWS)
    strips = [
        pack({name: array[top : top + rows] for name, array in arrays.items()})
        for top in origins(height, rows)
    ]
    index = _sealed(json.dumps([height, rows, [len(strip) for strip in strips]]).encode())
    return b"".join([len(index).to_bytes(LENGTH, "little"), index, *strips])


def _rows_of(shard: IO[bytes], top: int, bottom: int | None) -> dict[str, np.ndarray]:
    """Rows top, top + 1, ... below `bottom`, or to the last one, of what `_shard_of` made.

    Raises
    ------
    OSError, ValueError
        Where they cannot be read, or a byte has changed or is missing.
    """
    index = shard.read(int.from_bytes(shard.read(LENGTH), "little"))
    height, rows, lengths = json.loads(_unsealed(index))
    bottom = height if bottom is None else bottom
    first, end = top // rows, ceil_div(bottom, rows)
    shard.seek(sum(lengths[:first]), os.SEEK_CUR)
    strips = [unpack(shard.read(length)) for length in lengths[first:end]]
    inside = slice(top - first * rows, bottom - first * rows)
    if len(strips) == 1:
        return {name: array[inside] for name, array in strips[0].items()}
    return {name: np.concatenate([strip[name] for strip in strips])[inside] for name in strips[0]}


class Shards:
    """The shards in a folder: named (rows, columns) arrays by the number of their block.

    Parameters
    ----------
    folder : Path
        Made where it is missing; emptied unless it belongs to this very job.
    fingerprint : dict
        Everything that decides a pixel of the job, as plain JSON types.

    Attributes
    ----------
    folder : Path
        Where the shards lie.
    restarted : bool
        Whether the work of another job was deleted.

    Raises
    ------
    OutputError
        Where the folder cannot be made.
    """

    def __init__(self, folder: Path, fingerprint: Mapping[str, Any]) -> None:
        self.folder = folder
        self._job = own_text = _text(fingerprint)
        text = _text_in(folder)
        self.restarted = text not in (None, own_text)
        if folder.is_symlink():
            raise OutputError(f"{folder}: this is a link; remove it, or choose another output.")
        try:
            if text != own_text and folder.exists():
                shutil.rmtree(folder)
            folder.mkdir(exist_ok=True)
            if text != own_text:
                publish_bytes(folder / FINGERPRINT, own_text.encode())
        except OSError as error:
            raise self._failed(error) from error

    def __len__(self) -> int:
        return _count(self.folder)

    def __contains__(self, number: int) -> bool:
        return self._path(number).exists()

    def save(self, number: int, arrays: Arrays) -> None:
        """Keep the arrays under `number`; they are on disk when this returns.

        Raises
        ------
        OutputError
            Where they cannot be written.
        """
        try:
            publish_bytes(self._path(number), self._mark(number) + _shard_of(arrays))
        except OSError as error:
            raise self._failed(error) from error

    def load(self, number: int, top: int = 0, bottom: int | None = None) -> dict[str, np.ndarray]:
        """The arrays kept under `number`, or some of their rows; not to be written to.

        Parameters
        ----------
        number : int
            Of the block.
        top, bottom : int
            The first row, and the first one below; default: all rows.

        Raises
        ------
        OutputError
            Where the shard cannot be read back; it is removed then.
        """
        path = self._path(number)
        try:
            with path.open("rb") as shard:
                if shard.read(len(self._mark(number))) != self._mark(number):
                    raise ValueError("it is not of this job")
                return _rows_of(shard, top, bottom)
        except (OSError, ValueError) as error:
            path.unlink(missing_ok=True)
            raise OutputError(
                f"{path}: this finished part was damaged on disk and is removed ({error}); run the "
                "same command again to make it anew."
            ) from error

    def claim(self, outputs: Iterable[Path]) -> None:
        """Note the outputs this job publishes from now on; see `claimed`.

        Raises
        ------
        OutputError
            Where that cannot be written.
        """
        paths = [str(path.absolute()) for path in outputs]
        try:
            publish_bytes(self.folder / CLAIMS, json.dumps(paths).encode())
        except OSError as error:
            raise self._failed(error) from error

    def remove(self) -> None:
        """Delete the folder: its contents stand in the final outputs."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _mark(self, number: int) -> bytes:
        """What a shard begins with: whose it is, and which."""
        return hashlib.sha256(f"{self._job}\n{number}".encode()).digest()

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}{SHARD}"

    def _failed(self, error: OSError) -> OutputError:
        reason = error.strerror or error
        return OutputError(
            f"{self.folder}: unfinished work cannot be kept there ({reason}); make room and run "
            "the same command again."
        )


def unfinished(folder: Path) -> tuple[dict[str, Any], int]:
    """What some folder holds: the fingerprint of its job, and the number of finished shards.

    Parameters
    ----------
    folder : Path
        As for `Shards`; nothing is changed in it.

    Returns
    -------
    fingerprint : dict
        Empty where none can be read.
    count : int
        Of the shards.
    """
    with suppress(ValueError):
        fingerprint = json.loads(_text_in(folder) or "{}")
        if isinstance(fingerprint, dict):
            return fingerprint, _count(folder)
    return {}, _count(folder)


def claimed(folder: Path, fingerprint: Mapping[str, Any]) -> frozenset[Path]:
    """The outputs that this very job had begun to publish when it was killed.

    What has one of these names may be its own, and can be replaced.

    Parameters
    ----------
    folder, fingerprint
        As for `Shards`.
    """
    if _text_in(folder) != _text(fingerprint):
        return frozenset()
    with suppress(OSError, ValueError, TypeError):  # no claim, or a damaged one
        return frozenset(map(Path, json.loads((folder / CLAIMS).read_bytes())))
    return frozenset()


def _count(folder: Path) -> int:
    return sum(1 for _ in folder.glob(f"*{SHARD}"))


def _text(fingerprint: Mapping[str, Any]) -> str:
    """A fingerprint as it lies in a folder."""
    return json.dumps(fingerprint, sort_keys=True, indent=1)


def _text_in(folder: Path) -> str | None:
    """The fingerprint in a folder as text, None where none can be read."""
    with suppress(OSError):
        return (folder / FINGERPRINT).read_text(errors="replace")
    return None
