"""Names on disk: what may be written where, and how a finished file gets its final name."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from geofcn.errors import OutputError


def check_target(
    path: str | os.PathLike,
    endings: Iterable[str],
    overwrite: bool,
    *sources: str | os.PathLike,
) -> Path:
    """Raise OutputError where a file must not or cannot be written to `path`; return it as a Path.

    It must have one of the `endings` (in lower case, with their dot), be none of `sources` (also
    through a link), not exist unless `overwrite`, and lie in a folder in which files can be made.
    """
    target = Path(path)
    if target.suffix.lower() not in endings:
        raise OutputError(f"{target}: its name must end in one of {', '.join(endings)}.")
    if target.is_dir():
        raise OutputError(f"{target}: this is a folder; give the name of a file.")
    for source in sources:
        with suppress(OSError):
            if target.samefile(source):
                raise OutputError(f"{target}: this is the input itself; give another name.")
    if target.exists() and not overwrite:
        raise OutputError(f"{target}: it exists already; give --overwrite to replace it.")
    if not target.parent.is_dir():
        raise OutputError(f"{target}: its folder does not exist; make {target.parent} first.")
    try:
        # Only making a file tells: permission bits say nothing of read-only or full disks.
        tempfile.TemporaryFile(dir=target.parent).close()
    except OSError as error:
        raise OutputError(
            f"{target}: nothing can be written in {target.parent} ({error.strerror}); choose "
            "another folder."
        ) from error
    return target


def sync(path: Path) -> None:
    """Write a file or a folder to disk, so that a power cut does not undo it."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_whole(path: Path, content: bytes) -> None:
    """Write a small file under a temporary name, then give it its own.

    Raises OutputError where it cannot be written; what stood at `path` is left then.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(content)
        publish(partial, path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise OutputError(
            f"{path}: it cannot be written ({error}); make room or choose another folder."
        ) from error


def publish(partial: Path, path: Path) -> None:
    """Give a finished file its final name in one step that outlives a power cut."""
    sync(partial)
    partial.replace(path)
    with suppress(OSError):
        sync(path.parent)
