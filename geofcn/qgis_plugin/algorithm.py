"""A verb of geofcn as an algorithm."""

from __future__ import annotations

import html
import shlex
from pathlib import Path
from typing import Any

from processing.core.ProcessingConfig import ProcessingConfig
from qgis.core import (
    QgsMapLayer,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingLayerPostProcessorInterface,
    QgsProcessingOutputFile,
    QgsProcessingOutputMapLayer,
    QgsProcessingOutputString,
)

from . import command, process
from .description import OUTPUTS, Verb
from .parameters import make_parameter, read_parameter

# The setting: which program is geofcn.
PROGRAM = "GEOFCN_PROGRAM"
# What a verb prints, as an output.
TEXT = "TEXT"


class _OwnStyle(QgsProcessingLayerPostProcessorInterface):
    """Shows a layer in the style that geofcn saved with it: Processing would pass that over."""

    def postProcessLayer(
        self, layer: QgsMapLayer, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> None:
        """Load the style, where there is one."""
        layer.loadDefaultStyle()
        layer.triggerRepaint()


# QGIS does not keep it alive.
OWN_STYLE = _OwnStyle()


class VerbAlgorithm(QgsProcessingAlgorithm):
    """Runs one verb.

    Parameters
    ----------
    verb : Verb
        Which one.
    installer : sequence of str
        The command of the geofcn that installed the plugin.
    """

    def __init__(self, verb: Verb, installer: tuple[str, ...]):
        super().__init__()
        self._verb, self._installer = verb, installer
        self._values: dict[str, Any] = {}

    def createInstance(self) -> VerbAlgorithm:
        """Another one, to be run."""
        return VerbAlgorithm(self._verb, self._installer)

    def name(self) -> str:
        """Its name: the verb."""
        return self._verb.name

    def displayName(self) -> str:
        """Its title in the toolbox."""
        return self._verb.title

    def shortHelpString(self) -> str:
        """The help of the verb and of its options, as HTML."""
        paragraphs = [
            f"<p>{html.escape(' '.join(text.split()))}</p>"
            for text in self._verb.help.split("\n\n")
        ]
        for parameter in self._verb.as_shown:
            if parameter.help:
                told = f"<b>{html.escape(parameter.label)}</b>: {html.escape(parameter.help)}"
                paragraphs.append(f"<p>{told}</p>")
        # QGIS makes breaks of line ends.
        return "".join(paragraphs)

    def initAlgorithm(self, configuration: Any = None) -> None:
        """Make parameters and outputs."""
        for parameter in self._verb.as_shown:
            self.addParameter(make_parameter(parameter))
        for key, name in self._verb.files.items():
            kind = QgsProcessingOutputFile if key == "MODEL" else QgsProcessingOutputMapLayer
            self.addOutput(kind(key, name))
        self.addOutput(QgsProcessingOutputString(TEXT, "What geofcn prints"))

    def prepareAlgorithm(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> bool:
        """Look at the layers, which belong to the main thread, in which this is called."""
        self._values = {
            parameter.key: read_parameter(self, parameter, parameters, context, feedback)
            for parameter in self._verb.parameters
        }
        return True

    def processAlgorithm(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        """Run geofcn; return what it wrote and printed."""
        setting = str(ProcessingConfig.getSetting(PROGRAM) or "")
        try:
            line = [
                *command.find_geofcn(setting, self._installer),
                *command.arguments(self._verb, self._values),
            ]
            feedback.pushCommandInfo(shlex.join(line))
            printed = process.run(line, feedback)
        except process.Stopped:
            return {}
        except process.GeofcnError as error:
            raise QgsProcessingException(str(error)) from error
        results = {p.key: self._values[p.key] for p in self._verb.parameters if p.kind in OUTPUTS}
        for path in results.values():
            if context.willLoadLayerOnCompletion(path):
                context.layerToLoadOnCompletionDetails(path).setPostProcessor(OWN_STYLE)
        return {**results, **self._files(results, context), TEXT: "\n".join(printed)}

    def _files(self, results: dict[str, Any], context: QgsProcessingContext) -> dict[str, str]:
        """The further outputs, in the folder that the verb wrote; layers are to be shown."""
        files = {
            key: str(Path(folder) / name)
            for folder in results.values()
            for key, name in self._verb.files.items()
        }
        for key, path in files.items():
            if key != "MODEL":
                details = QgsProcessingContext.LayerDetails(Path(path).name, context.project(), key)
                context.addLayerToLoadOnCompletion(path, details)
        return files
