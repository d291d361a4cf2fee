"""House polygons from aerial scenes of any size.

The verbs are imported on first use, so that `import geofcn` stays cheap.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOMES = {
    "train": "geofcn.train",
    "infer": "geofcn.infer",
    "polygonize": "geofcn.polygonize",
    "evaluate": "geofcn.evaluate",
    "load_model": "geofcn.modelfile",
}

__all__ = ["__version__", "evaluate", "infer", "load_model", "polygonize", "train"]


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'geofcn' has no attribute {name!r}")
    # Importing geofcn.train binds the submodule to the package's name `train`; the verb replaces it.
    verb = getattr(import_module(_HOMES[name]), name)
    globals()[name] = verb
    return verb
