"""Every error geofcn raises on purpose, each also the builtin one that fits.

::

    GeofcnError                  one sentence: the file, what is wrong, what to do
    ├── UsageError    ValueError    options that do not go together
    ├── SceneError    OSError       a scene cannot be read as what it should be
    ├── LabelsError   ValueError    labels that do not fit their scene
    ├── ModelError    ValueError    a model file that is damaged or does not fit the scene
    ├── OutputError   OSError       an output that cannot or must not be written
    ├── TrainingError RuntimeError  a training that went wrong
    └── WorkersError  RuntimeError  dask workers that cannot be reached or die
"""

from operator import index

from geofcn.text import printable


class GeofcnError(Exception):
    """An error whose message is one sentence meant for the user, harmless to print."""

    def __init__(self, message: str):
        super().__init__(printable(message))


class UsageError(GeofcnError, ValueError):
    """Options that contradict each other or the data."""


def whole_number(name: str, value: object, least: int) -> int:
    """An option's value as an int, from Python also given as numpy's.

    Raises
    ------
    UsageError
        For what is no whole number, or less than `least`.

    Examples
    --------
    >>> whole_number("tile", 256, least=1)
    256
    >>> whole_number("tile", 0.5, least=1)
    Traceback (most recent call last):
    geofcn.errors.UsageError: tile 0.5: give a whole number from 1 up.
    """
    try:
        number = index(value)  # type: ignore[arg-type]
    except TypeError:
        number = least - 1
    if number < least or isinstance(value, bool):
        raise UsageError(f"{name} {value}: give a whole number from {least} up.")
    return number


class SceneError(GeofcnError, OSError):
    """A scene that cannot be opened or read."""


class LabelsError(GeofcnError, ValueError):
    """Labels that do not belong to their scene, or hold no usable class."""


class ModelError(GeofcnError, ValueError):
    """A model file that is damaged, foreign, or made for other scenes."""


class OutputError(GeofcnError, OSError):
    """An output that exists already, cannot be written, or was written wrong."""


class TrainingError(GeofcnError, RuntimeError):
    """A training that cannot start or has diverged."""


class WorkersError(GeofcnError, RuntimeError):
    """dask workers that cannot be reached, or that die of every try at a task."""
