"""Check that an output may be written, and give finished files their final names in one step."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import stat
import tempfile
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from geofcn.errors import OutputError

StrPath = str | os.PathLike[str]
WINDOWS = os.name == "nt"
# Names of what is not finished: of a version before this one without the random part.
PARTIAL = re.compile(r"\.(?P<name>.+?)(\.[0-9a-f]{8})?\.partial", re.DOTALL)
# What a lock's file is called, or ends with.
LOCK = ".lock"
# In a hidden folder: which of its files leave it together, under which names.
NOTE = "moved.json"

# What this process has made and not finished: where it is stopped, it is to be removed.
unfinished: set[Path] = set()


def check_target(
    path: StrPath,
    endings: Collection[str],
    overwrite: bool,
    *sources: StrPath,
    others: Iterable[Path] = (),
) -> Path:
    """Check that a file may and can be written to `path`, and return it as a Path.

    Parameters
    ----------
    path : path
        File to write, in a folder that exists and in which files can be made.
    endings : collection of str
        The endings it may have, in lower case, with their dot.
    overwrite : bool
        Whether the file may exist already; a link is replaced, and what it leads to stays.
    *sources : path
        Inputs, none of which it may be, not even through a link.
    others : iterable of path
        Further files that are replaced or removed with it, and may exist as little.

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
    if is_special(target):
        raise OutputError(f"{target}: this is a pipe or a device; give the name of a file.")
    if any(_is_same_file(target, source) for source in sources):
        raise OutputError(f"{target}: this is the input itself; give another name.")
    if os.path.lexists(target) and not overwrite:
        raise OutputError(f"{target}: it exists already; give --overwrite to replace it.")
    for other in others:
        if os.path.lexists(other) and not overwrite:
            raise OutputError(
                f"{other}: it exists already and is a part of what {target.name} would be; give "
                "--overwrite to replace it, or another name."
            )
    check_folder(target)
    return target


def check_folder(target: Path) -> None:
    """Raise OutputError where no file can be made beside `target`."""
    if not target.parent.is_dir():
        raise OutputError(f"{target}: its folder does not exist; make {target.parent} first.")
    try:
        # Only making a file tells: permission bits say nothing of read-only or full disks.
        tempfile.TemporaryFile(dir=target.parent).close()
    except OSError as error:
        raise folder_not_writable(target, error) from error


def folder_not_writable(target: Path, error: OSError) -> OutputError:
    """The error of an output in whose folder no file can be made."""
    return OutputError(
        f"{target}: nothing can be written in {target.parent} ({error.strerror}); choose another "
        "folder."
    )


def refuse_equal_names(paths: Sequence[Path]) -> None:
    """Raise OutputError where two outputs have the same name, however it is written.

    Names that differ by case alone are the same on some disks, and so they are here.
    """
    for number, path in enumerate(paths):
        if any(_place(path) == _place(other) for other in paths[:number]):
            raise OutputError(f"{path}: two outputs have this name; give each its own.")


def _place(path: Path) -> tuple[object, str]:
    """The folder of a file, whichever way leads to it, and its name."""
    try:
        status = path.parent.stat()
        folder: object = status.st_dev, status.st_ino
    except OSError:
        folder = path.parent.absolute()
    return folder, unicodedata.normalize("NFC", path.name).casefold()


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


def lock_of(target: Path) -> Path:
    """The file of the lock of an output, or of a folder of which all is meant."""
    return target / LOCK if target.is_dir() else target.with_name(f".{target.name}{LOCK}")


def partial_beside(path: Path) -> Path:
    """A hidden name beside `path` under which it is made, and that nobody foresees.

    What is made there must be new, so that no link is followed; `discard` removes it.
    """
    partial = path.absolute().with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    unfinished.add(partial)
    return partial


@contextmanager
def partial_folder(path: Path) -> Iterator[Path]:
    """A hidden folder beside `path`, for what is to be published; gone afterwards.

    Raises
    ------
    OutputError
        Where it cannot be made.
    """
    folder = partial_beside(path)
    try:
        folder.mkdir(mode=0o700)
    except OSError as error:
        unfinished.discard(folder)
        raise writing_failed(path, error) from error
    try:
        yield folder
    finally:
        discard(folder)


@contextmanager
def without_new_folders(folder: Path) -> Iterator[None]:
    """Context that an error leaves without a folder and its parents, if they are new and empty."""
    new = [path for path in (folder, *folder.parents) if not os.path.lexists(path)]
    try:
        yield
    except BaseException:
        with suppress(OSError):
            for path in new:
                path.rmdir()
        raise


def discard(partial: Path) -> None:
    """Remove a file or folder that was not finished, if it is there."""
    if partial.is_dir() and not partial.is_symlink():
        shutil.rmtree(partial, ignore_errors=True)
    else:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    unfinished.discard(partial)


def discard_unfinished() -> None:
    """Remove all that this process has not finished: it is to end."""
    for partial in list(unfinished):
        discard(partial)


def remove_leftovers(target: Path) -> None:
    """Remove what a killed process left of an output, or in a folder; nobody may be writing it.

    In a folder others may write what has a lock of its own.
    """
    is_folder = target.is_dir()
    folder = target if is_folder else target.absolute().parent
    for path in folder.iterdir():
        match = PARTIAL.fullmatch(path.name)
        if match is None or path.is_symlink():
            continue
        is_others = os.path.lexists(lock_of(folder / match["name"]))
        if not is_others if is_folder else match["name"] == target.name:
            _take_back(path)
            discard(path)


