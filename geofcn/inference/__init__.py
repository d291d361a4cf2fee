"""Tiled inference of a whole scene, restartable, and what it will take."""
