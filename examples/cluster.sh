#!/usr/bin/env bash
# A cluster: a scheduler and two workers, here on one machine, and one inference on all of it.
#
#   bash examples/cluster.sh FOLDER MODEL
#
# On several machines, `dask scheduler` runs on one and `dask worker` on each; geofcn has the same
# version on all, and the scene the same path. tls_certificates.sh keeps others out.
set -euo pipefail
model=$(realpath "$2")
mkdir -p "$1"
cd "$1"

say() { printf '\n$ %s\n' "$*"; "$@"; }

geofcn sample town --size 4096 --overwrite --quiet
address=tcp://127.0.0.1:8786
dask scheduler --host 127.0.0.1 --port 8786 --no-dashboard > scheduler.log 2>&1 &
trap 'kill $(jobs -p) 2> /dev/null' EXIT
for number in 1 2; do
    dask worker "$address" --nthreads 1 --no-dashboard --name "worker-$number" \
        > "worker-$number.log" 2>&1 &
done

say geofcn infer town/scene.tif there.tif --model "$model" --scheduler "$address" --overwrite
say geofcn infer town/scene.tif here.tif --model "$model" --overwrite
say cmp here.tif there.tif
echo "the same bytes"
