"""How labels are named: a file, and in it a layer, a choice of features, or values of houses.

The form is that of QGIS, `FILE|layername=NAME|subset=SQL`, and for rasters `FILE|house=V,V`. Labels
that lie beside the houses of their scene are moved by `FILE|shift=X,Y`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from geofcn.errors import UsageError
from geofcn.io.files import StrPath

LAYER, SUBSET, HOUSE, SHIFT = "layername", "subset", "house", "shift"
# What QGIS adds, and what is seen from the file itself.
NEEDLESS = ("geometrytype", "uniqueGeometryType")


@dataclass(frozen=True)
class LabelSource:
    """A file of labels, and what counts in it.

    Attributes
    ----------
    path : str
        The file.
    layer : str or None
        The layer that counts; None: the only one.
    where : str or None
        The features that count, as a condition of SQL; None: all.
    house_values : tuple of float
        A raster's values for houses, all others being background; empty: as its values tell.
    shift : tuple of (float, float)
        By how many metres on the ground they are moved along x and y of the scene's CRS; empty: not
        at all.

    Examples
    --------
    >>> source = LabelSource.of("town.gpkg|layername=roofs|subset=kind = 'house'")
    >>> source.path, source.layer, source.where
    ('town.gpkg', 'roofs', "kind = 'house'")
    >>> print(LabelSource.of("classes.tif", house_values=[2, 3]))
    classes.tif|house=2,3
    """

    path: str
    layer: str | None = None
    where: str | None = None
    house_values: tuple[float, ...] = ()
    shift: tuple[float, ...] = ()

    @classmethod
    def of(
        cls,
        name: StrPath,
        layer: str | None = None,
        where: str | None = None,
        house_values: Sequence[float] = (),
        shift: Sequence[float] | None = None,
    ) -> LabelSource:
        """The source of a name in the form of QGIS, or of one with what is given besides.

        Raises
        ------
        UsageError
            Where what follows a `|` has no meaning, or is given besides.
        """
        source = _parse(os.fspath(name))
        moved = _two(source.path, _floats(shift)) if shift else ()
        given = cls(source.path, layer, where, _floats(house_values), moved)
        for field in ("layer", "where", "house_values", "shift"):
            said = getattr(source, field), getattr(given, field)
            if all(said) and said[0] != said[1]:
                raise UsageError(
                    f"{os.fspath(name)}: what counts of it is said after the | and by an option as "
                    "well; leave one of them out."
                )
        return cls(
            source.path,
            given.layer or source.layer,
            given.where or source.where,
            given.house_values or source.house_values,
            given.shift or source.shift,
        )

    def __str__(self) -> str:
        values, shift = (
            ",".join(f"{value:.17g}" for value in part) or None
            for part in (self.house_values, self.shift)
        )
        parts = (LAYER, self.layer), (HOUSE, values), (SHIFT, shift), (SUBSET, self.where)
        return self.path + "".join(f"|{key}={text}" for key, text in parts if text is not None)


def _parse(name: str) -> LabelSource:
    if "|" not in name or Path(name).exists():
        return LabelSource(name)
    # A condition may hold any character, and comes last.
    head, _, where = name.partition(f"|{SUBSET}=")
    path, *options = head.split("|")
    source = LabelSource(path, where=where or None)
    for option in options:
        key, _, text = option.partition("=")
        if key == LAYER:
            source = replace(source, layer=text)
        elif key == HOUSE:
            source = replace(source, house_values=_numbers(name, key, text))
        elif key == SHIFT:
            source = replace(source, shift=_two(name, _numbers(name, key, text)))
        elif key not in NEEDLESS:
            raise UsageError(
                f"{name}: {option!r} has no meaning; after the file may stand |{LAYER}=NAME, "
                f"|{HOUSE}=VALUE,VALUE, |{SHIFT}=X,Y and, last, |{SUBSET}=SQL."
            )
    return source


def _floats(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(map(float, values))


def _numbers(name: str, key: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"{name}: {key}={text} is no number, nor several with commas.") from None


def _two(name: str, shift: tuple[float, ...]) -> tuple[float, ...]:
    if len(shift) != 2 or not all(map(math.isfinite, shift)):
        raise UsageError(f"{name}: give two numbers of metres, as in {SHIFT}=1.5,-0.8.")
    return shift
