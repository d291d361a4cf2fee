"""Runs `geofcn` commands in a process that lacks what only POSIX systems have.

    python without_posix.py COMMAND [COMMAND ...]

One after the other in one process, in which what one command left open is in the way of the next.

For geofcn, modules and functions are missing; for the whole process, what is open for reading only
and folders cannot be synced, and a file that is open or mapped into memory can be neither replaced
nor removed, as on Windows. Linux only: /proc tells what is open.
"""

from __future__ import annotations

import builtins
import os
import pathlib
import shlex
import stat
import sys
import types

MODULES = {"fcntl", "grp", "posix", "pwd", "resource", "syslog", "termios", "tty"}
FUNCTIONS = (
    "fork", "getgid", "getuid", "mkfifo", "register_at_fork", "sched_getaffinity",
    "sched_setaffinity", "setsid", "statvfs", "sync",
)  # fmt: skip
READ_ONLY_FLAGS = os.O_WRONLY | os.O_RDWR


class WindowsOs(types.ModuleType):
    """The module os without what only POSIX systems have."""

    O_BINARY = 0

    def __getattr__(self, name: str):
        if name in FUNCTIONS:
            raise AttributeError(f"module 'os' has no attribute {name!r}")
        return getattr(os, name)


def hide_posix() -> None:
    """Let geofcn find no POSIX module or function; other packages look at the platform instead."""
    import_module, windows_os, msvcrt = builtins.__import__, WindowsOs("os"), make_msvcrt()

    def importing(name, globals=None, locals=None, fromlist=(), level=0):
        importer = (globals or {}).get("__name__", "")
        if importer.partition(".")[0] in ("geofcn", "geofcn_cli"):
            if name in MODULES:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)
            if name == "os":
                return windows_os
            if name == "msvcrt":
                return msvcrt
        return import_module(name, globals, locals, fromlist, level)

    builtins.__import__ = importing


def make_msvcrt() -> types.ModuleType:
    """The one function of Windows' own module that geofcn uses, made of what there is."""
    import fcntl

    windows = types.ModuleType("msvcrt")
    windows.LK_NBLCK = fcntl.LOCK_EX | fcntl.LOCK_NB
    windows.locking = lambda handle, mode, count: fcntl.flock(handle, mode)
    return windows


def refuse_odd_syncs() -> None:
    sync = os.fsync

    def fsync(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode) or not flags_of(handle) & READ_ONLY_FLAGS:
            raise PermissionError(13, "Access is denied", f"handle {handle}")
        sync(handle)

    os.fsync = fsync


def flags_of(handle: int) -> int:
    with open(f"/proc/self/fdinfo/{handle}") as file:
        return next(int(line.split()[1], 8) for line in file if line.startswith("flags"))


def is_open(path: str) -> bool:
    """Whether this process has the file open, or mapped into its memory."""
    real = os.path.realpath(path)
    for handle in list(pathlib.Path("/proc/self/fd").iterdir()):
        try:
            if str(handle.readlink()) == real:
                return True
        except OSError:
            pass  # the handle by which the folder was listed
    with open("/proc/self/maps") as file:
        return any(line.rstrip("\n").endswith(real) for line in file)


def refuse_to_touch_open_files() -> None:
    def guard(function, count: int):
        def guarded(*paths, **options):
            for path in paths[:count]:
                if isinstance(path, str | os.PathLike) and is_open(os.fspath(path)):
                    raise PermissionError(13, "It is being used by another process", str(path))
            return function(*paths, **options)

        return guarded

    for name, count in (("replace", 2), ("rename", 2), ("unlink", 1), ("remove", 1)):
        setattr(os, name, guard(getattr(os, name), count))


def main() -> None:
    hide_posix()
    refuse_odd_syncs()
    refuse_to_touch_open_files()
    from geofcn.io import files
    from geofcn_cli.main import main as geofcn

    files.WINDOWS = True
    for command in sys.argv[1:]:
        geofcn(shlex.split(command), prog_name="geofcn", standalone_mode=False)


if __name__ == "__main__":
    main()
