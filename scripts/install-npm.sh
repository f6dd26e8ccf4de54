#!/usr/bin/env bash
# Installs the pinned npm packages of a directory of this repository and prints
# where. Cached between runs: the directory is named after the lock file, and is
# moved into place only when it is complete.
#
#   install-npm.sh DIR [COMMAND]    COMMAND is run in it after the installation
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
src=$root/$1
after=${2:-true}
cache=${ORCHESTRATOR_E2E_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/orchestrator-e2e}

for tool in node npm; do
  if ! command -v "$tool" >/dev/null 2>&1; then
    echo "install-npm: $tool is not installed." >&2
    echo "  The end-to-end tests run the real App Server, which needs Node.js 20 or later with npm: https://nodejs.org" >&2
    exit 3
  fi
done
major=$(node -p 'process.versions.node.split(".")[0]')
if [ "$major" -lt 20 ]; then
  echo "install-npm: Node.js $(node --version) is too old; 20 or later is needed." >&2
  exit 3
fi

key=$(cat "$src/package.json" "$src/package-lock.json" | sha256sum | cut -c1-16)-node$major-2
dir=$cache/$key
if [ ! -d "$dir" ]; then
  mkdir -p "$cache"
  tmp=$(mktemp -d "$cache/install.XXXXXX")
  trap 'rm -rf "$tmp"' EXIT
  cp -r "$src/." "$tmp/"
  echo "install-npm: installing the packages of $1 into $dir" >&2
  # Install scripts of dependencies are left out: they compile a terminal library that the tests never use,
  # which needs a C++ compiler and Node's headers from the network.
  if ! (cd "$tmp" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && eval "$after") >"$tmp/npm.log" 2>&1; then
    cat "$tmp/npm.log" >&2
    echo "install-npm: npm could not install the packages of $1 (see above)." >&2
    exit 1
  fi
  # Another run may have been faster.
  mv -T "$tmp" "$dir" 2>/dev/null || [ -d "$dir" ]
fi
echo "$dir"
