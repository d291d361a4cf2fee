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

    def save(self, number: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep the arrays under `number`; they are on disk when this returns."""
        blobs, entries = [], []
        for name, array in arrays.items():
            blob = pa.compress(np.ascontiguousarray(array), codec=CODEC, asbytes=True)
            entries.append([name, array.dtype.str, array.shape, len(blob)])
            blobs.append(blob)
        header = json.dumps(entries).encode() + b"\n"
        try:
            self._publish(self._path(number).name, header, *blobs)
        except OSError as error:
            raise self._failed(error) from error

    def load(self, number: int) -> dict[str, np.ndarray]:
        """The arrays kept under `number` (read-only)."""
        arrays = {}
        with open(self._path(number), "rb") as file:
            for name, dtype, shape, length in json.loads(file.readline()):
                size = int(np.prod(shape)) * np.dtype(dtype).itemsize
                data = pa.decompress(file.read(length), size, codec=CODEC, asbytes=True)
                arrays[name] = np.frombuffer(data, dtype).reshape(shape)
        return arrays

    def remove(self) -> None:
        """Delete the folder: its contents stand in the final outputs."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.shard"

    def _publish(self, name: str, *parts: bytes) -> None:
        partial = self.folder / f"{name}.partial"
        with open(partial, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.folder / name)

    def _failed(self, error: OSError) -> OutputError:
        return OutputError(
            f"{self.folder}: unfinished work cannot be kept there ({error.strerror or error}); make "
            "room and run the same command again."
        )
