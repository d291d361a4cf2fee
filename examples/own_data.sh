#!/usr/bin/env bash
# Labels as one has them: in another CRS, of several kinds; then twenty houses of a new place.
#
#   bash examples/own_data.sh FOLDER
#
# own_data.md shows what it prints.
set -euo pipefail
mkdir -p "$1"
cd "$1"

say() { printf '\n$ %s\n' "$*"; "$@"; }

# Two places, and a register of the buildings in each: in degrees, with sheds among the houses.
geofcn sample old --quiet
geofcn sample new --seed 4 --quiet
python - << 'PYTHON'
import geopandas
import rasterio
from shapely import box

for place in ("old", "new"):
    buildings = geopandas.read_file(f"{place}/labels.gpkg")
    buildings["kind"] = ["shed" if area < 60 else "house" for area in buildings.area]
    buildings.to_crs(4326).to_file(f"{place}-register.gpkg", layer="buildings")

# Of the new place only twenty houses are known at first: those in a strip along its upper edge.
houses = buildings[buildings["kind"] == "house"]
tops = houses.bounds["maxy"].sort_values(ascending=False)
drawn = houses.loc[tops.index[:20]]
drawn.to_file("drawn.gpkg", layer="houses")
with rasterio.open("new/scene.tif") as scene:
    west, south, east, north = scene.bounds
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
