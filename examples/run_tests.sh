#!/usr/bin/env bash
# Set up and run the tests against the installed copy (-P keeps the checkout off the path).
set -euo pipefail
cd "$(dirname "$0")/.."

bash examples/set_up.sh
.venv/bin/python -P -m pytest "$@"
