"""What QGIS loads: a plugin that brings a provider of algorithms."""

from __future__ import annotations

from typing import Any

from qgis.core import QgsApplication

from .provider import GeofcnProvider


class GeofcnPlugin:
    """The plugin; `iface` is QGIS's window, or None in qgis_process."""

    def __init__(self, iface: Any):
        self._provider = GeofcnProvider()

    def initProcessing(self) -> None:
        """Show the algorithms in the toolbox."""
        QgsApplication.processingRegistry().addProvider(self._provider)

    def initGui(self) -> None:
        """Begin, where there is a window."""
        self.initProcessing()

    def unload(self) -> None:
        """End."""
        QgsApplication.processingRegistry().removeProvider(self._provider)
