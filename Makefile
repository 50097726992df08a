# station-agent: make help lists what there is.
SHELL := /bin/bash
GO ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
OUT := build/out
export CGO_ENABLED := 0

.PHONY: help
help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

.PHONY: demo
demo: $(OUT)/station-agent ## the whole path at a pretended bench, to watch; ONCE=1 ends by itself
	@$(GO) run ./build/demo -agent $(OUT)/station-agent $(if $(ONCE),-once)

.PHONY: test
test: $(OUT)/station-agent ## unit tests, import rules, end-to-end tests on real servers
	@build/test.sh

.PHONY: crash
crash: $(OUT)/station-agent ## kill the real agent at random moments; ROUNDS=500
	@ROUNDS=$(or $(ROUNDS),500) $(GO) test -count=1 -timeout 0 -run '^TestCrash' -v ./build/e2e

.PHONY: race
race: ## the race detector over everything that needs no server (wants a C compiler)
	CGO_ENABLED=1 $(GO) test -race -count=1 ./agent ./station/... ./store/record ./uplink/capture ./uplink/certyo ./uplink/deliver ./uplink/uplinktest

.PHONY: lint
lint: ## gofmt, vet for every target, staticcheck
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo 'not gofmt-ed:'; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	GOARCH=arm GOARM=6 $(GO) vet ./agent ./station/... ./store/... ./uplink/...
	$(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...

.PHONY: build
build: ## static binaries for every target into build/out, sizes checked
	@build/build.sh '$(LDFLAGS)'

.PHONY: $(OUT)/station-agent
$(OUT)/station-agent:
	@mkdir -p $(OUT)
	@$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./agent

.PHONY: bench
bench: ## every benchmark
	$(GO) test -run '^$$' -bench . -benchmem ./agent/... ./station/... ./store/... ./uplink/...
	@$(MAKE) --no-print-directory bench-main

.PHONY: bench-main
bench-main: $(OUT)/station-agent ## idle memory, and verdict time with MySQL up and black-holed
	@$(GO) test -count=1 -run '^$$' -bench '^BenchmarkMain$$' -benchtime 1x ./build/e2e

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (default 10s)
	@build/fuzz.sh $(or $(FUZZTIME),10s)

.PHONY: servers
servers: ## MariaDB, MySQL and Mosquitto with Buylo's schema, to look around in; Ctrl-C ends them
	@$(GO) run ./build/servers/run
