"""Synthetic aerial scenes with exact labels."""
