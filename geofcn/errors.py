"""Every error geofcn raises on purpose.

GeofcnError            one sentence: the file, what is wrong, what to do
├── UsageError         options that do not go together (exit code 2)
├── SceneError         a scene cannot be read as what it should be
├── LabelsError        labels that do not fit their scene
├── ModelError         a model file that is damaged or does not fit the scene
├── OutputError        an output that cannot or must not be written
├── TrainingError      a training that went wrong
└── WorkersError       dask workers that cannot be reached or die
"""


class GeofcnError(Exception):
    """An error whose message is one sentence meant for the user."""

    exit_code = 1


class UsageError(GeofcnError):
    """Options that contradict each other or the data."""

    exit_code = 2


class SceneError(GeofcnError):
    """A scene that cannot be opened or read."""


class LabelsError(GeofcnError):
    """Labels that do not belong to their scene, or hold no usable class."""


class ModelError(GeofcnError):
    """A model file that is damaged, foreign, or made for other scenes."""


class OutputError(GeofcnError):
    """An output that exists already, cannot be written, or was written wrong."""


class TrainingError(GeofcnError):
    """A training that cannot start or has diverged."""


class WorkersError(GeofcnError):
    """dask workers that cannot be reached, or that die of every try at a task."""
