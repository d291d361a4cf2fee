#!/usr/bin/env bash
# One certificate for a dask cluster that nobody else may join, and dask's settings that name it.
#
#   bash examples/tls_certificates.sh cluster-tls        # then copy the folder to every machine
#   export DASK_CONFIG=$PWD/cluster-tls                  # on every machine, and there:
#   dask scheduler --protocol tls --port 8786            # on one
#   dask worker tls://HOST:8786                          # on those that compute
#   geofcn infer scene.tif mask.tif --scheduler tls://HOST:8786
set -euo pipefail

mkdir -p "$1"
cd "$1"
umask 077
openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj /CN=dask \
    -keyout key.pem -out certificate.pem 2> openssl.log || { cat openssl.log; exit 1; }
cat > tls.yaml << YAML
distributed:
  comm:
    require-encryption: true
    tls:
      ca-file: $PWD/certificate.pem
      scheduler: {cert: $PWD/certificate.pem, key: $PWD/key.pem}
      worker: {cert: $PWD/certificate.pem, key: $PWD/key.pem}
      client: {cert: $PWD/certificate.pem, key: $PWD/key.pem}
YAML
