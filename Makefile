# station-agent: make help lists what there is.
SHELL := /bin/bash
GO ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
OUT := build/out
export CGO_ENABLED := 0
# Nobody we talk to needs HTTP/2, and it is half a megabyte of the device binary.
export GOFLAGS := $(strip $(GOFLAGS) -tags=nethttpomithttp2)

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

.PHONY: model
model: $(OUT)/station-agent ## random operators at three stations, one database, a breaking world: SECONDS=600, ROUNDS=1, SEED=n
	@env STATION_AGENT_BINARY=$(CURDIR)/$(OUT)/station-agent SECONDS=$(or $(SECONDS),600) ROUNDS=$(or $(ROUNDS),1) \
		$(GO) test -count=1 -timeout 0 -v -run '^TestThreeStations$$' ./build/model

.PHONY: hostile
hostile: $(OUT)/station-agent ## 100,000 hostile bytes a second at a port of every protocol for SECONDS=60, while a packer packs
	@env STATION_AGENT_BINARY=$(CURDIR)/$(OUT)/station-agent FLOOD=$(or $(SECONDS),60) $(GO) test -count=1 -timeout 0 -v -run '^TestFloods$$' ./build/e2e

.PHONY: matrix
matrix: ## every way of finding changes on each server, against what was committed, while everything breaks: ROUNDS=5, SEED=n
	@MATRIX=full ROUNDS=$(or $(ROUNDS),5) $(GO) test -count=1 -timeout 0 -v -run '^TestMatrix$$' ./build/matrix

.PHONY: powercut
powercut: ## cut the power of a card under a working store at every moment, in QEMU
	@POWERCUTS=full $(GO) test -count=1 -timeout 0 -v -run '^TestPowerCuts$$' ./build/powercut

.PHONY: vm
vm: ## the real agent on stock Debian kernels in QEMU: lamps, button, USB scanners, keyboard; arm64, armv7, raspi0
	@VM=full $(GO) test -count=1 -timeout 15m -v -run '^TestVM' ./build/vm

.PHONY: faults
faults: ## break every operation and damage every page under the whole store, on a FUSE card
	@DAMAGE=all $(GO) test -count=1 -timeout 0 -run '^TestDamage' ./store
	@FAULTFS_FULL=1 $(GO) test -count=1 -timeout 0 ./build/faultfs

.PHONY: arm
arm: ## the store and the codecs as programs of an ARMv6, the codecs as those of a 64-bit Pi, played by QEMU: what CI runs
	@build/arm.sh short armv6
	@build/arm.sh short arm64

.PHONY: test-arm
test-arm: ## all unit tests that need no server as programs of an ARMv6 and of a 64-bit Pi, played by QEMU
	@build/arm.sh full armv6
	@build/arm.sh full arm64

.PHONY: race
race: ## the race detector over what needs no server, or not for long (wants a C compiler)
	GORACE=atexit_sleep_ms=10 CGO_ENABLED=1 $(GO) test -race -count=1 -skip '^Test(Walk|OwnBookkeeping|ATableThat|SnapshotModes|AServerThatIsAway|AKeptWay|BackToTheLog|AWayThat|AChangeOfWay)' ./agent ./station/... ./store/record ./uplink/capture ./uplink/certyo ./uplink/deliver ./uplink/fleet/... ./uplink/uplinktest ./build/combos

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

.PHONY: bench-bench
bench-bench: ## what the bench costs from a reader's bytes on: every protocol, the presence of 500 tags
	@$(GO) test -count=1 -run '^$$' -bench '^BenchmarkBench$$' -benchtime 1x ./build/benchbench

.PHONY: bench-packing
bench-packing: $(OUT)/station-agent ## verdict with MySQL up, slow and black-holed; how fast a thousand packages drain
	@STATION_AGENT_BINARY=$(CURDIR)/$(OUT)/station-agent $(GO) test -count=1 -timeout 20m -run '^$$' -bench '^BenchmarkPacking$$' -benchtime 1x ./build/benchpacking

.PHONY: bench-store
bench-store: ## flushes and bytes on the card, scans on a slow card, a million waiting; SHORT=1: only what needs no clock
	@$(GO) test -count=1 -timeout 20m $(if $(SHORT),-v -run '^TestCardBytes$$',-run '^$$' -bench '^BenchmarkStore$$' -benchtime 1x) ./build/benchstore

.PHONY: bench-db
bench-db: ## what 5, 50 and 500 stations cost the database, by polling and by the binary log; SHORT=1
	@SHORT=$(SHORT) $(GO) test -count=1 -timeout 30m -run '^$$' -bench '^BenchmarkDB$$' -benchtime 1x ./build/benchdb

.PHONY: bench-capture
bench-capture: $(OUT)/station-agent ## catching up beside the bare library, a steady stream beside the guide's poller; SHORT=1: less of both, in a minute
	@STATION_AGENT_BINARY=$(CURDIR)/$(OUT)/station-agent SHORT=$(SHORT) $(GO) test -count=1 -timeout 30m -run '^$$' -bench '^BenchmarkCapture$$' -benchtime 1x ./build/benchcapture

.PHONY: bench-deliver
bench-deliver: ## a full outbox to a sink beside bare posts of the same bodies, a million records in little memory; SHORT=1: fewer
	@SHORT=$(SHORT) $(GO) test -count=1 -timeout 30m -run '^$$' -bench '^BenchmarkDeliver$$' -benchtime 1x ./build/benchdeliver

.PHONY: fleet-sim
fleet-sim: $(OUT)/station-agent ## what 50, 100, 250 and STATIONS=500 stations cost broker, watcher and exporter
	@$(GO) run ./build/fleetsim -agent $(OUT)/station-agent -stations $(or $(STATIONS),500)

.PHONY: fifty
fifty: ## fifty stations come back after eight hours, to one limit for all: the requests a second, as a plot
	@FIFTY=full $(GO) test -count=1 -timeout 60m -v -run '^TestFiftyStationsComeBack$$' ./build/fifty

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (default 10s); FUZZDIR="station": only those below
	@build/fuzz.sh $(or $(FUZZTIME),10s) $(FUZZDIR)

.PHONY: servers
servers: ## MariaDB, MySQL and Mosquitto with Buylo's schema, to look around in; Ctrl-C ends them
	@$(GO) run ./build/servers/run
