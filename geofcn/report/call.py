"""The call of a verb, as a shell and as Python take it again."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import Any

from geofcn.polygons.outline import DEFAULT_OUTLINE

# Words that say how a call is followed, not what it does; and the one that Python alone has.
LEFT_OUT = ("progress",)
PYTHON_ONLY = ("compute_window",)
# What a command takes without an option, although it can be left out.
ARGUMENTS = ("mask",)
# Options that are given once for each of their values, and those whose values have commas between.
REPEATED = ("and_", "house_value", "co")
WITH_COMMAS = ("bands", "class_weights", "shift_labels")


@dataclass(frozen=True)
class Call:
    """A call of a verb.

    Attributes
    ----------
    verb : str
        Its name.
    positional : tuple
        What is given without a word.
    options : mapping
        All else, but for what is as it would be by default; the words are those of the function.
    in_shell : bool
        Whether a command can say all of it.
    """

    verb: str
    positional: tuple[Any, ...]
    options: Mapping[str, Any]
    in_shell: bool = True

    @classmethod
    def of(cls, verb: Callable[..., object], given: Mapping[str, Any]) -> Call:
        """The call of a function with these arguments, by their words."""
        parameters = signature(verb).parameters
        positional = [
            name
            for name, parameter in parameters.items()
            if name in given and _is_positional(parameter, given[name])
        ]
        options = {
            name: _plain(value)
            for name, value in given.items()
            if name not in (*positional, *LEFT_OUT) and not _is_default(name, value, parameters)
        }
        in_shell = all(
            name in parameters
            and name not in PYTHON_ONLY
            and isinstance(value, str | int | float | tuple | Mapping)
            for name, value in options.items()
        )
        return cls(
            verb.__name__, tuple(_plain(given[name]) for name in positional), options, in_shell
        )

    @property
    def command(self) -> str:
        """For a POSIX shell; names that do not print are quoted as bash and zsh understand it."""
        positional = [str(value) for value in self.positional]
        end = ["--"] if any(value.startswith("-") for value in positional) else []
        options = [word for name, value in self.options.items() for word in _words(name, value)]
        return " ".join(map(quoted, ["geofcn", self.verb, *options, *end, *positional]))

    @property
    def python(self) -> str:
        """For Python."""
        options = (f"{name}={value!r}" for name, value in self.options.items())
        return f"geofcn.{self.verb}({', '.join([*map(repr, self.positional), *options])})"


def quoted(word: str) -> str:
    r"""A word as a shell takes it, on one line.

    Examples
    --------
    >>> print(quoted("scene.tif"), quoted("the scene's.tif"), quoted("a\n.tif"))
    scene.tif 'the scene'"'"'s.tif' $'a\x0a.tif'
    """
    if word.isprintable():
        return shlex.quote(word)
    return f"$'{''.join(map(_escaped, word))}'"


def _escaped(mark: str) -> str:
    if mark.isprintable() and mark not in "'\\":
        return mark
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(mark))


def _plain(value: Any) -> Any:
    """A value with paths as text, and lists as tuples."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return tuple(map(_plain, value)) if isinstance(value, list | tuple) else value


def _is_positional(parameter: Parameter, value: Any) -> bool:
    is_optional = parameter.name in ARGUMENTS and value is not None
    return parameter.default is Parameter.empty or is_optional


def _is_default(name: str, value: Any, parameters: Mapping[str, Parameter]) -> bool:
    if value is None or value is False or (not isinstance(value, int | float) and not value):
        return True
    default = parameters[name].default if name in parameters else None
    # What makes an outline is left to it.
    return bool(value == (getattr(DEFAULT_OUTLINE, name, None) if default is None else default))


def _words(name: str, value: Any) -> Iterator[str]:
    """The words of a command for an option."""
    option = f"--{name.rstrip('_').replace('_', '-')}"
    if value is True:
        yield option
    elif name in REPEATED:
        pairs = isinstance(value, Mapping)
        for one in ("=".join(pair) for pair in value.items()) if pairs else value:
            yield from (option, *_texts(one))
    elif name in WITH_COMMAS and isinstance(value, tuple):
        yield from (option, ",".join(_texts(value)))
    else:
        yield from (option, *_texts(value))


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, tuple):
        return tuple(text for one in value for text in _texts(one))
    is_short = isinstance(value, float) and float(f"{value:g}") == value
    return (f"{value:g}" if is_short else str(value),)
