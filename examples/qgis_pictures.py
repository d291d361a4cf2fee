"""The pictures of examples/qgis.md, drawn by QGIS without a window.

    QT_QPA_PLATFORM=offscreen python3 examples/qgis_pictures.py FOLDER PROFILE

Run it by the Python that has QGIS (/usr/bin/python3 on Debian). FOLDER holds scene.tif, mask.tif,
probability.tif and houses.gpkg; PROFILE is one into which `geofcn qgis-plugin` has installed.
"""

import sys
from pathlib import Path

import qgis
from qgis.core import (
    QgsApplication,
    QgsMapRendererSequentialJob,
    QgsMapSettings,
    QgsProject,
    QgsRasterLayer,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QSize
from qgis.PyQt.QtGui import QColor, QImage, QPainter

SIDE, GAP = 420, 8

folder, profile, pictures = Path(sys.argv[1]), Path(sys.argv[2]), Path(__file__).parent
installed = Path(qgis.__file__).parents[1] / "plugins", Path("/usr/share/qgis/python/plugins")
sys.path[:0] = map(str, [profile / "python" / "plugins", *installed])
application = QgsApplication([], True)
application.initQgis()

scene = QgsRasterLayer(str(folder / "scene.tif"))
layers = [
    QgsRasterLayer(str(folder / "mask.tif")),
    QgsRasterLayer(str(folder / "probability.tif")),
    QgsVectorLayer(f"{folder / 'houses.gpkg'}|layername=houses", "houses", "ogr"),
]
picture = QImage(3 * SIDE + 2 * GAP, SIDE, QImage.Format_RGB32)
picture.fill(QColor("white"))
painter = QPainter(picture)
for number, layer in enumerate(layers):
    settings = QgsMapSettings()
    settings.setLayers([layer, scene])  # the first lies on top
    settings.setDestinationCrs(scene.crs())
    settings.setExtent(scene.extent())
    settings.setOutputSize(QSize(SIDE, SIDE))
    job = QgsMapRendererSequentialJob(settings)
    job.start()
    job.waitForFinished()
    painter.drawImage(number * (SIDE + GAP), 0, job.renderedImage())
painter.end()
picture.save(str(pictures / "qgis_styles.jpg"), quality=80)
print(pictures / "qgis_styles.jpg")

# The dialog of an algorithm, with the scene in the project.
from processing.core.Processing import Processing  # noqa: E402 - needs an application
from processing.gui.AlgorithmDialog import AlgorithmDialog  # noqa: E402

Processing.initialize()
import geofcn_qgis  # noqa: E402

plugin = geofcn_qgis.classFactory(None)
plugin.initProcessing()
scene.setName("scene")
QgsProject.instance().addMapLayer(scene)
algorithm = QgsApplication.processingRegistry().createAlgorithmById("geofcn:infer")
dialog = AlgorithmDialog(algorithm, False, None)
dialog.resize(900, 660)
dialog.show()
application.processEvents()
dialog.grab().save(str(pictures / "qgis_dialog.png"))
print(pictures / "qgis_dialog.png")
