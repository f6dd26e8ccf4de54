#!/usr/bin/env bash
# Installs the pinned App Server for the end-to-end tests and prints the path of
# its `letta` command. Cached between runs: the directory is named after the
# lock file, and is moved into place only when it is complete.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
src=$root/e2e/appserver
cache=${ORCHESTRATOR_E2E_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/orchestrator-e2e}

for tool in node npm; do
  if ! command -v "$tool" >/dev/null 2>&1; then
    echo "install-appserver: $tool is not installed." >&2
    echo "  The end-to-end tests run the real App Server, which needs Node.js 20 or later with npm: https://nodejs.org" >&2
    exit 3
  fi
done
major=$(node -p 'process.versions.node.split(".")[0]')
if [ "$major" -lt 20 ]; then
  echo "install-appserver: Node.js $(node --version) is too old; the App Server needs 20 or later." >&2
  exit 3
fi

key=$(cat "$src/package.json" "$src/package-lock.json" | sha256sum | cut -c1-16)-node$major-2
dir=$cache/$key
if [ ! -x "$dir/node_modules/.bin/letta" ]; then
  mkdir -p "$cache"
  tmp=$(mktemp -d "$cache/install.XXXXXX")
  trap 'rm -rf "$tmp"' EXIT
  cp -r "$src/." "$tmp/"
  echo "install-appserver: installing the App Server into $dir" >&2
  # Install scripts of dependencies are left out: they compile a terminal library that the tests never use,
  # which needs a C++ compiler and Node's headers from the network. The App Server's own one is run.
  if ! (cd "$tmp" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error &&
    cd node_modules/@letta-ai/letta-code && node scripts/postinstall-patches.js) >"$tmp/npm.log" 2>&1; then
    cat "$tmp/npm.log" >&2
    echo "install-appserver: npm could not install the App Server (see above)." >&2
    exit 1
  fi
  rm -rf "$dir"
  mv "$tmp" "$dir"
  trap - EXIT
fi
echo "$dir/node_modules/.bin/letta"
