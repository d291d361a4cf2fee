"""geofcn in the Processing toolbox."""

from __future__ import annotations

from pathlib import Path

from processing.core.ProcessingConfig import ProcessingConfig, Setting
from qgis.core import Qgis, QgsMessageLog, QgsProcessingProvider
from qgis.PyQt.QtGui import QIcon

from .algorithm import PROGRAM, VerbAlgorithm
from .description import Installation

FOLDER = Path(__file__).parent


class GeofcnProvider(QgsProcessingProvider):
    """The verbs of the geofcn that installed the plugin."""

    def id(self) -> str:
        """What algorithms are named after, as in geofcn:infer."""
        return "geofcn"

    def name(self) -> str:
        """Its name in the toolbox."""
        return "geofcn"

    def icon(self) -> QIcon:
        """Its icon in the toolbox."""
        return QIcon(str(FOLDER / "icon.svg"))

    def load(self) -> bool:
        """Add the setting, and the algorithms."""
        ProcessingConfig.settingIcons[self.name()] = self.icon()
        description = "Program geofcn (empty: the one that installed the plugin, or on PATH)"
        ProcessingConfig.addSetting(Setting(self.name(), PROGRAM, description, ""))
        ProcessingConfig.readSettings()
        self.refreshAlgorithms()
        return True

    def unload(self) -> None:
        """Remove the setting."""
        ProcessingConfig.removeSetting(PROGRAM)

    def loadAlgorithms(self) -> None:
        """Make an algorithm of every verb."""
        try:
            installation = Installation.read(FOLDER / "verbs.json")
        except OSError as error:
            sentence = f"{error.filename}: it is missing; run `geofcn qgis-plugin` again."
            QgsMessageLog.logMessage(sentence, "geofcn", Qgis.Critical)
            return
        for verb in installation.verbs:
            self.addAlgorithm(VerbAlgorithm(verb, installation.command))

    def supportedOutputRasterLayerExtensions(self) -> list[str]:
        """Endings of the rasters that geofcn writes."""
        return ["tif", "tiff"]

    def supportedOutputVectorLayerExtensions(self) -> list[str]:
        """Endings of the vector files that geofcn writes."""
        return ["gpkg", "geojson", "fgb", "parquet", "shp"]

    def supportsNonFileBasedOutput(self) -> bool:
        """Whether it writes into databases or memory: no."""
        return False
