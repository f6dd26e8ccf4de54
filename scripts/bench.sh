#!/usr/bin/env bash
# Runs the benchmark program. Without Node.js it leaves out the real App Server and says so.
# ONLY=handoff,memory measures parts; ROUNDS=N each so often; QUICK=1 is small and stores nothing;
# REAL=1 fails where the real App Server cannot be had, REAL=0 leaves it out.
set -euo pipefail
cd "$(dirname "$0")/.."

args=(-root .)
if [ -n "${ONLY:-}" ]; then args+=(-only "$ONLY"); fi
if [ -n "${ROUNDS:-}" ]; then args+=(-rounds "$ROUNDS"); fi
if [ -n "${QUICK:-}" ]; then args+=(-quick); fi
if [ "${REAL:-}" != 0 ]; then
  status=0
  letta=$(./scripts/install-appserver.sh) || status=$?
  if [ "$status" -eq 0 ]; then
    args+=(-letta "$letta")
  elif [ "$status" -ne 3 ] || [ "${REAL:-}" = 1 ]; then
    echo "bench: the App Server could not be installed." >&2
    exit 1
  fi
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"${GO:-go}" build -o "$dir/bench" ./internal/bench
"$dir/bench" "${args[@]}"
