#!/usr/bin/env bash
# Runs every fuzz target for the time given, or those in the folders named behind it. What is found interesting is made smaller for
# a second at most: by default most of the time would go into that.
set -euo pipefail
time=$1
shift
grep -rlE '^func Fuzz' --include='*_test.go' "${@:-.}" | xargs -n1 dirname | sort -u | while read -r dir; do
	grep -hoE '^func Fuzz[A-Za-z0-9_]*' "$dir"/*_test.go | sed 's/^func //' | while read -r target; do
		echo "fuzz: $dir $target $time"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 1s "./$dir"
	done
done
