"""geofcn.errors: each error is also the builtin one that fits, and travels between processes."""

import pickle

import pytest

from geofcn import errors
from geofcn.errors import GeofcnError

BUILTIN = {
    "UsageError": ValueError,
    "SceneError": OSError,
    "LabelsError": ValueError,
    "ModelError": ValueError,
    "OutputError": OSError,
    "TrainingError": RuntimeError,
    "WorkersError": RuntimeError,
}


def test_every_error_is_listed_here():
    classes = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, GeofcnError) and value is not GeofcnError
    }
    assert classes == set(BUILTIN)
    assert all(f"{name}" in errors.__doc__ for name in classes)


@pytest.mark.parametrize(("name", "builtin"), BUILTIN.items())
def test_an_error_is_one_sentence_and_the_builtin_one(name, builtin):
    error = getattr(errors, name)("a.tif: it is wrong; mend it.")
    assert isinstance(error, GeofcnError) and isinstance(error, builtin)
    assert str(error) == "a.tif: it is wrong; mend it."
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error) and str(again) == str(error)
    assert not hasattr(error, "exit_code"), "exit codes belong to the command line"
