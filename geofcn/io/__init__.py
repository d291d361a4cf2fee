"""Rasters and vectors read and written; the only package that opens files of a GIS."""
