"""Models in formats of other programs: ONNX, and STAC items that describe them."""
