#!/usr/bin/env bash
# Labels as one has them: in another CRS, of several kinds; then twenty houses of a new place.
#
#   bash examples/own_data.sh FOLDER
set -euo pipefail
mkdir -p "$1"
cd "$1"

say() { printf '\n$ %s\n' "$*"; "$@"; }

# Two places, and the cadastre of the first one: degrees, and sheds among the houses.
geofcn sample old --size 1024 --seed 3 --quiet
geofcn sample new --size 1024 --seed 4 --quiet
python - << 'PYTHON'
import geopandas

houses = geopandas.read_file("old/labels.gpkg")
houses["kind"] = ["shed" if area < 60 else "house" for area in houses.area]
houses.to_crs(4326).to_file("cadastre.gpkg", layer="buildings")

# Of the second place twenty houses are drawn, all that lie in one rectangle.
houses = geopandas.read_file("new/labels.gpkg")
west, south, east, north = houses.total_bounds
for share in range(1, 100):
    rectangle = west, north - (north - south) * share / 100, east, north
    drawn = houses.cx[rectangle[0]:rectangle[2], rectangle[1]:rectangle[3]]
    if len(drawn) >= 20:
        break
drawn.to_file("drawn.gpkg", layer="houses")
corner = geopandas.GeoDataFrame(geometry=[drawn.union_all().envelope], crs=houses.crs)
corner.to_file("corner.gpkg", layer="corner")
PYTHON

say geofcn info old/scene.tif cadastre.gpkg
say geofcn train old/scene.tif cadastre.gpkg --where "kind = 'house'" --net unet --epochs 40 -o run
say geofcn infer new/scene.tif before.tif --model run/best-f1.safetensors
say geofcn train new/scene.tif drawn.gpkg --area corner.gpkg --from run/best-f1.safetensors -o taught
say geofcn infer new/scene.tif after.tif --model taught/best-f1.safetensors
say geofcn evaluate before.tif new/labels.gpkg --min-area 15
say geofcn evaluate after.tif new/labels.gpkg --min-area 15
