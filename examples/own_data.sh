#!/usr/bin/env bash
# Labels as one has them: in another CRS, of several kinds; then twenty houses of a new place.
#
#   bash examples/own_data.sh FOLDER
#
# own_data.md shows what it prints.
set -euo pipefail
mkdir -p "$1"
cd "$1"

say() {
    local word
    printf '\n$'
    for word in "$@"; do
        [[ $word == *" "* ]] && word="\"$word\""
        printf ' %s' "$word"
    done
    printf '\n'
    "$@"
}

# Two places, and a register of the buildings in each: in degrees, with sheds among the houses.
geofcn sample old --quiet
geofcn sample new --seed 4 --quiet
python - << 'PYTHON'
import geopandas
import numpy as np
import rasterio
from shapely import box

for place in ("old", "new"):
    buildings = geopandas.read_file(f"{place}/labels.gpkg")
    buildings["kind"] = ["shed" if area < 60 else "house" for area in buildings.area]
    buildings.to_crs(4326).to_file(f"{place}-register.gpkg", layer="buildings")

# The new place was photographed after a dry summer: what was green there is yellow.
with rasterio.open("new/scene.tif", "r+") as scene:
    red, green, blue = bands = scene.read()
    dry = np.stack([0.5 * red + 0.5 * green + 30, 0.35 * red + 0.55 * green + 15, 0.6 * blue])
    scene.write(np.where(scene.dataset_mask() == 0, bands, dry.clip(1, 255)).astype(np.uint8))
    west, south, east, north = scene.bounds

# Twenty of its houses are drawn: all those in a strip along its upper edge.
houses = buildings[buildings["kind"] == "house"]
tops = houses.bounds["maxy"].sort_values(ascending=False)
drawn = houses.loc[tops.index[:20]]
drawn.to_file("drawn.gpkg", layer="houses")
strip = box(west, tops.iloc[20], east, north)
rest = box(west, south, east, drawn.bounds["miny"].min())
for name, part in (("strip", strip), ("rest", rest)):
    geopandas.GeoSeries([part], crs=houses.crs).to_file(f"{name}.gpkg", layer=name)
PYTHON

say geofcn info old/scene.tif old-register.gpkg --where "kind = 'house'"
say geofcn train old/scene.tif old-register.gpkg --where "kind = 'house'" --net unet --epochs 40 \
    -o run
say geofcn infer new/scene.tif before.tif --model run/best-f1.safetensors
say geofcn train new/scene.tif drawn.gpkg --area strip.gpkg --from run/best-f1.safetensors -o taught
say geofcn infer new/scene.tif after.tif --model taught/best-f1.safetensors
for mask in before.tif after.tif; do
    say geofcn evaluate "$mask" new-register.gpkg --where "kind = 'house'" --area rest.gpkg \
        --min-area 15
done
