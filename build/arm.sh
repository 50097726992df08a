#!/usr/bin/env bash
# arm.sh runs tests as programs of the first Raspberry Pi: an ARMv6 with 32-bit numbers, played by Debian's QEMU. Without
# an argument it takes what depends on the processor most and a minute and a half; "arm.sh full" takes all that needs no
# server. "arm.sh short arm64" and "arm.sh full arm64" run tests as programs of a 64-bit Pi; the short form leaves out package
# store, which runs there as it does on any 64-bit machine.
#
# The store reads a file for the first time in a child process, which is its own program once more. So the kernel must know
# how to run one (binfmt_misc): in a user namespace of its own, which Linux has since 6.7, else, for root, in the table of
# the machine, and only as long as this runs. Where neither may be, package store is left out and that is said.
set -euo pipefail
cd "$(dirname "$0")/.."
extent=${1:-short} processor=${2:-armv6} exec=

table=/proc/sys/fs/binfmt_misc
zeros='\x00\x00\x00\x00\x00\x00\x00\x00' ones='\xff\xff\xff\xff\xff\xff\xff'
case $processor in # a little-endian program for it: its class is the fifth byte, its machine stands at the end
armv6) export GOARCH=arm GOARM=6 QEMU_CPU=arm1176 && player=qemu-arm-static class=01 machine=28 ;;
arm64) export GOARCH=arm64 && player=qemu-aarch64-static class=02 machine=b7 ;;
*) echo "arm.sh: $processor is neither armv6 nor arm64" >&2 && exit 2 ;;
esac
entry=station-agent-$processor
magic="\\x7fELF\\x$class\\x01\\x01\\x00$zeros\\x02\\x00\\x$machine\\x00"
mask="$ones\\x00\\xff$ones\\xfe\\xff\\xff\\xff"

register() { # makes the kernel run such programs by $qemu
	[ -e $table/register ] || mount -t binfmt_misc binfmt_misc $table 2>/dev/null || return
	printf '%s' ":$entry:M::$magic:$mask:$qemu:F" 2>/dev/null >$table/register || return
}

run() { # run PACKAGE...: as far as was asked for
	if [ "$processor" = armv6 ] && ! { GOARM=7 go test -count=1 ${exec:+-exec "$exec"} ./store/record 2>&1 || true; } | grep -q 'illegal instruction'; then
		echo 'a program for ARMv7 must die here of an illegal instruction, and does not: this is no ARMv6' >&2
		return 1
	fi
	# One kills by the clock, which is here before anything was acknowledged; QEMU knows no namespaces, which two make, and not how
	# a keyboard is grabbed; one gives a file to another user, whom the namespace of all this doesn't have; the way to servers needs
	# servers.
	local short= skip='TestAcknowledgedWorkSurvivesKill|TestOpensOnAFullCard|TestPostingOnAFullCard|TestADeviceThatCannotBeHadSaysWhatToDo'
	skip+='|TestStoreOfAnotherUser|TestWalk.*'
	if [ "$extent" = short ]; then # without the walks through thousands of states, which take minutes
		short=-short skip+='|TestPowerCuts|TestATornTail.*|TestDamage.*|TestBitFlips.*|TestABitFlipped.*'
		skip+='|TestEveryOperationFails|TestRandomHistories'
	fi
	go test $short -count=1 -timeout 30m ${exec:+-exec "$exec"} -skip "^($skip)\$" "$@"
}

packages() {
	echo ./store/record ./station/codec
	[ "$extent" != full ] || echo ./agent ./station/... ./uplink/capture ./uplink/certyo ./uplink/deliver ./uplink/uplinktest
}

export CGO_ENABLED=0
if [ "$extent" = inside ]; then # the namespace
	extent=$3 qemu=$4
	register || exit 99
	run ./store $(packages)
	exit
fi

dir=$(build/packages.sh arm bookworm qemu-user-static) || {
	code=$?
	echo "not tested as $processor: QEMU is not available, see above" >&2
	[ $code != 3 ] && [ "${REQUIRE_SERVERS:-}" = 1 ] && exit 1
	exit 0
}
qemu=$dir/root/usr/bin/$player

if [ "$extent$processor" = shortarm64 ]; then # no child processes
	exec=$qemu
	run $(packages)
	exit
fi
code=0
unshare --user --map-root-user --mount "$0" inside "$processor" "$extent" "$qemu" || code=$?
[ $code = 99 ] || exit $code
mounted=$(mountpoint -q $table && echo yes || true)
if register; then
	trap 'echo -1 >$table/$entry; [ "$mounted" ] || umount $table' EXIT
	run ./store $(packages)
else
	exec=$qemu
	run $(packages)
	echo "NOT TESTED as $processor: package store, for its child processes: be root or have Linux 6.7" >&2
fi
