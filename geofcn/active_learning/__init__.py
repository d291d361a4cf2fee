"""Active learning: where a new label would teach a model most."""
