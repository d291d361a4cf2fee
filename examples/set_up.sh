#!/usr/bin/env bash
# Make a virtual environment in .venv and install geofcn, with what its tests need, into it.
set -euo pipefail
cd "$(dirname "$0")/.."

# What an older build left there would be packed, too.
rm -rf build
[ -x .venv/bin/python ] || "${PYTHON:-python3}" -m venv .venv
# Python compiles what is used when it is: all of it at once would take a third of the time.
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-compile \
    --constraint constraints.txt '.[test]'
