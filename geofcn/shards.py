"""Finished parts of an output on disk, so that a job that is killed goes on where it was.

A work folder holds a fingerprint of the job and one shard a row band. A shard is written under a
temporary name, synced and renamed: one that has its name is whole. A job with another fingerprint
finds the folder emptied.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from geofcn.errors import OutputError

CODEC = "zstd"
FINGERPRINT = "job.json"

Arrays = Mapping[str, np.ndarray]


def pack(arrays: Arrays) -> bytes:
    """Named arrays as compressed bytes: a line of JSON (name, dtype, shape, length), then each."""
    blobs, entries = [], []
    for name, array in arrays.items():
        blob = pa.compress(np.ascontiguousarray(array), codec=CODEC, asbytes=True)
        entries.append([name, array.dtype.str, array.shape, len(blob)])
        blobs.append(blob)
    return b"".join([json.dumps(entries).encode(), b"\n", *blobs])


def unpack(content: bytes) -> dict[str, np.ndarray]:
    """The arrays that `pack` packed (read-only)."""
    header, _, rest = content.partition(b"\n")
    arrays, start = {}, 0
    for name, dtype, shape, length in json.loads(header):
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        data = pa.decompress(rest[start : start + length], size, codec=CODEC, asbytes=True)
        arrays[name] = np.frombuffer(data, dtype).reshape(shape)
        start += length
    return arrays


class Shards:
    """The shards in a folder: number -> named arrays.

    folder       made if it is not there; emptied unless it belongs to this very job
    fingerprint  everything that decides a pixel of the job, as plain JSON types
    """

    def __init__(self, folder: Path, fingerprint: Mapping):
        self.folder = folder
        wanted = json.dumps(fingerprint, sort_keys=True, indent=1)
        try:
            found = (folder / FINGERPRINT).read_text() if (folder / FINGERPRINT).exists() else None
            self.restarted = folder.exists() and found != wanted
            if self.restarted:
                shutil.rmtree(folder)
            folder.mkdir(exist_ok=True)
            if found != wanted:
                self._publish(FINGERPRINT, wanted.encode())
        except OSError as error:
            raise self._failed(error) from error

    def __contains__(self, number: int) -> bool:
        return self._path(number).exists()

    def save(self, number: int, arrays: Arrays) -> None:
        """Keep the arrays under `number`; they are on disk when this returns."""
        try:
            self._publish(self._path(number).name, pack(arrays))
        except OSError as error:
            raise self._failed(error) from error

    def load(self, number: int) -> dict[str, np.ndarray]:
        """The arrays kept under `number` (read-only)."""
        return unpack(self._path(number).read_bytes())

    def remove(self) -> None:
        """Delete the folder: its contents stand in the final outputs."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.shard"

    def _publish(self, name: str, content: bytes) -> None:
        partial = self.folder / f"{name}.partial"
        with open(partial, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.folder / name)

    def _failed(self, error: OSError) -> OutputError:
        reason = error.strerror or error
        return OutputError(
            f"{self.folder}: unfinished work cannot be kept there ({reason}); make room and run "
            "the same command again."
        )
