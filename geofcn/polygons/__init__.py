"""From masks to building footprints: outlines regularized, measured, written."""
