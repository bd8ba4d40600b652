#!/usr/bin/env bash
# The whole experiment, from a bare clone: sets up .venv, then hands its arguments to crawlbench.
# Without arguments, or with options first, that is `crawlbench run`.
set -euo pipefail
. -- "${BASH_SOURCE[0]%benchmark.sh}scripts/env.sh"
case "${1:-}" in
    "") set -- run ;;
    -h | --help | --version) ;;
    -*) set -- run "$@" ;;
esac
exec "$python" -P -m bench "$@"
