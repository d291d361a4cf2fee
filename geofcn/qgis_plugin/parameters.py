"""Parameters of QGIS, and their values as geofcn takes them."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsMapLayer,
    QgsProcessing,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFile,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterFolderDestination,
    QgsProcessingParameterMapLayer,
    QgsProcessingParameterMatrix,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
    QgsProcessingParameterVectorDestination,
    QgsProcessingParameterVectorLayer,
    QgsProcessingUtils,
    QgsProviderRegistry,
    QgsVectorFileWriter,
)

from .description import (
    CHOICE,
    FLAG,
    FOLDER_OUT,
    INTEGER,
    LAYER,
    MODEL,
    NUMBER,
    PAGE_OUT,
    RASTER,
    RASTER_OUT,
    TABLE,
    VECTOR,
    VECTOR_OUT,
    Parameter,
)

POLYGONS, RASTERS = QgsProcessing.TypeVectorPolygon, QgsProcessing.TypeRaster
# What geofcn understands of a layer's source.
UNDERSTOOD = ("path", "layerName", "subset", "geometryType")


def make_parameter(parameter: Parameter) -> QgsProcessingParameterDefinition:
    """The parameter of QGIS, with its widget, help and default."""
    key, label = parameter.key, parameter.label
    kind = parameter.kind
    optional = not (parameter.required or kind == FLAG or parameter.default is not None)
    if kind == FLAG:
        made = QgsProcessingParameterBoolean(key, label, False)
    elif kind == CHOICE:
        made = QgsProcessingParameterEnum(
            key, label, list(parameter.choices), False, parameter.default, optional, True
        )
    elif kind in (INTEGER, NUMBER):
        made = _number(parameter, optional)
    elif kind == TABLE:
        made = QgsProcessingParameterMatrix(
            key, label, 1, False, list(parameter.choices), None, optional
        )
    elif kind == RASTER:
        made = QgsProcessingParameterRasterLayer(key, label, None, optional)
    elif kind == VECTOR:
        made = QgsProcessingParameterVectorLayer(key, label, [POLYGONS], None, optional)
    elif kind == LAYER:
        made = QgsProcessingParameterMapLayer(key, label, None, optional, [POLYGONS, RASTERS])
    elif kind == MODEL:
        made = QgsProcessingParameterFile(
            key, label, QgsProcessingParameterFile.File, "safetensors", None, optional
        )
    elif kind == RASTER_OUT:
        made = QgsProcessingParameterRasterDestination(
            key, label, None, optional, not parameter.option
        )
    elif kind == VECTOR_OUT:
        made = QgsProcessingParameterVectorDestination(
            key, label, POLYGONS, None, optional, not parameter.option
        )
    elif kind == PAGE_OUT:
        made = QgsProcessingParameterFileDestination(
            key, label, "HTML (*.html)", None, optional, False
        )
    elif kind == FOLDER_OUT:
        made = QgsProcessingParameterFolderDestination(key, label, None, optional)
    else:
        made = QgsProcessingParameterString(key, label, parameter.default, False, optional)
    made.setHelp(parameter.help)
    if parameter.advanced:
        made.setFlags(made.flags() | QgsProcessingParameterDefinition.FlagAdvanced)
    return made


def _number(parameter: Parameter, optional: bool) -> QgsProcessingParameterNumber:
    is_whole = parameter.kind == INTEGER
    made = QgsProcessingParameterNumber(
        parameter.key,
        parameter.label,
        QgsProcessingParameterNumber.Integer if is_whole else QgsProcessingParameterNumber.Double,
        parameter.default,
        optional,
    )
    if parameter.least is not None:
        made.setMinimum(parameter.least)
    if parameter.most is not None:
        made.setMaximum(parameter.most)
    return made


def read_parameter(
    algorithm: QgsProcessingAlgorithm,
    parameter: Parameter,
    values: dict[str, Any],
    context: QgsProcessingContext,
    feedback: QgsProcessingFeedback,
) -> Any:
    """A value as `geofcn.qgis_plugin.command.arguments` takes it.

    Raises QgsProcessingException for a layer that is no file.
    """
    key, kind = parameter.key, parameter.kind
    if kind == FLAG:
        return algorithm.parameterAsBoolean(values, key, context)
    if kind in (RASTER_OUT, VECTOR_OUT):
        return algorithm.parameterAsOutputLayer(values, key, context)
    if kind in (PAGE_OUT, FOLDER_OUT):
        return algorithm.parameterAsFileOutput(values, key, context)
    if values.get(key) is None:
        return None
    if kind in (RASTER, VECTOR, LAYER):
        layer = algorithm.parameterAsLayer(values, key, context)
        if layer is None:
            raise QgsProcessingException(f"{parameter.label}: there is no such layer.")
        return _source(layer, context, feedback)
    if kind == CHOICE:
        return algorithm.parameterAsEnumString(values, key, context)
    if kind == INTEGER:
        return algorithm.parameterAsInt(values, key, context)
    if kind == NUMBER:
        return algorithm.parameterAsDouble(values, key, context)
    if kind == TABLE:
        return algorithm.parameterAsMatrix(values, key, context)
    return algorithm.parameterAsString(values, key, context)


def _source(
    layer: QgsMapLayer, context: QgsProcessingContext, feedback: QgsProcessingFeedback
) -> str:
    """The name of a layer's file, with what counts of it; a copy of one that is in no file."""
    if layer.providerType() == "gdal":
        return layer.source()
    if layer.type() != QgsMapLayer.VectorLayer:
        raise QgsProcessingException(
            f"{layer.name()}: this layer is no raster file; save it as a GeoTIFF, and choose that."
        )
    if layer.isModified():
        feedback.pushWarning(f"{layer.name()}: edits that are not saved do not count.")
    parts = QgsProviderRegistry.instance().decodeUri(layer.providerType(), layer.source())
    told = {name for name, value in parts.items() if value}
    if layer.providerType() == "ogr" and told.issubset(UNDERSTOOD):
        return layer.source()
    return _copy(layer, context)


def _copy(layer: QgsMapLayer, context: QgsProcessingContext) -> str:
    path = QgsProcessingUtils.generateTempFilename("labels.gpkg")
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.driverName, options.layerName = "GPKG", "labels"
    error, reason, *_ = QgsVectorFileWriter.writeAsVectorFormatV3(
        layer, path, context.transformContext(), options
    )
    if error != QgsVectorFileWriter.NoError:
        raise QgsProcessingException(f"{layer.name()}: it cannot be copied to a file ({reason}).")
    return path
