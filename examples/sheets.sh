#!/usr/bin/env bash
# A scene of many sheets: a sample is cut, trained on and predicted; see examples/sheets.md.
set -euo pipefail
cd "$(dirname "$0")/.."

bash examples/set_up.sh
export PATH="$PWD/.venv/bin:$PATH"

out=sheets-run
geofcn sample "$out" --size 1024 --overwrite
python examples/cut_sheets.py "$out/scene.tif" "$out/sheets" 400
rm "$out/sheets/sheet_400_800.tif"
geofcn info "$out/sheets"
geofcn train "$out/sheets" "$out/labels.gpkg" -o "$out/run" --net unet --epochs 10 --overwrite
geofcn infer "$out/sheets/*.tif" "$out/mask.tif" --model "$out/run/best-f1.safetensors" \
    --polygons "$out/houses.gpkg" --overwrite
