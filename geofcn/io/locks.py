"""One process at a time writes an output: a lock beside each, that ends with its process.

The system holds the lock (flock, or LockFile on Windows) and lets go of it when the process ends,
however it ends; nothing has to be guessed from process ids. What stands in the file is for whoever
finds it held, and for other machines where the lock does not reach them.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from geofcn.errors import OutputError
from geofcn.io import files

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    import msvcrt

# Linux makes one up whenever it starts; containers share their machine's.
BOOT = Path("/proc/sys/kernel/random/boot_id")
# Windows lets nobody read what is locked: so a byte far behind the text is.
LOCKED_BYTE = 2**20
HELD = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)

log = logging.getLogger(__name__)


@contextmanager
def locked(*targets: files.StrPath | None) -> Iterator[None]:
    """Keep others from writing some outputs, and remove what killed ones left of them.

    Parameters
    ----------
    *targets : path
        Files that are to be written, in folders that exist; or folders, of which all is meant. None
        for what is not wanted.

    Raises
    ------
    OutputError
        Where another process writes one of them, or a file cannot be made there.
    """
    paths = [Path(target) for target in targets if target is not None]
    files.refuse_equal_names(paths)
    with ExitStack() as stack:
        for path in paths:
            stack.enter_context(_hold(path))
        yield


# How often a lock that says nothing of its holder is looked at again.
PATIENCE = 25


@contextmanager
def _hold(target: Path) -> Iterator[None]:
    """The lock of one output."""
    path = files.lock_of(target)
    if not target.is_dir():
        files.check_folder(target)
    try:
        handle = _acquire(path, target)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise files.folder_not_writable(target, error) from error
    try:
        if handle is not None:
            files.remove_leftovers(target)
        yield
    finally:
        if handle is not None:
            _release(path, handle)


def _acquire(path: Path, target: Path) -> int | None:
    """Open and lock a lock's file; None where locks do not work, which is said.

    Raises OutputError where it is held, OSError where there can be no such file.
    """
    while True:
        handle = _open(path)
        try:
            if not _lock(handle):
                raise _refused(target, handle)
            if _is_at(path, handle):
                _refuse_other_machine(path, target, handle)
                _write(handle)
                files.unfinished.add(path)
                return handle
        except OutputError:
            os.close(handle)
            raise
        except OSError as error:
            os.close(handle)
            with suppress(OSError):
                path.unlink()
            log.warning(
                "%s: locks do not work there (%s); see to it that nobody else writes it.",
                target,
                error.strerror,
            )
            return None
        os.close(handle)  # whoever held it has removed the file since: here is another one


def _open(path: Path) -> int:
    """Open a lock's file, made where it is missing, but never what a link leads to."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    handle = os.open(path, flags, 0o666)
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(handle)
        raise OSError(errno.EEXIST, f"{path.name} is no file of a lock")
    return handle


def _lock(handle: int) -> bool:
    """Lock an open file, if nobody else has."""
    try:
        if files.WINDOWS:
            os.lseek(handle, LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in HELD:
            return False
        raise
    return True


def _is_at(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat(follow_symlinks=False))
    except OSError:
        return False


def _release(path: Path, handle: int) -> None:
    with suppress(OSError):
        # While it is held: afterwards it might be another one's.
        if not files.WINDOWS and _is_at(path, handle):
            path.unlink()
    os.close(handle)
    if files.WINDOWS:
        with suppress(OSError):
            path.unlink()
    files.unfinished.discard(path)


def _write(handle: int) -> None:
    """Say in a lock's file whose it is."""
    holder = {"process": os.getpid(), **_machine(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
    os.ftruncate(handle, 0)
    os.lseek(handle, 0, os.SEEK_SET)
    os.write(handle, json.dumps(holder).encode())


def _machine() -> dict[str, str]:
    try:
        boot = BOOT.read_text().strip()
    except OSError:
        boot = ""
    return {"host": socket.gethostname(), "boot": boot}


def _holder(handle: int) -> dict[str, str]:
    """What stands in a lock's file; empty where that is nothing of ours."""
    os.lseek(handle, 0, os.SEEK_SET)
    try:
        facts = json.loads(os.read(handle, 4096))
        return {key: ascii(str(facts[key]))[1:-1] for key in ("process", "host", "boot", "since")}
    except (ValueError, TypeError, KeyError, OSError):
        return {}


def _refused(target: Path, handle: int) -> OutputError:
    holder = _holder(handle)
    for _ in range(PATIENCE):
        if holder:
            break
        # Whoever has it has not written down yet who that is.
        time.sleep(0.02)
        holder = _holder(handle)
    who = " (process {process} on {host}, since {since})".format(**holder) if holder else ""
    return OutputError(
        f"{target}: another geofcn{who} is writing this; wait for it to end, or give another name."
    )


def _refuse_other_machine(path: Path, target: Path, handle: int) -> None:
    """Raise OutputError for a lock that another machine has left, or holds where we cannot see."""
    holder, here = _holder(handle), _machine()
    if not holder or holder["host"] == here["host"] or (here["boot"] == holder["boot"] != ""):
        return
    raise OutputError(
        f"{target}: a geofcn on another machine (process {{process}} on {{host}}, since {{since}}) "
        "is writing this, or was killed; if it is gone, delete {path} and run the same command "
        "again.".format(path=path, **holder)
    )
