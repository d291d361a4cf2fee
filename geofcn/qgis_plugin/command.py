"""The command line that runs a verb of geofcn."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .description import FLAG, TABLE, Parameter, Verb
from .process import GeofcnError

WHERE_TO_SET = "Settings > Options > Processing > Providers > geofcn"


def find_geofcn(setting: str, installer: Sequence[str]) -> list[str]:
    """The command that runs geofcn.

    Parameters
    ----------
    setting : str
        The program that the user has chosen; empty: none.
    installer : sequence of str
        The command of the geofcn that installed the plugin.

    Raises
    ------
    GeofcnError
        Where there is none.
    """
    if setting:
        return [setting]
    if Path(installer[0]).exists():
        return list(installer)
    found = shutil.which("geofcn")
    if found is None:
        raise GeofcnError(
            f"The program geofcn was not found; install it, or say where it is in {WHERE_TO_SET}."
        )
    return [found]


def arguments(verb: Verb, values: Mapping[str, Any]) -> list[str]:
    """The command line of a verb, without the program.

    Parameters
    ----------
    verb : Verb
        What is to be done.
    values : mapping
        Key of a parameter -> its value: True or False for a flag, a list of cells for a table, else
        a text or a number; None or an empty text where it is left to geofcn. Defaults are left out.

    Raises
    ------
    GeofcnError
        Where of an option of two values one is missing.
    """
    options: list[str] = []
    places: list[str] = []
    for parts in _grouped(verb):
        given = [values.get(part.key) for part in parts]
        wanted = [not _is_left_out(part, value) for part, value in zip(parts, given)]
        if any(wanted) and not all(wanted):
            raise GeofcnError(
                f"{' and '.join(part.label for part in parts)} belong together; give all, or none."
            )
        if not any(wanted):
            continue
        if parts[0].option:
            options += _typed(parts[0], given)
        else:
            places.append(str(given[0]))
    # A path may begin with a dash: what follows -- is no option.
    return [verb.name, *options, "--", *places]


def _grouped(verb: Verb) -> list[list[Parameter]]:
    """The parameters, those of one option together."""
    groups: dict[str, list[Parameter]] = {}
    for parameter in verb.parameters:
        groups.setdefault(parameter.option or parameter.key, []).append(parameter)
    return list(groups.values())


def _is_left_out(parameter: Parameter, value: Any) -> bool:
    # 0 is a value, though equal to False.
    return value is None or value is False or value in ("", []) or value == parameter.default


def _typed(parameter: Parameter, given: Sequence[Any]) -> list[str]:
    """An option with its values, as often as it is to be repeated."""
    option, value = parameter.option, given[0]
    if parameter.kind == FLAG:
        return [option]
    if parameter.kind == TABLE:
        width = len(parameter.choices)
        rows = (value[start : start + width] for start in range(0, len(value), width))
        return [word for row in rows for word in (option, *map(str, row))]
    if parameter.repeated:
        return [word for part in shlex.split(str(value)) for word in (option, part)]
    return [option, *map(str, given)]
