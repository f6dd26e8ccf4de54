# make help lists the targets. Everything here needs Go and git; `e2e`, and `test` with it, needs Node.js too.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

GO            ?= go
BIN           := bin/orchestrator
TOOLS         := $(CURDIR)/.cache/tools
GOLANGCI      := v2.15.0
GOLANGCI_LINT := $(TOOLS)/golangci-lint-$(GOLANGCI)
FUZZTIME      ?= 30s
VERSION       := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

.PHONY: help build demo test lint unit e2e chaos fuzz bench clean generate

help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/orchestrator
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-X main.version=$(VERSION)" -o $(BIN) ./cmd/orchestrator

demo: build ## watch a planner, a coder and a reviewer change a scratch repository (no model, no Node.js)
	@./scripts/demo.sh

test: lint unit e2e chaos ## everything: lint, unit tests with -race, end-to-end tests on the real App Server, the short form of chaos

lint: $(GOLANGCI_LINT) ## gofmt, go vet and golangci-lint
	$(GO) mod tidy -diff
	$(GO) vet ./...
	$(GOLANGCI_LINT) run ./...

$(GOLANGCI_LINT):
	@mkdir -p $(TOOLS)
	GOBIN=$(TOOLS) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI)
	mv $(TOOLS)/golangci-lint $@

unit: ## unit tests with -race
	$(GO) test -race -timeout 25m ./...

e2e: ## end-to-end tests on the real App Server, which is installed with npm when it is not there
	@./scripts/e2e.sh

chaos: ## kill the daemon and the App Server, cut the network, count what was lost or doubled (LONG=1: 1000 kills; SEED=N: again)
	@LONG="$(LONG)" SEED="$(SEED)" ./scripts/chaos.sh

fuzz: ## fuzz every parser for FUZZTIME each
	@./scripts/fuzz.sh $(FUZZTIME)

bench: ## measure speed and memory, compare with the last result, write the table of docs/performance.md (ONLY=part ROUNDS=n QUICK=1 REAL=0)
	@ONLY="$(ONLY)" ROUNDS="$(ROUNDS)" QUICK="$(QUICK)" REAL="$(REAL)" ./scripts/bench.sh

generate: ## regenerate what is generated: docs, golden files, the client of the API
	$(GO) test ./workflow ./workflow/graph ./orchestrator/teamtest ./orchestrator/config ./orchestrator/api -update
	./scripts/generate-client.sh

clean: ## remove what the other targets made
	rm -rf bin .cache
