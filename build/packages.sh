#!/bin/bash
# packages.sh NAME SUITE PACKAGE... prints the folder of the cache in which these Debian packages lie unpacked, with all
# they need, below root/. What isn't there is fetched (see servers/fetch.sh): once, under a lock, whole or not at all.
# SUITE/ARCHITECTURE is for kernels of another architecture: they come from the same mirror, without what would install them.
# It ends with 3 if apt knows no such package and with another number if it can't be had now.
set -euo pipefail
name=$1 suite=$2
shift 2
fetch=$(cd "$(dirname "$0")" && pwd)/servers/fetch.sh
cache=${STATION_AGENT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/station-agent}
mkdir -p "$cache"
dir=$cache/$name-$({ cat "$fetch" && echo "$suite" "$@"; } | sha256sum | cut -c 1-8)

foreign() { # foreign SUITE ARCHITECTURE: what the apt of fetch.sh reads besides and over what it is told there
	local parts=$dir.tmp/apt/parts mirror
	mkdir -p "$parts"
	mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --no-release-info --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' \
		'Component: main' | awk -v release="$(. /etc/os-release && echo "$VERSION_CODENAME")" '$1 == release { print $2; exit }')}
	# The release proper: its kernels change a few times a year only.
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $1 main" >"$parts/foreign.list"
	printf "Package: %s\nStatus: install ok installed\nArchitecture: $2\nVersion: 999\n\n" \
		kmod linux-base initramfs-tools >"$parts/installed.status"
	cat >"$parts/foreign.conf" <<-END
		APT::Architecture "$2";
		APT::Architectures "$2";
		Dir::State::status "$parts/installed.status";
		Dir::Etc::sourcelist "/dev/null";
	END
}

exec 9>"$dir.lock"
flock 9
if [ ! -d "$dir" ]; then
	rm -rf "$dir.tmp"
	mkdir "$dir.tmp"
	[ "${suite%/*}" = "$suite" ] || foreign "${suite%/*}" "${suite#*/}"
	# Packages that bring a kernel run nothing here: they are only unpacked.
	if ! bash "$fetch" "$dir.tmp" "${suite%/*}" "$@" 9>&- >"$dir.said" 2>&1; then
		tail -n 12 "$dir.said" >&2
		rm -rf "$dir.tmp"
		if grep -qE 'Unable to locate package|has no installation candidate' "$dir.said"; then exit 3; fi
		exit 1
	fi
	rm "$dir.said"
	mv "$dir.tmp" "$dir"
fi
echo "$dir"
