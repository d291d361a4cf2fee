"""House polygons from aerial scenes of any size.

    geofcn.train, geofcn.infer, geofcn.polygonize, geofcn.evaluate, geofcn.load_model

They are imported on first use, so that `import geofcn` stays cheap.
"""

import sys
from importlib import import_module
from types import ModuleType

__version__ = "0.1.0"

_HOMES = {
    "train": "geofcn.training.train",
    "infer": "geofcn.inference.infer",
    "polygonize": "geofcn.polygons.polygonize",
    "evaluate": "geofcn.evaluation.evaluate",
    "load_model": "geofcn.models.model_file",
}

__all__ = ["__version__", "evaluate", "infer", "load_model", "polygonize", "train"]


class _Package(ModuleType):
    """A package in which a verb hides the module of its own name.

    Importing geofcn.train binds that module to the name `train` here, whoever imports it; the name
    is the verb's.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if name in _HOMES and isinstance(value, ModuleType):
            value = getattr(value, name)
        super().__setattr__(name, value)

    def __getattr__(self, name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module 'geofcn' has no attribute {name!r}")
        verb = getattr(import_module(_HOMES[name]), name)
        super().__setattr__(name, verb)
        return verb


sys.modules[__name__].__class__ = _Package
