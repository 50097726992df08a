#!/usr/bin/env bash
# Runs every test. What could not be tested for want of a server is said at the very end, where nobody misses it.
set -uo pipefail
STATION_AGENT_LOUD=$(mktemp)
export STATION_AGENT_LOUD
STATION_AGENT_BINARY=$PWD/build/out/station-agent
export STATION_AGENT_BINARY
go test -p 2 -count=1 -timeout 15m ./...
code=$?
sort -u "$STATION_AGENT_LOUD" >&2
rm -f "$STATION_AGENT_LOUD"
exit $code
