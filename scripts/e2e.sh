#!/usr/bin/env bash
# Runs the end-to-end tests on the real App Server. Without Node.js it says
# loudly what is left out and succeeds; with CI=true it fails instead.
set -euo pipefail
cd "$(dirname "$0")/.."

status=0
letta=$(./scripts/install-appserver.sh) || status=$?
if [ "$status" -eq 3 ] && [ "${CI:-}" != "true" ]; then
  cat >&2 <<'EOF'

  ############################################################################
  #  LEFT OUT: the end-to-end tests on the real App Server.                  #
  #  They need Node.js 20 or later and npm: https://nodejs.org               #
  #  Then run: make e2e                                                      #
  ############################################################################

EOF
  exit 0
fi
if [ "$status" -ne 0 ]; then
  echo "make e2e: the App Server could not be installed; the end-to-end tests did not run." >&2
  exit 1
fi
export ORCHESTRATOR_E2E_LETTA=$letta
ORCHESTRATOR_E2E_OPENAPI=$(./scripts/install-npm.sh e2e/openapiclient)
export ORCHESTRATOR_E2E_OPENAPI
exec "${GO:-go}" test -race -tags e2e -count=1 -timeout 25m "$@" ./e2e/...
