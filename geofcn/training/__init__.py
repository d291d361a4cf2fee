"""Training loop, data loading, validation and the folder of a run."""
