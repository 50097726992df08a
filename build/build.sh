#!/usr/bin/env bash
# Builds the device binary for every target and checks what must hold for it: at most 14 MB on a Pi (15 on a desk), no canal, no
# SQL parser.
set -euo pipefail
ldflags=$1
# Modules that no scan and no change passes through are compiled without inlining, which saves half a megabyte: command line,
# configuration, and what go-mysql brings for its own log and its JSON.
small=()
for module in github.com/goccy github.com/pingcap github.com/pelletier github.com/spf13 go.uber.org; do
	small+=("-gcflags=$module/...=-l")
done
mkdir -p build/out
for target in armv6:arm:6 armv7:arm:7 arm64:arm64: amd64:amd64:; do
	IFS=: read -r name arch arm <<<"$target"
	file=build/out/station-agent-$name
	GOOS=linux GOARCH=$arch GOARM=$arm CGO_ENABLED=0 go build -trimpath "${small[@]}" -ldflags "$ldflags" -o "$file" ./agent
	limit=14 && [ "$arch" != amd64 ] || limit=15
	size=$(stat -c %s "$file")
	printf '%-34s %6.2f MB\n' "$file" "$(awk -v s="$size" 'BEGIN { print s / 1e6 }')"
	if [ "$size" -gt $((limit * 1000 * 1000)) ]; then
		echo "$file is larger than $limit MB" >&2
		exit 1
	fi
done
go test -count=1 -run '^TestDevice' ./build/rules
