#!/usr/bin/env bash
# The demo: a planner, a coder and a reviewer change a scratch Git repository.
# What the agents say is scripted; the engine, the protocol, the tools and the
# repository are real. Needs Go and git, and touches nothing outside a temporary directory.
set -euo pipefail
cd "$(dirname "$0")/.."
orchestrator=$PWD/bin/orchestrator
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
repo=$scratch/greet
mkdir "$repo"

cat >"$repo/go.mod" <<'EOF'
module greet

go 1.24
EOF
cat >"$repo/greet.go" <<'EOF'
// Package greet greets people.
package greet

// Greet greets name.
func Greet(name string) string { return "Hello, " + name + "!" }
EOF
git -C "$repo" init -q -b main
git -C "$repo" add -A
git -C "$repo" -c user.name=demo -c user.email=demo@example.invalid commit -q -m "A package that greets"

step() { printf '\n$ %s\n' "$*"; }

step 'orchestrator run examples/teams/plan-code-review.yaml --input goal="Greet in English and German"' "--input repo=$repo"
"$orchestrator" run examples/teams/plan-code-review.yaml \
  --input goal="Greet in English and German" --input repo="$repo" \
  --app-server scripted:examples/scripts/plan-code-review.yaml --data-dir "$scratch/data" --key demo

task=$("$orchestrator" list --data-dir "$scratch/data" --json | sed -n 's/.*"task": *"\([^"]*\)".*/\1/p' | head -1)
step orchestrator show "$task"
"$orchestrator" show "$task" --data-dir "$scratch/data"

step git diff
git -C "$repo" add -AN
git -C "$repo" --no-pager diff --stat
git -C "$repo" --no-pager diff
