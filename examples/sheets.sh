#!/usr/bin/env bash
# A scene of many sheets: sample, cut into sheets, train, infer; see examples/sheets.md.
set -euo pipefail
cd "$(dirname "$0")/.."

bash examples/set_up.sh
export PATH="$PWD/.venv/bin:$PATH"

out=sheets-run
geofcn sample "$out" --size 1024 --overwrite
mkdir -p "$out/sheets"
for row in 0 1; do
    for col in 0 1; do
        rio clip "$out/scene.tif" "$out/sheets/sheet_${row}_${col}.tif" --overwrite \
            --bounds "$(python examples/sheet_bounds.py "$out/scene.tif" 2 "$row" "$col")"
    done
done
geofcn info "$out/sheets"
geofcn train "$out/sheets" "$out/labels.gpkg" -o "$out/run" --epochs 20 --overwrite
geofcn infer "$out/sheets/*.tif" "$out/mask.tif" --model "$out/run/best-f1.safetensors" \
    --polygons "$out/houses.gpkg" --overwrite
