"""Whether values that were read from JSON are of the types that annotations name."""

from __future__ import annotations

from collections.abc import Sequence
from types import UnionType
from typing import Any, Union, get_args, get_origin


def fits(value: object, annotation: Any) -> bool:
    """Whether a value of JSON is of a type; a tuple is a list there, and a float may be whole.

    Parameters
    ----------
    value : object
        In plain JSON types.
    annotation : type
        As `typing.get_type_hints` gives it.

    Examples
    --------
    >>> fits([1, 2], Sequence[int]), fits(["a", "b"], tuple[str, str]), fits(1, float | None)
    (True, True, True)
    >>> fits(True, int), fits(["a"], tuple[str, str]), fits("a", Sequence[str]), fits([], str)
    (False, False, False, False)
    """
    kind, inner = get_origin(annotation) or annotation, get_args(annotation)
    if kind is Any:
        return True
    if kind in (Union, UnionType):
        return any(fits(value, choice) for choice in inner)
    if kind is tuple:
        return isinstance(value, list) and len(value) == len(inner) and all(map(fits, value, inner))
    if kind is Sequence:
        return isinstance(value, list) and all(fits(item, inner[0]) for item in value)
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, int | float) if kind is float else isinstance(value, kind)
