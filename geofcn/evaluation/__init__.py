"""Pixel and object scores of a prediction against labels."""
