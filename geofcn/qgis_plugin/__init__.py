"""The QGIS plugin: geofcn's verbs as Processing algorithms.

`geofcn qgis-plugin` copies this folder into a profile, as `geofcn_qgis`, with a `verbs.json` that
tells what the verbs take. QGIS runs it with its own Python, in which there is no geofcn: that is
run as a program. So nothing of it is imported here, and the code is for Python 3.9 and later.
"""

from __future__ import annotations

from typing import Any


def classFactory(iface: Any) -> Any:
    """The plugin, made when QGIS loads it."""
    from .plugin import GeofcnPlugin

    return GeofcnPlugin(iface)
