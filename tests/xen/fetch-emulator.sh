#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# fetch-emulator.sh CACHE
#
# Unpacks the QEMU of an older release of Debian with the libraries that it needs into CACHE/xen-emulator, without
# installing anything, and prints a command that starts it.  docs/xen.md, "The laboratory", says why it is this release.
# It comes by a private state of apt, which checks signatures as ever, from the mirror of the installed system or, once
# the release is not there any more, from Debian's archive of old releases.
set -euo pipefail
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin

suite=bullseye
old_releases=http://archive.debian.org/debian
cache=$(mkdir -p "${1:?usage: fetch-emulator.sh CACHE}" && cd "$1" && pwd)
tree=$cache/xen-emulator

fail() {
	echo "fetch-emulator.sh: $*" >&2
	exit 1
}

# Downloads from a mirror what QEMU needs, all of it: the private state has no package that is installed.
fetch() { # URI
	rm -rf "$tree.new"
	mkdir -p "$tree.new"/apt/{lists,cache/archives}/partial
	cd "$tree.new/apt"
	: >status
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $1 $suite main" >sources.list
	local options=(-q -y -o "Dir::Etc::SourceList=$PWD/sources.list" -o Dir::Etc::SourceParts=/dev/null
		-o "Dir::State::Lists=$PWD/lists" -o "Dir::State::status=$PWD/status" -o "Dir::Cache=$PWD/cache"
		-o Acquire::Retries=3 -o Acquire::Languages=none -o APT::Sandbox::User=root -o APT::Install-Recommends=false)
	{
		apt-get "${options[@]}" -o APT::Update::Error-Mode=any update &&
			apt-get "${options[@]}" --download-only install qemu-system-x86
	} >"$tree.new/download.log" 2>&1 </dev/null
}

if [ ! -e "$tree/complete" ]; then
	# "package | version | uri suite/component arch Packages"
	mirror=$(apt-cache madison qemu-system-x86 | awk '!found && $6 ~ /^[a-z]*\/main$/ { print $5; found = 1 }')
	fetch "${mirror:-$old_releases}" || fetch "$old_releases" || {
		tail -3 "$tree.new/download.log" >&2
		fail "could not download the QEMU of $suite"
	}
	cd "$tree.new"
	for package in apt/cache/archives/*.deb; do
		dpkg -x "$package" root
	done
	rm -r apt
	cat >qemu <<-'EOF'
		#!/bin/sh
		root=${0%/*}/root
		export QEMU_MODULE_DIR="$root/usr/lib/x86_64-linux-gnu/qemu"
		exec "$root/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" \
			--library-path "$root/lib/x86_64-linux-gnu:$root/usr/lib/x86_64-linux-gnu" \
			"$root/usr/bin/qemu-system-x86_64" -L "$root/usr/share/qemu" -L "$root/usr/share/seabios" "$@"
	EOF
	chmod +x qemu
	./qemu --version >/dev/null || fail "the QEMU of $suite does not start"
	touch complete
	cd ..
	mv "$tree.new" "$tree"
fi
echo "$tree/qemu"
