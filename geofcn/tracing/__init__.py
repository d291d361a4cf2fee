"""Polygons of a 0/1 mask, traced exactly in row bands; numpy only.

`geofcn.tracing.sweep` explains the method and holds what is used from outside: `Sweep`, `Polygons`.
"""