def is_missing(path: str) -> bool:
    """Whether a path is that of a local file, and there is none.

    Examples
    --------
    >>> is_missing("no/such/scene.tif"), is_missing("https://example.org/scene.tif")
    (True, False)
    """
    if is_elsewhere(path):
        return False
    return not os.path.exists(path)  # noqa: PTH110 - Path raises for a name that is too long


def is_pattern(path: StrPath) -> bool:
    """Whether a path is no file's, but stands for those that fit it, as a shell's patterns do.

    Examples
    --------
    >>> is_pattern("sheets/*.tif"), is_pattern("https://example.org/scene.tif?sig=a")
    (True, False)
    """
    name = os.fspath(path)
    return not is_elsewhere(name) and any(sign in name for sign in "*?[") and is_missing(name)


def is_elsewhere(path: str) -> bool:
    """Whether a path is a URL, or a GDAL path, and no local file's."""
    return "://" in path or path.startswith("/vsi")


def no_such_file(path: str) -> str:
    """The message that a file is missing."""
    return f"{path}: there is no such file; check the path."


def file_mode(path: StrPath) -> int:
    """What kind of thing is at a path, however long or odd, as of `os.stat`; 0 where there is none.

    Examples
    --------
    >>> file_mode(999 * "long"), stat.S_ISCHR(file_mode(os.devnull))
    (0, True)
    """
    try:
        return os.stat(path).st_mode  # noqa: PTH116 - Path would lose the slashes of a URL
    except (OSError, ValueError):
        return 0


def is_special(path: StrPath) -> bool:
    """Whether a path is that of a pipe, a device or a socket: reading may wait or go on for ever.

    Examples
    --------
    >>> is_special(os.devnull), is_special("no/such/scene.tif")
    (True, False)
    """
    return is_special_mode(file_mode(path))


def is_special_mode(mode: int) -> bool:
    """Whether a mode, see `file_mode`, is that of a pipe, a device or a socket."""
    return bool(mode) and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def no_ordinary_file(path: StrPath) -> str:
    """The message that a file is a special one."""
    return f"{path}: this is a pipe or a device; save what it gives, and name that file."


def names_apart(paths: Sequence[str]) -> tuple[str, ...]:
    """Names of several files: those that repeat with as many of their folders as tell them apart.

    Examples
    --------
    >>> names_apart(["north/scene.tif", "data/south/scene.tif", "data/east.tif"])
    ('north/scene.tif', 'south/scene.tif', 'east.tif')
    """
    parts = [Path(path).parts for path in paths]

    def fewest(path: tuple[str, ...]) -> int:
        """How many of its last parts tell a path from all others."""
        others = [other for other in parts if other != path]
        lengths = range(1, len(path) + 1)
        return next((n for n in lengths if all(o[-n:] != path[-n:] for o in others)), len(path))

    return tuple("/".join(path[-fewest(path) :]) for path in parts)


def absolute(path: StrPath) -> str:
    """A local path or pattern from the root, so that workers elsewhere find it; others as they are.

    Examples
    --------
    >>> absolute("https://example.org/scene.tif")
    'https://example.org/scene.tif'
    """
    is_local = Path(path).exists() or is_pattern(path)
    return os.fspath(Path(path).absolute() if is_local else path)


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


def publish_together(moves: Mapping[Path, Path], stale: Iterable[Path] = ()) -> None:
    """Give the finished files of a hidden folder their final names: all of them, or none.

    Of files that are replaced none stands beside a new one. Whoever is killed on the way leaves a
    note in the folder, by which `remove_leftovers` takes back what was moved.

    Parameters
    ----------
    moves : mapping
        File -> its final name beside the folder, in the order in which they get them.
    stale : iterable of Path
        Files that go with those that are replaced.

    Raises
    ------
    OSError
        Where one cannot be synced, removed or renamed.
    """
    parts, finals = list(moves), list(moves.values())
    folder = parts[0].parent
    for part in parts:
        sync(part)
    note = [(part.name, final.name, part.stat().st_ino) for part, final in moves.items()]
    publish_bytes(folder / NOTE, json.dumps(note).encode())
    # One file replaces another in one step.
    replaced = finals[::-1] if len(finals) > 1 else []
    for old in (*replaced, *stale):
        old.unlink(missing_ok=True)
    try:
        for part, final in moves.items():
            part.replace(final)
    except BaseException:
        _take_back(folder)
        raise
    with suppress(OSError):
        sync(folder.parent)


def _take_back(folder: Path) -> None:
    """Remove what has left a hidden folder, where not all has that was to leave it together."""
    try:
        note = json.loads((folder / NOTE).read_bytes())
        moved = [(folder.with_name(name), inode) for part, name, inode in note]
        is_whole = not any(os.path.lexists(folder / part) for part, _, _ in note)
        owner = folder.stat().st_uid
    except (OSError, ValueError, TypeError):
        return
    for final, inode in () if is_whole else moved:
        with suppress(OSError):
            status = final.stat(follow_symlinks=False)
            # Nothing that was put there since, nor by the note of somebody else.
            if (status.st_ino, status.st_uid) == (inode, owner):
                final.unlink()


def publish_bytes(path: Path, content: bytes) -> None:
    """Write a small file under a temporary name, then rename it.

    Raises
    ------
    OSError
        Where it cannot be written; what stood at `path` is left then.
    """
    partial = partial_beside(path)
    try:
        with partial.open("xb") as file:
            file.write(content)
        publish(partial, path)
    finally:
        discard(partial)


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
