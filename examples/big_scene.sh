#!/usr/bin/env bash
# A scene that takes a while: what it will take, then a crash in the middle, and on to the end.
#
#   bash examples/big_scene.sh FOLDER MODEL [SIZE]
set -euo pipefail
model=$(realpath "$2")
size=${3:-16384}
mkdir -p "$1"
cd "$1"

say() { printf '\n$ %s\n' "$*"; "$@"; }

say geofcn sample big --size "$size" --overwrite
say geofcn info big/scene.tif --model "$model"

infer=(geofcn infer big/scene.tif mask.tif --polygons houses.gpkg --model "$model")
printf '\n$ %s &\n' "${infer[*]}"
"${infer[@]}" 2> /dev/null &
until [ "$(find .mask.tif.work -name '*.shard' 2> /dev/null | wc -l)" -ge 2 ]; do
    sleep 0.2
done
say kill -9 $!
wait $! 2> /dev/null || true
ls mask.tif houses.gpkg 2> /dev/null || echo "neither mask.tif nor houses.gpkg is there"
say "${infer[@]}"

# The whole job without a crash gives the same bytes.
say geofcn infer big/scene.tif again.tif --model "$model"
say cmp mask.tif again.tif
echo "the same bytes"
