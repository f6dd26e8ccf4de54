#!/usr/bin/env bash
# Runs every fuzz target of the module for the given time each. Making an input
# smaller is bounded, or a long first one takes all of that time.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-30s}
grep -rlE '^func Fuzz[A-Za-z0-9_]+\(' --include='*_test.go' . | xargs -n1 dirname | sort -u | while read -r pkg; do
  for target in $(grep -rhoE '^func Fuzz[A-Za-z0-9_]+\(' --include='*_test.go' "$pkg"/*_test.go | sed -E 's/^func (Fuzz[A-Za-z0-9_]+)\(/\1/'); do
    echo "== $pkg $target ($time)"
    "${GO:-go}" test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 2s "$pkg"
  done
done
