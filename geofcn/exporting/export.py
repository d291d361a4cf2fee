"""Export a model to ONNX, with a STAC item that describes it."""

from __future__ import annotations

from geofcn.errors import ModelError
from geofcn.exporting.graph import Tiling
from geofcn.exporting.onnx_file import refuse_missing_onnx, to_onnx
from geofcn.exporting.result import ExportResult
from geofcn.exporting.stac import stac_item
from geofcn.io.files import StrPath, check_target, refuse_equal_names, write_whole
from geofcn.io.locks import locked
from geofcn.models.model import Model
from geofcn.models.model_file import load_model


def export(
    model: StrPath, out: StrPath, *, stac: StrPath | None = None, overwrite: bool = False
) -> ExportResult:
    """Write a model as ONNX, for other programs: QGIS's Deepness, onnxruntime.

    The graph takes values of a scene divided by 255 and gives probabilities, those that
    `geofcn.infer` writes, of tiles that are valid as a whole and at the training's ground
    resolution. Which tiles there are, and how far they must overlap, is in its metadata.

    Parameters
    ----------
    model : path
        From `geofcn.train`; one of the recipe `exercise`, whose normalisation depends on a tile's
        place in the scene, is refused.
    out : path
        File to write: .onnx.
    stac : path, optional
        A STAC item (.json) with the Machine Learning Model extension to write, too.
    overwrite : bool
        Replace files that exist.

    Returns
    -------
    ExportResult
        Paths, and the side of a tile.

    Raises
    ------
    GeofcnError
        One sentence that says what is wrong: ModelError, OutputError, or UsageError where the
        packages of the extra `onnx` are missing.
    """
    refuse_missing_onnx()
    loaded = load_model(model)
    _refuse_mean_image(loaded, model)
    with locked(out, stac):
        target = check_target(out, (".onnx",), overwrite, model)
        item = None if stac is None else check_target(stac, (".json",), overwrite, model)
        refuse_equal_names([path for path in (target, item) if path is not None])
        tiling = Tiling.of(loaded.geometry)
        write_whole(target, to_onnx(loaded, tiling))
        if item is not None:
            write_whole(item, stac_item(loaded, tiling, target, item))
        return ExportResult(target, tiling.side, item)


def _refuse_mean_image(model: Model, path: StrPath) -> None:
    if model.normalisation.mean.shape[1] > 1:
        raise ModelError(
            f"{path}: its normalisation depends on where in the scene a tile lies, which the tiles "
            "of other programs do not tell; train by another recipe than exercise."
        )
