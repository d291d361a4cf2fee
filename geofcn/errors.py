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


class GeofcnError(Exception):
    """An error whose message is one sentence meant for the user."""


class UsageError(GeofcnError, ValueError):
    """Options that contradict each other or the data."""


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
