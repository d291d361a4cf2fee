"""GeoDataFrames and open datasets where a verb takes a file, from Python.

A frame is written to a file for the time of the call, and read as every other file is.
"""

from __future__ import annotations

import functools
import hashlib
import os
import tempfile
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from inspect import signature
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import rasterio.io

from geofcn.errors import LabelsError, UsageError
from geofcn.io import identity

P = ParamSpec("P")
R = TypeVar("R")


def takes_frames(*names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator of verbs whose parameters of these names may be frames, or open datasets.

    A GeoDataFrame or GeoSeries becomes the name of a file, which is gone after the call; a dataset
    that rasterio has opened for reading becomes its own name. Within a tuple or list, too.

    Raises
    ------
    UsageError
        By the verb, for what is no path either.
    LabelsError
        By the verb, for a frame that no file can hold.
    """

    def wrap(verb: Callable[P, R]) -> Callable[P, R]:
        shape = signature(verb)

        @functools.wraps(verb)
        def taking(*args: P.args, **kwargs: P.kwargs) -> R:
            given = shape.bind(*args, **kwargs)
            with ExitStack() as files:
                for name in given.arguments.keys() & set(names):
                    given.arguments[name] = _named(given.arguments[name], name, files)
                return verb(*given.args, **given.kwargs)

        return taking

    return wrap


def _named(value: Any, name: str, files: ExitStack) -> Any:
    """What stands for a value among paths."""
    if value is None or isinstance(value, str | os.PathLike):
        return value
    if isinstance(value, tuple | list):
        return tuple(_named(item, name, files) for item in value)
    if isinstance(value, rasterio.io.DatasetReader):
        return value.name
    if hasattr(value, "geometry") and hasattr(value, "to_file"):
        return _written(value, name, files)
    raise UsageError(
        f"{name}: a {type(value).__name__} is neither a path nor a GeoDataFrame nor an open "
        "dataset; write it to a file (an array with its CRS and transform, by rasterio) and give "
        "its name."
    )


def _written(frame: Any, name: str, files: ExitStack) -> str:
    """A file of a frame, that is the same one for the same content; it goes with `files`."""
    folder = files.enter_context(tempfile.TemporaryDirectory(prefix="geofcn-"))
    path = Path(folder) / f"{name}.fgb"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a frame without CRS is refused where it has to be
            # Without an index the order stays.
            frame.to_file(path, driver="FlatGeobuf", index=False, SPATIAL_INDEX="NO")
    except Exception as error:  # whatever GDAL and geopandas raise
        raise LabelsError(
            f"{name}: this frame cannot be written to a file ({error}); leave columns out that are "
            "no numbers or texts."
        ) from error
    with open(path, "rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    files.callback(identity.contents.pop, path, None)
    identity.contents[path] = content
    return str(path)
