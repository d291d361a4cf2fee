"""What the verbs of geofcn take, as parameters of Processing algorithms."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Kinds of parameters. Layers, files and folders that are read:
RASTER, VECTOR, LAYER, MODEL = "raster", "vector", "layer", "model"
# ... and that are written:
RASTER_OUT, VECTOR_OUT, PAGE_OUT, FOLDER_OUT = "raster out", "vector out", "page out", "folder out"
FLAG, CHOICE, INTEGER, NUMBER, TEXT, TABLE = "flag", "choice", "integer", "number", "text", "table"
OUTPUTS = (RASTER_OUT, VECTOR_OUT, PAGE_OUT, FOLDER_OUT)

TITLES = {
    "sample": "Make a sample scene",
    "info": "Describe a scene",
    "train": "Train a model",
    "infer": "Find the houses of a scene",
    "polygonize": "Polygonize a mask",
    "review": "Find where to label next",
    "evaluate": "Score against labels",
}
# What the name of a path means ...
KINDS = {
    "scene": RASTER,
    "labels": LAYER,
    "prediction": LAYER,
    "map": LAYER,
    "area": VECTOR,
    "model": MODEL,
    "from": MODEL,
    "polygons": VECTOR_OUT,
    "boxes": VECTOR_OUT,
    "matches": VECTOR_OUT,
    "report": PAGE_OUT,
    "page": PAGE_OUT,
    "output": FOLDER_OUT,
    "folder": FOLDER_OUT,
    "mask": RASTER,
    "probability": RASTER,
}
# ... but for these verbs.
KINDS_OF_VERB = {("infer", "mask"): RASTER_OUT, ("infer", "probability"): RASTER_OUT}
# Files in a folder that a verb writes, which other algorithms or the map take.
FILES = {
    "sample": {"SCENE": "scene.tif", "LABELS": "labels.gpkg"},
    "train": {"MODEL": "best-f1.safetensors"},
}
# Options that are shown at once; the others are folded away.
BASIC = (
    "area", "contacts", "count", "dense", "epochs", "from", "map", "matches", "min-area", "model",
    "net", "outline", "overwrite", "polygons", "probability", "size", "threshold",
)  # fmt: skip
# For terminals; and running the same again goes on with a training, too.
HIDDEN = ("json", "verbose", "quiet", "debug", "resume", "config", "save-config")
# What says more than the name of an option does.
LABELS = {
    "and": "Further scenes with their labels",
    "co": "Creation options",
    "from": "Model to teach",
    "iou": "IoU",
    "lr": "Learning rate",
    "map": "Map to compare with",
    "output": "Folder of the run",
}
UNITS = {"M2": "m²", "M": "m", "PX": "px"}


@dataclass(frozen=True)
class Parameter:
    """One parameter of an algorithm: an argument, an option, or a part of one of several values.

    Attributes
    ----------
    key : str
        Its name in QGIS.
    label : str
        Shown beside its widget.
    kind : str
        One of the above.
    option : str
        How it is typed, as `--min-area`; empty for an argument.
    help : str
        What it does.
    required, advanced : bool
        Whether it must be given, and whether it is folded away.
    default : str, float, bool or None
        None: geofcn chooses.
    choices : tuple of str
        Of a CHOICE; the headers of a TABLE.
    least, most : float or None
        Bounds of a number.
    repeated : bool
        Whether several values may be given, separated by blanks.
    """

    key: str
    label: str
    kind: str
    option: str = ""
    help: str = ""
    required: bool = False
    advanced: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    repeated: bool = False


@dataclass(frozen=True)
class Verb:
    """A verb of geofcn: its name, title in the toolbox, help, and what it takes, as it is typed."""

    name: str
    title: str
    help: str
    parameters: tuple[Parameter, ...]

    @property
    def as_shown(self) -> list[Parameter]:
        """The parameters as a dialog has them: what is needed, the rest, then what is written."""
        return sorted(self.parameters, key=lambda p: (p.kind in OUTPUTS, not p.required))

    @property
    def files(self) -> dict[str, str]:
        """Key of a further output -> its name in the folder that the verb writes."""
        return FILES.get(self.name, {})


@dataclass(frozen=True)
class Installation:
    """The geofcn that installed the plugin: the command that runs it, and its verbs."""

    command: tuple[str, ...]
    verbs: tuple[Verb, ...]

    @classmethod
    def read(cls, path: Path) -> Installation:
        """What `geofcn qgis-plugin` has written down; OSError where it has not."""
        told = json.loads(path.read_text(encoding="utf-8"))
        verbs = (describe(name, told["verbs"][name]) for name in TITLES if name in told["verbs"])
        return cls(tuple(told["command"]), tuple(verbs))


def describe(name: str, told: dict[str, Any]) -> Verb:
    """A verb as an algorithm, from what its command line says of itself."""
    parameters = [
        parameter
        for option in told["parameters"]
        if _word(option) not in HIDDEN
        for parameter in _parameters(name, option)
    ]
    return Verb(name, TITLES[name], told["help"], tuple(parameters))


def _word(option: dict[str, Any]) -> str:
    """The name by which an option is typed, without its dashes."""
    return str(option["option"] or option["name"]).lstrip("-")


def _parameters(verb: str, option: dict[str, Any]) -> list[Parameter]:
    """The parameters of an option: one, but of an option of several values one for each of them."""
    word = _word(option)
    key = word.upper().replace("-", "_")
    if option["nargs"] == 1:
        return [_single(verb, word, key, option)]
    parts = [part.lower() for part in option["metavar"].split()]
    if option["multiple"]:
        headers = tuple(part.capitalize() for part in parts)
        return [_from(option, key, _label(word), TABLE, advanced=True, choices=headers)]
    return [
        _from(
            option,
            f"{key}_{part.upper()}",
            f"{_label(word)}: {part}",
            _kind(verb, part, option),
            advanced=word not in BASIC,
        )
        for part in parts
    ]


def _single(verb: str, word: str, key: str, option: dict[str, Any]) -> Parameter:
    is_path = option["type"]["param_type"] == "Path"
    default = option["default"]
    required = (
        option["required"]
        # The command line looks for it where it is called, which is nowhere in QGIS.
        or (is_path and default is not None)
        # The command line can go on with a training without them.
        or (verb == "train" and not option["option"])
    )
    return _from(
        option,
        key,
        _label(word, option["metavar"]),
        _kind(verb, word, option),
        required=required,
        advanced=not required and bool(option["option"]) and word not in BASIC,
        default=None if is_path else default,
        choices=tuple(option["type"].get("choices", ())),
        least=option["type"].get("min"),
        most=option["type"].get("max"),
        repeated=option["multiple"],
    )


def _from(option: dict[str, Any], key: str, label: str, kind: str, **more: Any) -> Parameter:
    return Parameter(key, label, kind, option["option"] or "", option["help"] or "", **more)


def _kind(verb: str, word: str, option: dict[str, Any]) -> str:
    kind = option["type"]["param_type"]
    if kind == "Path":
        return KINDS_OF_VERB.get((verb, word)) or KINDS.get(word, TEXT)
    if option["is_flag"]:
        return FLAG
    if option["multiple"]:
        return TEXT
    if "choices" in option["type"]:
        return CHOICE
    return INTEGER if kind.startswith("Int") else NUMBER if kind.startswith("Float") else TEXT


def _label(word: str, metavar: str | None = None) -> str:
    unit = UNITS.get(metavar or "")
    label = LABELS.get(word) or word.replace("-", " ").capitalize().replace("crs", "CRS")
    return f"{label} ({unit})" if unit else label
