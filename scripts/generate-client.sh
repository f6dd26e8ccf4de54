#!/usr/bin/env bash
# Makes the Go client of the HTTP API anew from docs/openapi.yaml, and notes in
# it which document it was made from.
set -euo pipefail
cd "$(dirname "$0")/.."
out=orchestrator/client/client.gen.go
"${GO:-go}" run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 -config orchestrator/client/generate.yaml docs/openapi.yaml
sum=$(sha256sum docs/openapi.yaml | cut -d' ' -f1)
printf '\n// specification is the SHA-256 of the docs/openapi.yaml that this file was made from.\nconst specification = "%s"\n' "$sum" >>"$out"
gofmt -w "$out"
