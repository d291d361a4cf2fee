"""Choices and defaults of the verbs' options.

Here, and in `geofcn.recipes` and `geofcn.polygons.outline`, because the command line shows them
without importing what they drive.
"""

RUN = "geofcn-run"
BEST_F1 = "best-f1.safetensors"
MODEL = f"{RUN}/{BEST_F1}"
DEVICES = ("auto", "cpu", "cuda", "mps")
PROBABILITY_DTYPES = ("uint8", "float32")
# The threshold of an inference that is found from the scene's own probabilities, and the model's.
SCENE_THRESHOLD, MODEL_THRESHOLD = "scene", "model"
# Pixels a task of an inference takes on along a row, at the least.
TILE = 1024
# The least intersection over union at which two polygons are the same house.
IOU = 0.5
# Boxes of a review at the most, and their side in metres.
REVIEWED, BOX_SIZE = 20, 60.0
# A synthetic scene's pixels a side, and the fewest into which a house fits.
SAMPLE_SIZE, LEAST_SAMPLE_SIZE = 2048, 128
