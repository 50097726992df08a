#!/usr/bin/env bash
# Builds the device binary for every target and checks what must hold for it: at most 14 MB on a 64-bit Pi (15 on a 32-bit one,
# 16 on a desk: their code is larger), no canal, no SQL parser. With the name of a target behind the flags of the linker it is only
# that one, into the folder OUT.
set -euo pipefail
ldflags=$1 only=${2:-} out=${OUT:-build/out}
# What works once for many scans or changes, or only when a person asks, is compiled without inlining, which saves more than a megabyte:
# command line, configuration and messages, proofs, what go-mysql brings for its own log and its JSON, the ways to MySQL, Certyo and the broker
# but for the ciphers, what moves lamps, reads buttons and opens ports, and parts of the standard library. For the same reason lists are
# ordered by package sort where nothing is in a hurry: the generic functions are compiled anew for each kind of list, 14 KB each.
small=()
for packages in github.com/{boombuler,eclipse,gorilla,pelletier,pingcap,spf13}/... go.uber.org/... filippo.io/... golang.org/x/... periph.io/... \
	github.com/go-sql-driver/... github.com/go-mysql-org/go-mysql/{client,compress,mysql,utils} github.com/klauspost/compress/flate station-agent/{agent,store/proof,station,station/{cards,devices,evdev,feedback,gpio,gs1,serial},uplink/{assign,capture/{check,poll,queue},fleet,fleet/command,fleet/message,fleet/metrics,fleet/watch,manifest,mysql,writeback}} \
	net/... vendor/golang.org/x/{net,text}/... crypto/{tls,x509}/... crypto/{ecdsa,rsa,internal/fips140/{ecdsa,rsa}} archive/... compress/... log/... mime/... text/... unicode/... \
	encoding/{asn1,base64,csv,gob,hex,json,pem} database/sql/... syscall internal/poll sort fmt math/big regexp/... html/... os/... errors flag reflect path/... context time; do
	small+=("-gcflags=$packages=-l")
done
mkdir -p "$out"
for target in armv6:arm:6 armv7:arm:7 arm64:arm64: amd64:amd64:; do
	IFS=: read -r name arch arm <<<"$target"
	[ -z "$only" ] || [ "$only" = "$name" ] || continue
	file=$out/station-agent-$name
	GOOS=linux GOARCH=$arch GOARM=$arm CGO_ENABLED=0 go build -trimpath "${small[@]}" -ldflags "$ldflags" -o "$file" ./agent
	case $arch in arm64) limit=14 ;; arm) limit=15 ;; *) limit=16 ;; esac
	size=$(stat -c %s "$file")
	printf '%-34s %6.2f MB\n' "$file" "$(awk -v s="$size" 'BEGIN { print s / 1e6 }')"
	if [ -z "$only" ] && [ "$size" -gt $((limit * 1000 * 1000)) ]; then
		echo "$file is larger than $limit MB" >&2
		exit 1
	fi
done
[ "$only" ] || go test -count=1 -run '^TestDevice' ./build/rules
