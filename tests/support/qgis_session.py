"""A session of QGIS without a window, for tests/qgis_plugin/test_in_qgis.py.

    QT_QPA_PLATFORM=offscreen python3 qgis_session.py PLUGINS PROGRAM FOLDER

It is run by the Python that has QGIS, with the plugin in the folder PLUGINS and geofcn as PROGRAM.
FOLDER has what the fixture `trained` makes; what is found out is printed as JSON.
"""

import json
import sys
from pathlib import Path

import qgis
from qgis.core import (
    QgsApplication,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProject,
    QgsRasterLayer,
    QgsVectorLayer,
)

plugins, program, folder = sys.argv[1:]
folder = Path(folder)
qgis_plugins = [Path(qgis.__file__).parents[1] / "plugins", "/usr/share/qgis/python/plugins"]
sys.path[:0] = [plugins, *map(str, qgis_plugins)]

application = QgsApplication([], True)
application.initQgis()
import processing  # noqa: E402 - needs an application
from processing.core.Processing import Processing  # noqa: E402
from processing.core.ProcessingConfig import ProcessingConfig  # noqa: E402

Processing.initialize()
import geofcn_qgis  # noqa: E402

plugin = geofcn_qgis.classFactory(None)
plugin.initProcessing()
ProcessingConfig.setSettingValue("GEOFCN_PROGRAM", program)


class Feedback(QgsProcessingFeedback):
    """Remembers all that it is told; cancels when a step begins."""

    def __init__(self, cancel_at=None):
        super().__init__(False)
        self.told, self.cancel_at = [], cancel_at

    def _tell(self, text, *_):
        self.told.append(text)

    pushInfo = pushWarning = pushCommandInfo = reportError = _tell

    def setProgressText(self, text):
        self.told.append(text)
        if self.cancel_at and text.startswith(self.cancel_at):
            self.cancel()


project = QgsProject.instance()
scene = QgsRasterLayer(str(folder / "scene.tif"), "scene")
labels = QgsVectorLayer(f"{folder / 'labels.gpkg'}|layername=houses", "labels", "ogr")
labels.setSubsetString("id > 2")
drawn = QgsVectorLayer(f"Polygon?crs={labels.crs().authid()}", "drawn", "memory")
drawn.dataProvider().addFeatures(list(labels.getFeatures()))
project.addMapLayers([scene, labels, drawn])

# Results are loaded as they are from the toolbox.
context = QgsProcessingContext()
context.setProject(project)
before = set(project.mapLayers())
outputs = dict.fromkeys(("MASK", "PROBABILITY", "POLYGONS"), "TEMPORARY_OUTPUT")
model = str(folder / "run" / "best-f1.safetensors")
progress = Feedback()
made = processing.runAndLoadResults(
    "geofcn:infer", {"SCENE": scene, "MODEL": model, **outputs}, progress, context
)
loaded = {
    layer.name(): layer.renderer().type()
    for key, layer in project.mapLayers().items()
    if key not in before
}

commands = {}
for layer in (labels, drawn):
    feedback = Feedback()
    values = {"PREDICTION": made["POLYGONS"], "LABELS": layer}
    scores = processing.run("geofcn:evaluate", values, feedback=feedback)["TEXT"]
    commands[layer.name()] = [feedback.told[0], scores]

training = {"SCENE": scene, "LABELS": labels, "NET": "fcnn", "SCALE": "4", "EPOCHS": 2}
training["OUTPUT"] = str(folder / "from-qgis")
cancelled = Feedback(cancel_at="training")
processing.run("geofcn:train", training, feedback=cancelled)
unfinished = sorted(path.name for path in Path(training["OUTPUT"]).iterdir())
finished = processing.run("geofcn:train", training)

try:
    processing.run("geofcn:polygonize", {"MASK": str(folder / "scene.tif"), "POLYGONS": "a.gpkg"})
    error = ""
except QgsProcessingException as refused:
    error = str(refused)

found = {
    "loaded": loaded,
    "progress": progress.told,
    "commands": commands,
    "cancelled": cancelled.told,
    "unfinished": unfinished,
    "model": finished["MODEL"],
    "error": error,
}
print(json.dumps(found))
