"""What a dataset is: all files that it is read from, and their state.

A mosaic is as old as the newest of its sources; a mask, a world file or a journal beside a file
changes what is read from it. Work that was done from a dataset is good as long as its identity
stays.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from xml.etree import ElementTree

# Size, time of change of content and of status in nanoseconds; of GDAL's notes a checksum; empty
# for what is no local file. A clock set back moves the first time, not both.
State = tuple[int, ...]
Files = dict[str, State]

# GDAL's notes on a raster: georeference, nodata, masks, and statistics.
NOTES = ".aux.xml"
# What GDAL reads besides a file of this name: notes, masks, overviews, journals of SQLite.
ENDINGS_BESIDE = (NOTES, ".msk", ".ovr", "-wal", "-journal")
# The other parts of a vector file, by its own ending.
PARTS = {
    ".shp": (".shx", ".dbf", ".prj", ".cpg"),
    ".tab": (".dat", ".map", ".id"),
    ".mif": (".mid",),
    ".gml": (".xsd", ".gfs"),
}
# SHA-256 of files that are made for the time of a call: what they hold is what they are.
contents: dict[Path, str] = {}
ARCHIVES = re.compile(r"^(/vsi(zip|tar|gzip|7z|rar)/)+")


def digest(files: Files) -> str:
    """The identity of what is read from some files; empty where not all of them are local ones.

    Examples
    --------
    >>> digest({"https://example.org/scene.tif": ()})
    ''
    """
    if not all(files.values()):
        return ""
    return hashlib.sha256(json.dumps(sorted(files.items())).encode()).hexdigest()


def files_behind(names: Iterable[str]) -> Files:
    """Every file that is read with those named, and its state.

    Parameters
    ----------
    names : iterable of str
        Files by GDAL's names for them: a path, one into an archive, a URL. The sources of a VRT are
        followed, and theirs.

    Returns
    -------
    dict
        Absolute path, or the name of what is no local file -> state.
    """
    files: Files = {}
    waiting, folders = list(names), _Folders()
    while waiting:
        name = waiting.pop()
        path = local_file(name)
        if path is None:
            files[name] = ()
            continue
        if path in contents:
            files[contents[path]] = (len(contents[path]),)
            continue
        if str(path) in files:
            continue
        if found := state(path):
            files[str(path)] = found
        if path.suffix.lower() == ".vrt":
            waiting += _sources(path)
        for other in folders.beside(path):
            if beside := state(other):
                files[str(other)] = beside
    return files


def local_file(name: str) -> Path | None:
    """The local file behind a name of GDAL's, absolute: of a file in an archive, the archive.

    Examples
    --------
    >>> local_file("/vsicurl/https://example.org/scene.tif") is None
    True
    """
    if not ARCHIVES.match(name):
        path = Path(name).absolute()
        return path if path.exists() else None
    inner = Path(ARCHIVES.sub("", name).replace("{", "").replace("}", "")).absolute()
    return next((path for path in (inner, *inner.parents) if path.is_file()), None)


def state(path: Path) -> State:
    """What changes when a file does; empty where there is none, or nothing to be read in it."""
    try:
        status = path.stat()
        if path.name.endswith(NOTES):
            return _state_of_notes(path)
    except OSError:
        return ()
    if path.name.endswith("-wal") and not status.st_size:
        return ()  # whoever opens a GeoPackage may leave an empty journal
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _state_of_notes(path: Path) -> State:
    """The checksum of all but statistics, which whoever looks at a raster may leave there."""
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError:
        return (zlib.crc32(path.read_bytes()),)
    for band in (root, *root.iter("PAMRasterBand")):
        for child in list(band):
            if child.tag == "Histograms":
                band.remove(child)
        for metadata in band.findall("Metadata"):
            for item in list(metadata):
                if item.get("key", "").startswith("STATISTICS_"):
                    metadata.remove(item)
            if not len(metadata):
                band.remove(metadata)
    for band in root.findall("PAMRasterBand"):
        if not len(band):
            root.remove(band)
    # Blanks between elements say nothing, and move with what was taken out.
    told = [
        (element.tag, sorted(element.items()), (element.text or "").strip())
        for element in root.iter()
    ]
    return (zlib.crc32(json.dumps(told).encode()),) if len(root) else ()


def _sources(vrt: Path) -> Iterator[str]:
    """The files that a VRT names as its sources."""
    try:
        tree = ElementTree.parse(vrt)
    except (ElementTree.ParseError, OSError):
        return
    for tag in ("SourceFilename", "SourceDataset"):
        for element in tree.iter(tag):
            name = (element.text or "").strip()
            if name and element.get("relativeToVRT") == "1":
                name = str(vrt.parent / name)
            if name:
                yield name


class _Folders:
    """Names in folders, each of which is listed once."""

    def __init__(self) -> None:
        self._names: dict[Path, dict[str, str]] = {}

    def beside(self, path: Path) -> Iterator[Path]:
        """What is read with a file: the parts and notes beside it, or all that a folder holds."""
        if path.is_dir():
            yield from (path / name for name in self._listed(path).values())
            return
        listed = self._listed(path.parent)
        wanted = [path.name + ending for ending in ENDINGS_BESIDE]
        wanted += [path.stem + ending for ending in PARTS.get(path.suffix.lower(), ())]
        for name in wanted:
            if found := listed.get(name.lower()):
                yield path.parent / found

    def _listed(self, folder: Path) -> dict[str, str]:
        """Names of a folder by their lower case, without locks, which readers leave as well."""
        if folder not in self._names:
            try:
                names = [path.name for path in folder.iterdir() if path.suffix != ".lock"]
            except OSError:
                names = []
            self._names[folder] = {name.lower(): name for name in names}
        return self._names[folder]
