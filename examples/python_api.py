"""The verbs from Python: train on a scene, infer it, polygonize and score the result.

python examples/python_api.py SCENE LABELS FOLDER
"""

import sys
from pathlib import Path

import geofcn

scene, labels, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])

history = geofcn.train(scene, labels, folder / "run", epochs=20, overwrite=True)
print(f"F1 {history[-1].f1:.3f} on the blocks kept for validation")

model = folder / "run" / "best-f1.safetensors"
geofcn.infer(scene, folder / "mask.tif", model=model, overwrite=True)
count = geofcn.polygonize(folder / "mask.tif", folder / "houses.gpkg", overwrite=True)
scores = geofcn.evaluate(folder / "mask.tif", labels)
print(f"{count} polygons, F1 {scores['pixels']['f1']:.3f} over the whole scene")
