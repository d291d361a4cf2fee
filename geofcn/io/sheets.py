"""Scenes of many sheets: a folder, a pattern or a list of rasters that are read as one.

The sheets are found here; `geofcn.io.sheet_headers` sees whether they fit each other, and
`geofcn.io.tile_index` makes one raster of them.
"""

from __future__ import annotations

import glob
import os
import re
from fnmatch import fnmatch
from pathlib import Path

from geofcn.errors import OutputError, SceneError
from geofcn.io.drivers import COLLECTIONS, DRIVERS, driver_of
from geofcn.io.files import (
    StrPath,
    is_elsewhere,
    is_missing,
    is_pattern,
    is_special,
    no_ordinary_file,
    no_such_file,
)
from geofcn.io.identity import tile_index

LIST = ".txt"
# Tile indexes of GDAL's driver GTI. That of GDAL 3.10 leaves a sheet blank in a window that begins
# where it does (https://github.com/OSGeo/gdal/pull/12799), so an index is read as a list.
INDEXES = (".gti", ".gti.gpkg")


def names_sheets(name: str) -> bool:
    """Whether a path is that of several rasters: a folder, a pattern, a list or a tile index.

    Examples
    --------
    >>> names_sheets("sheets.txt"), names_sheets("sheets/*.tif"), names_sheets("scene.tif")
    (True, True, False)
    """
    if is_elsewhere(name):
        return False
    is_one = _is_list(name) or is_index(name) or is_pattern(name)
    return is_one or os.path.isdir(name)  # noqa: PTH112 - as is_missing


def find_sheets(name: str) -> list[str]:
    """The rasters that a folder holds, that fit a pattern, or that a list names, in their order.

    That is the natural one of their names (9 before 10), then of their paths; of a tile index its
    own. Of a folder those count that end as a raster, but no hidden file and no VRT or tile index,
    which would be made of the others; of a pattern all that end as a raster. A list is text in
    UTF-8 with a path on each line, from its own folder on; blank lines and those that start with #
    say nothing.

    Raises
    ------
    SceneError
        Where there are none, or a list cannot be read or names what is no raster.
    """
    if is_index(name):
        _, found = tile_index(name)
    elif _is_list(name):
        found = _listed(name)
    elif is_pattern(name):
        found = [path for path in glob.glob(name, recursive=True) if driver_of(path)]  # noqa: PTH207
    else:
        found = _in_folder(name)
    if is_index(name) and is_missing(name):
        raise SceneError(no_such_file(name))
    if not found:
        raise SceneError(
            f"{name}: no raster is found by it; name a raster, a folder of rasters, a pattern in "
            'quotes ("sheets/*.tif") or a text file that lists them.'
        )
    found = list(dict.fromkeys(found))
    return found if is_index(name) else sorted(found, key=_natural)


def holds_sheets(name: str, endings: tuple[str, ...]) -> bool:
    """Whether a path is that of a folder in which a sheet has one of some endings."""
    if is_elsewhere(name) or not os.path.isdir(name):  # noqa: PTH112 - as is_missing
        return False
    return any(path.lower().endswith(endings) for path in _in_folder(name))


def is_index(name: str) -> bool:
    """Whether a path is that of a tile index.

    Examples
    --------
    >>> is_index("town.gti.gpkg"), is_index("town.gpkg")
    (True, False)
    """
    return name.lower().endswith(INDEXES)


def lengths(name: str) -> list[tuple[str, int]]:
    """Name and bytes of every sheet on this machine; empty for what is one raster."""
    if not names_sheets(name):
        return []
    found = map(Path, find_sheets(name))
    return [(str(sheet), sheet.stat().st_size) for sheet in found if sheet.exists()]


def refuse_new_sheet(scene: str, output: StrPath | None) -> None:
    """Check that a raster to be written would not be a sheet of a scene the next time.

    Raises
    ------
    OutputError
        Where it lies in the folder of the sheets, or fits their pattern.
    """
    if output is None or not names_sheets(scene) or _is_list(scene) or is_index(scene):
        return
    target = Path(output).absolute()
    pattern = Path(scene)
    if not is_pattern(scene):
        is_one = _is_in(target, scene)
    elif pattern.name == "**":
        is_one = any(_is_in(target, folder) for folder in glob.iglob(scene, recursive=True))  # noqa: PTH207
    else:
        folders = glob.iglob(str(pattern.parent), recursive=True)  # noqa: PTH207
        is_one = fnmatch(target.name, pattern.name) and any(_is_in(target, f) for f in folders)
    if is_one:
        raise OutputError(
            f"{output}: it would be one of the sheets of {scene} the next time; write it to "
            "another folder."
        )


def _is_in(path: Path, folder: str) -> bool:
    """Whether a file is, or would be, in a folder, whichever ways lead to the two."""
    return path.parent.resolve() == Path(folder).resolve()


def _is_list(name: str) -> bool:
    return name.lower().endswith(LIST)


def _in_folder(name: str) -> list[str]:
    try:
        return [str(path) for path in Path(name).iterdir() if _is_sheet(path.name)]
    except OSError as error:
        raise SceneError(
            f"{name}: this folder cannot be looked into ({error.strerror}); see to its permissions."
        ) from error


def _is_sheet(name: str) -> bool:
    return not name.startswith(".") and driver_of(name) not in (None, *COLLECTIONS)


def _listed(name: str) -> list[str]:
    if is_special(name):
        raise SceneError(no_ordinary_file(name))
    try:
        text = Path(name).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        if is_missing(name):
            raise SceneError(no_such_file(name)) from error
        raise SceneError(
            f"{name}: it cannot be read as a list of rasters, text in UTF-8 with a path on each "
            "line; write it anew."
        ) from error
    lines = [line.strip() for line in text.splitlines()]
    entries = [line for line in lines if line and not line.startswith("#")]
    for entry in entries:
        if driver_of(entry) in (None, "GTI"):
            raise SceneError(
                f"{name}: it lists {entry}, which ends in none of {', '.join(DRIVERS)}, or is an "
                "index of others; list rasters only."
            )
    folder = Path(name).parent
    return [entry if is_elsewhere(entry) else str(folder / entry) for entry in entries]


def _natural(path: str) -> tuple[list[tuple[int, str]], str]:
    """A key by which names sort as people count: 9 before 10."""
    parts = re.findall(r"[0-9]+|[^0-9]+", Path(path).name.casefold())
    return [(int(part), "") if part[0] in "0123456789" else (-1, part) for part in parts], path
