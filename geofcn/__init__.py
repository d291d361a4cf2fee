"""House polygons from aerial scenes of any size.

    geofcn.train, geofcn.infer, geofcn.polygonize, geofcn.evaluate, geofcn.load_model

They are imported on first use, so that `import geofcn` stays cheap.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOMES = {
    "train": "geofcn.training.train",
    "infer": "geofcn.inference.infer",
    "polygonize": "geofcn.polygons.polygonize",
    "evaluate": "geofcn.evaluation.evaluate",
    "load_model": "geofcn.models.model_file",
}

__all__ = ["__version__", "evaluate", "infer", "load_model", "polygonize", "train"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'geofcn' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
