"""Finished parts of an output on disk, so that a job that is killed goes on where it was.

A work folder holds a fingerprint of the job and one shard a row band. A shard is written under a
temporary name, synced and renamed: one that has its name is whole, unless the disk damaged it,
which its checksum tells. A job with another fingerprint finds the folder emptied.
"""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa

from geofcn.errors import OutputError
from geofcn.io.files import publish_bytes

CODEC = "zstd"
FINGERPRINT = "job.json"
CLAIMS = "outputs.json"
# Bytes of the CRC-32 that a pack begins with.
CHECKSUM = 4

Arrays = Mapping[str, np.ndarray]


def pack(arrays: Arrays) -> bytes:
    """Named arrays as compressed bytes.

    A CRC-32 of what follows, a line of JSON (name, dtype, shape, length of each), the arrays.
    """
    blobs, entries = [], []
    for name, array in arrays.items():
        blob = pa.compress(np.ascontiguousarray(array), codec=CODEC, asbytes=True)
        entries.append([name, array.dtype.str, array.shape, len(blob)])
        blobs.append(blob)
    content = b"".join([json.dumps(entries).encode(), b"\n", *blobs])
    return zlib.crc32(content).to_bytes(CHECKSUM, "little") + content


def unpack(content: bytes) -> dict[str, np.ndarray]:
    """The arrays that `pack` packed (read-only). Raises ValueError where a byte has changed."""
    checksum, content = content[:CHECKSUM], content[CHECKSUM:]
    if zlib.crc32(content) != int.from_bytes(checksum, "little"):
        raise ValueError("its checksum does not fit")
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
    restarted    whether the work of another job was deleted
    """

    def __init__(self, folder: Path, fingerprint: Mapping):
        self.folder = folder
        wanted, found = _text(fingerprint), _found(folder)
        self.restarted = found not in (None, wanted)
        try:
            if found != wanted and folder.exists():
                shutil.rmtree(folder)
            folder.mkdir(exist_ok=True)
            if found != wanted:
                publish_bytes(folder / FINGERPRINT, wanted.encode())
        except OSError as error:
            raise self._failed(error) from error

    def __contains__(self, number: int) -> bool:
        return self._path(number).exists()

    def save(self, number: int, arrays: Arrays) -> None:
        """Keep the arrays under `number`; they are on disk when this returns."""
        try:
            publish_bytes(self._path(number), pack(arrays))
        except OSError as error:
            raise self._failed(error) from error

    def load(self, number: int) -> dict[str, np.ndarray]:
        """The arrays kept under `number` (read-only).

        Raises OutputError for a shard that cannot be read back, and removes it.
        """
        path = self._path(number)
        try:
            return unpack(path.read_bytes())
        except (OSError, ValueError) as error:
            path.unlink(missing_ok=True)
            raise OutputError(
                f"{path}: this finished part was damaged on disk and is removed ({error}); run the "
                "same command again to make it anew."
            ) from error

    def claim(self, outputs: Iterable[Path]) -> None:
        """Note the outputs this job publishes from now on; see `claimed`."""
        paths = [str(path.absolute()) for path in outputs]
        try:
            publish_bytes(self.folder / CLAIMS, json.dumps(paths).encode())
        except OSError as error:
            raise self._failed(error) from error

    def remove(self) -> None:
        """Delete the folder: its contents stand in the final outputs."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.shard"

    def _failed(self, error: OSError) -> OutputError:
        reason = error.strerror or error
        return OutputError(
            f"{self.folder}: unfinished work cannot be kept there ({reason}); make room and run "
            "the same command again."
        )


def claimed(folder: Path, fingerprint: Mapping) -> frozenset[Path]:
    """The outputs this very job had begun to publish when it was killed: what has one of these
    names may be its own, and can be replaced.
    """
    if _found(folder) != _text(fingerprint) or not (folder / CLAIMS).exists():
        return frozenset()
    return frozenset(map(Path, json.loads((folder / CLAIMS).read_bytes())))


def _text(fingerprint: Mapping) -> str:
    return json.dumps(fingerprint, sort_keys=True, indent=1)


def _found(folder: Path) -> str | None:
    """The fingerprint in a folder, None where there is none to be read."""
    with suppress(OSError):
        return (folder / FINGERPRINT).read_text(errors="replace")
    return None
