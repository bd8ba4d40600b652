#!/usr/bin/env bash
# The whole experiment, from a bare clone: sets up .venv, then hands its arguments to crawlbench.
set -euo pipefail
extras=all
. -- "${BASH_SOURCE[0]%benchmark.sh}scripts/env.sh"
exec "$python" -P -m bench "$@"
