"""House polygons from aerial scenes of any size.

Each verb of the command line is a function of the same name, which takes the same words and returns
a small result that prints itself::

    geofcn.sample, geofcn.info, geofcn.train, geofcn.resume, geofcn.infer, geofcn.polygonize,
    geofcn.review, geofcn.evaluate, geofcn.export, and geofcn.load_model

They are imported on first use, so that ``import geofcn`` stays cheap.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from geofcn.errors import GeofcnError

if TYPE_CHECKING:
    from geofcn.active_learning.review import review
    from geofcn.evaluation.evaluate import evaluate
    from geofcn.exporting.export import export
    from geofcn.forecast.info import info
    from geofcn.inference.infer import infer
    from geofcn.models.model_file import load_model
    from geofcn.polygons.outline import Outline
    from geofcn.polygons.polygonize import polygonize
    from geofcn.synthetic.sample import sample
    from geofcn.training.train import resume, train

__version__ = "0.2.0.dev0"

__all__ = [
    "GeofcnError",
    "Outline",
    "__version__",
    "evaluate",
    "export",
    "infer",
    "info",
    "load_model",
    "polygonize",
    "resume",
    "review",
    "sample",
    "train",
]

_MODULES = {
    "Outline": "geofcn.polygons.outline",
    "evaluate": "geofcn.evaluation.evaluate",
    "export": "geofcn.exporting.export",
    "infer": "geofcn.inference.infer",
    "info": "geofcn.forecast.info",
    "load_model": "geofcn.models.model_file",
    "polygonize": "geofcn.polygons.polygonize",
    "resume": "geofcn.training.train",
    "review": "geofcn.active_learning.review",
    "sample": "geofcn.synthetic.sample",
    "train": "geofcn.training.train",
}


def __getattr__(name: str) -> object:
    """Import a public name on first use (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module 'geofcn' has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
