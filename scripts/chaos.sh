#!/usr/bin/env bash
# Runs the chaos tests: kills, cuts, and counts. The short form takes a minute or
# two, the long one (LONG=1) about an hour. SEED=N makes the choices of an earlier run
# again; arguments go to the test binary, such as -test.run TestChaos/network.
# Without Node.js it says loudly what is left out; with CI=true it fails instead.
set -euo pipefail
cd "$(dirname "$0")/.."

status=0
letta=$(./scripts/install-appserver.sh) || status=$?
if [ "$status" -eq 3 ] && [ "${CI:-}" != "true" ]; then
  letta=
  echo "chaos: LEFT OUT: the real App Server, which needs Node.js 20 or later and npm: https://nodejs.org" >&2
elif [ "$status" -ne 0 ]; then
  echo "make chaos: the App Server could not be installed; nothing ran." >&2
  exit 1
fi
export ORCHESTRATOR_E2E_LETTA=$letta

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"${GO:-go}" test -tags faults -run Killed ./orchestrator/store
"${GO:-go}" test -c -tags faults -o "$dir/chaos" ./e2e/chaos
args=(-test.timeout 25m -test.parallel 10)
if [ -n "${LONG:-}" ]; then
  args=(-test.timeout 3h -test.parallel 10 -long)
fi
if [ -n "${SEED:-}" ]; then
  args+=(-seed "$SEED")
fi
cd e2e/chaos
"$dir/chaos" "${args[@]}" "$@"
