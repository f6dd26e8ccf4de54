#!/usr/bin/env bash
# Installs the pinned App Server for the end-to-end tests and prints the path of
# its `letta` command.
set -euo pipefail
cd "$(dirname "$0")/.."
dir=$(./scripts/install-npm.sh e2e/appserver 'cd node_modules/@letta-ai/letta-code && node scripts/postinstall-patches.js')
echo "$dir/node_modules/.bin/letta"
