#!/bin/bash
# fetch.sh DIR SUITE PACKAGE... unpacks Debian packages and all they need, libc and loader too, into DIR/root and lists
# them with their checksums in DIR/packages.
#
# It needs no root and leaves the apt and dpkg state of the host alone: apt runs on lists, a cache and a status file in
# DIR. The status file is empty, so that apt names the complete closure. The mirror is the one this host uses for its own
# release, as apt reads it from the host's sources; DEBIAN_MIRROR overrides it. The archive's signature is checked with
# the host's Debian keyring.
set -euo pipefail
dir=$1 suite=$2
shift 2
key=/usr/share/keyrings/debian-archive-keyring.gpg

command -v apt-get >/dev/null || { echo "this host has no apt-get" >&2; exit 1; }
[ -e "$key" ] || { echo "this host has no $key (package debian-archive-keyring)" >&2; exit 1; }

host_release=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
repository() { # repository RELEASE: where this host gets that release from
	apt-get indextargets --no-release-info --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' 'Component: main' |
		awk -v release="$1" '$1 == release && !uri { uri = $2 } END { print uri }'
}
mirror=${DEBIAN_MIRROR:-$(repository "$host_release")}
security=$(repository "$host_release-security")
[ -n "$mirror" ] || { echo "no apt source of this host carries Debian '$host_release'" >&2; exit 1; }

apt=$dir/apt
mkdir -p "$apt"/{state/lists/partial,cache/archives/partial,parts} "$dir"/{debs,root}
: >"$apt/state/status"
echo "deb [signed-by=$key] $mirror $suite main" >"$apt/sources.list"
if [ "$suite" != sid ] && [ -n "$security" ]; then
	echo "deb [signed-by=$key] $security $suite-security main" >>"$apt/sources.list"
fi

# Of the host's configuration only how it reaches the network (proxies, certificates, logins), none of its hooks.
apt-config dump | grep -E '^Acquire::(http|https|Check|Force|Retries)' >"$apt/apt.conf" || true
cat >>"$apt/apt.conf" <<-END
	Dir::Etc::main "$apt/none";
	Dir::Etc::parts "$apt/parts";
	Dir::Etc::sourcelist "$apt/sources.list";
	Dir::Etc::sourceparts "$apt/parts";
	Dir::Etc::preferences "$apt/none";
	Dir::Etc::preferencesparts "$apt/parts";
	Dir::State "$apt/state";
	Dir::State::status "$apt/state/status";
	Dir::Cache "$apt/cache";
	APT::Install-Recommends "false";
	APT::Sandbox::User "root";
	Acquire::Languages "none";
	Acquire::Retries "3";
	Acquire::http::Timeout "20";
	Acquire::https::Timeout "20";
END
export APT_CONFIG=$apt/apt.conf

apt-get -qq -o APT::Update::Error-Mode=any update
apt-get -qq --print-uris install "$@" >"$apt/closure"
# Perl serves only the packages' installation scripts.
awk '{ sub("_.*", "", $2); print $2 }' "$apt/closure" | grep -vE '^(perl|libperl|lib.*-perl$)' >"$apt/names"

cd "$dir/debs"
xargs apt-get -qq download <"$apt/names"
sha256sum -- *.deb >"$dir/packages"
for deb in *.deb; do
	dpkg-deb -x "$deb" "$dir/root"
done
cd "$dir"
rm -rf "$dir/debs" "$apt"
