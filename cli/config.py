"""Options of a verb in a TOML file: `--config FILE` reads them, `--save-config FILE` writes them.

A key is the long name of an option without its dashes, or the name of an argument in the help, in
lower case; `-` and `_` are the same in it. What may be given several times is a list.
"""

from __future__ import annotations

import difflib
import reprlib
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from click.core import ParameterSource

from geofcn.errors import OutputError
from geofcn.io import files
from geofcn.text import printable

GIVEN = (ParameterSource.COMMANDLINE, ParameterSource.DEFAULT_MAP)
# Options that are about the file itself.
OWN = ("config", "save-config")


class CommaSeparated(click.ParamType):
    """A type of numbers with commas, which are a list in TOML."""


def key_of(parameter: click.Parameter) -> str:
    """The key of a parameter of a verb.

    Examples
    --------
    >>> key_of(click.Option(["-w", "--class-weights"])), key_of(click.Argument(["scene"]))
    ('class-weights', 'scene')
    """
    if isinstance(parameter, click.Argument):
        return parameter.human_readable_name.lower()
    return max(parameter.opts, key=len).lstrip("-")


def parameters_of(command: click.Command) -> dict[str, click.Parameter]:
    """What a file may say of a verb, by key."""
    keyed = {key_of(parameter): parameter for parameter in command.params}
    return {key: parameter for key, parameter in keyed.items() if key not in OWN}


def use(ctx: click.Context, parameter: click.Parameter, path: str | None) -> None:
    """Take from a file what the command line does not say; a callback of click.

    Raises
    ------
    UsageError
        Of click: where the file is none, has keys that the verb does not know, or values that its
        options do not take.
    """
    if path is not None:
        ctx.default_map = _read(ctx, path)


def _read(ctx: click.Context, path: str) -> dict[str, Any]:
    """The values of a file by the names of the verb's parameters, as the command line has them."""
    known, values = parameters_of(ctx.command), {}
    for written, value in _table(path).items():
        key = written.replace("_", "-").strip("-")
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"; did you mean {near[0]}?" if near else f"; it has {', '.join(known)}."
            raise _wrong(path, f"{ctx.command.name} has no option {written}{hint}")
        if known[key].name in values:
            raise _wrong(path, f"{key} is in it twice; leave one of them out.")
        try:
            values[known[key].name] = _converted(ctx, known[key], value)
        except _Unfit as wanted:
            raise _wrong(path, f"{written} is {reprlib.repr(value)}; give {wanted}.") from None
        except click.BadParameter as error:
            raise _wrong(path, f"{written}: {error.message}") from error
    return values


def _table(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise _wrong(path, f"it cannot be read ({error.strerror}); check the path.") from error
    except (ValueError, RecursionError) as error:  # of TOML, and of UTF-8
        raise _wrong(path, f"this is no TOML file ({error}); correct it.") from error


def _wrong(path: str, what: str) -> click.UsageError:
    return click.UsageError(printable(f"{path}: {what}"))


class _Unfit(Exception):
    """A value of another type than an option's; says which that is."""


def _converted(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """A value of TOML as the command line would have it, once its option has taken it."""
    if isinstance(parameter, click.Option) and parameter.is_flag:
        if not isinstance(value, bool):
            raise _Unfit("true or false")
        return value
    if isinstance(parameter, click.Option) and parameter.multiple:
        spoken: Any = [_single(parameter, item) for item in _items(value, "a list")]
    else:
        spoken = _single(parameter, value)
    parameter.type_cast_value(ctx, spoken)
    return spoken


def _items(value: Any, wanted: str, count: int | None = None) -> list[Any]:
    if not isinstance(value, list) or count not in (None, len(value)):
        raise _Unfit(wanted)
    return value


def _single(parameter: click.Parameter, value: Any) -> str | list[str]:
    """What stands for one use of an option on the command line."""
    kind, count = parameter.type, parameter.nargs
    if count > 1:
        wanted = f"{'lists' if getattr(parameter, 'multiple', False) else 'a list'} of {count}"
        return [_text(kind, item) for item in _items(value, wanted, count)]
    if isinstance(kind, CommaSeparated) and isinstance(value, list):
        return ",".join(_text(kind, item) for item in value)
    return _text(kind, value)


def _text(kind: click.ParamType, value: Any) -> str:
    """A number or a text as one would type it."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(kind, click.types.IntParamType | click.types.FloatParamType):
        if not is_number:
            raise _Unfit("a number")
    elif isinstance(kind, click.Path | click.Choice | click.types.StringParamType):
        if not isinstance(value, str):
            raise _Unfit("a text")
    elif not (is_number or isinstance(value, str)):
        raise _Unfit("a number or a text")
    if isinstance(value, str) and "\0" in value:  # no command line can have one, no path may
        raise _Unfit("a text without the character NUL")
    return value if isinstance(value, str) else repr(value)


@contextmanager
def saved(path: str | None) -> Iterator[None]:
    """Context after which what the verb was given is written to a file; not after an error.

    Raises
    ------
    OutputError
        Where it cannot, or must not, be written.
    """
    if path is None:
        yield
        return
    ctx = click.get_current_context()
    target = files.check_target(path, (".toml",), bool(ctx.params.get("overwrite")))
    content = as_toml(ctx)
    try:
        encoded = content.encode()
    except UnicodeEncodeError as error:
        name = content[error.start : error.end]
        raise OutputError(
            f"{path}: what is given has a name with {name!r}, which is no text, and a file of "
            "options cannot hold it; rename that file."
        ) from error
    yield
    files.write_whole(target, encoded)


def as_toml(ctx: click.Context) -> str:
    """What a verb was given by the command line and a file, as a file that says it again."""
    import tomli_w

    given = {
        key: ctx.params[parameter.name]
        for key, parameter in parameters_of(ctx.command).items()
        if parameter.name and ctx.get_parameter_source(parameter.name) in GIVEN
    }
    return tomli_w.dumps(given)
