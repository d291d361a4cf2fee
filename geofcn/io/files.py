"""Check that an output may be written, and give finished files their final names in one step."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from geofcn.errors import OutputError

StrPath = str | os.PathLike[str]
WINDOWS = os.name == "nt"


def check_target(
    path: StrPath,
    endings: Collection[str],
    overwrite: bool,
    *sources: StrPath,
) -> Path:
    """Check that a file may and can be written to `path`, and return it as a Path.

    Parameters
    ----------
    path : path
        File to write, in a folder that exists and in which files can be made.
    endings : collection of str
        The endings it may have, in lower case, with their dot.
    overwrite : bool
        Whether the file may exist already.
    *sources : path
        Inputs, none of which it may be, not even through a link.

    Returns
    -------
    Path
        `path`, neither resolved nor made absolute.

    Raises
    ------
    OutputError
        Where one of these does not hold.
    """
    target = Path(path)
    if target.suffix.lower() not in endings:
        raise OutputError(f"{target}: its name must end in one of {', '.join(endings)}.")
    if target.is_dir():
        raise OutputError(f"{target}: this is a folder; give the name of a file.")
    if any(_is_same_file(target, source) for source in sources):
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


def _is_same_file(path: Path, source: StrPath) -> bool:
    try:
        return path.samefile(source)
    except OSError:
        return False


def free_gigabytes(folder: Path) -> str:
    """Free space on the disk of a folder, for messages: ``"12.3 GB"``."""
    return f"{shutil.disk_usage(folder).free / 2**30:.1f} GB"


def writing_failed(path: Path, reason: object) -> OutputError:
    """The error of an output that could not be written for `reason`."""
    return OutputError(
        f"{path}: writing failed ({reason}); {free_gigabytes(path.parent)} are free in its folder: "
        "make room or choose another folder."
    )


def partial_folder(path: Path) -> Path:
    """The hidden folder beside `path` in which it is made.

    Examples
    --------
    >>> partial_folder(Path("maps/mask.tif")).name
    '.mask.tif.partial'
    """
    return path.absolute().with_name(f".{path.name}.partial")


def make_partial_folder(path: Path) -> Path:
    """Make the hidden folder beside `path`, without what a killed run left in it.

    Raises
    ------
    OSError
        Where it cannot be made.
    """
    folder = partial_folder(path)
    # GDAL will not create a file over what is left of another one.
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()
    return folder


def is_missing(path: str) -> bool:
    """Whether a path is that of a local file, and there is none.

    Examples
    --------
    >>> is_missing("no/such/scene.tif"), is_missing("https://example.org/scene.tif")
    (True, False)
    """
    if "://" in path or path.startswith("/vsi"):
        return False
    return not os.path.exists(path)  # noqa: PTH110 - Path raises for a name that is too long


def no_such_file(path: str) -> str:
    """The message that a file is missing."""
    return f"{path}: there is no such file; check the path."


def is_special(path: StrPath) -> bool:
    """Whether a path is that of a pipe, a device or a socket: reading may wait or go on for ever.

    Examples
    --------
    >>> is_special(os.devnull), is_special("no/such/scene.tif")
    (True, False)
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - Path would lose the slashes of a URL
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def no_ordinary_file(path: StrPath) -> str:
    """The message that a file is a special one."""
    return f"{path}: this is a pipe or a device; save what it gives, and name that file."


def sync(path: Path) -> None:
    """Flush a file or a folder to disk (fsync), so that a power cut does not undo it.

    Windows syncs neither folders nor what is open for reading only.

    Raises
    ------
    OSError
        Where it cannot be opened or synced.
    """
    if WINDOWS and path.is_dir():
        return
    # Binary: Windows cuts the byte 26 off the end of a text file that it opens for writing.
    handle = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0) if WINDOWS else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def publish(partial: Path, path: Path) -> None:
    """Rename a finished file to its final name, in one step that outlives a power cut.

    Raises
    ------
    OSError
        Where it cannot be synced or renamed.
    """
    sync(partial)
    partial.replace(path)
    with suppress(OSError):
        sync(path.parent)


def publish_bytes(path: Path, content: bytes) -> None:
    """Write a small file under a temporary name, then rename it.

    Raises
    ------
    OSError
        Where it cannot be written; what stood at `path` is left then.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(content)
        publish(partial, path)
    except OSError:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def write_whole(path: Path, content: bytes) -> None:
    """Write a small file in one step: `publish_bytes` with an error meant for the user.

    Raises
    ------
    OutputError
        Where it cannot be written; what stood at `path` is left then.
    """
    try:
        publish_bytes(path, content)
    except OSError as error:
        raise OutputError(
            f"{path}: it cannot be written ({error}); make room or choose another folder."
        ) from error
