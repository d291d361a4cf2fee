"""The verbs from Python: train on a scene, infer it, polygonize and score the result.

python examples/python_api.py SCENE LABELS FOLDER
"""

import sys
from pathlib import Path

import geofcn

scene, labels, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])

# The default net is better on scenes never seen; this one is trained in a third of the time.
training = geofcn.train(scene, labels, folder / "run", net="unet", epochs=20, overwrite=True)
print(f"F1 {training.best.f1:.3f} on the blocks kept for validation")

inference = geofcn.infer(scene, folder / "mask.tif", model=training.model, overwrite=True)
houses = geofcn.polygonize(inference.mask, folder / "houses.gpkg", overwrite=True)
scores = geofcn.evaluate(inference.mask, labels)
print(f"{houses.count} polygons, F1 {scores.pixels.f1:.3f} over the whole scene")
