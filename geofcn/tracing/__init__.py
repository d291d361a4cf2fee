"""Polygons of a 0/1 mask, traced exactly in row bands; numpy only."""
