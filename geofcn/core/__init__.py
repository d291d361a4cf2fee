"""Arithmetic of windows, grids, pixels, scores and areas: arrays in, arrays out, no files."""
