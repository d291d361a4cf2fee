"""Forecasts: what is odd about a scene, its labels and a model, and what work on them will take."""
