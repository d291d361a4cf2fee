#!/usr/bin/env bash
# The whole job on a synthetic scene: set-up, sample, train, infer, polygons, scores, picture.
set -euo pipefail
cd "$(dirname "$0")/.."

bash examples/set_up.sh
export PATH="$PWD/.venv/bin:$PATH"

out=sample-run
geofcn sample "$out" --overwrite
geofcn train "$out/scene.tif" "$out/labels.tif" -o "$out/run" --net unet --epochs 80 --overwrite
geofcn infer "$out/scene.tif" "$out/mask.tif" --model "$out/run/best-f1.safetensors" \
    --probability "$out/probability.tif" --overwrite
geofcn polygonize "$out/mask.tif" "$out/houses.gpkg" --probability "$out/probability.tif" \
    --min-area 15 --overwrite
python examples/picture.py "$out" "$out/pipeline.jpg"
echo "$out/run/overlay.png"
geofcn evaluate "$out/mask.tif" "$out/labels.tif"
