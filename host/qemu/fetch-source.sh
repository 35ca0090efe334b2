#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# fetch-source.sh CACHE
#
# Unpacks the distribution's source of the installed QEMU package into CACHE and prints the folder; in
# it, vgpu-offline holds the option that keeps this version's configure from downloading anything.
# Works without deb-src entries in /etc/apt and without root: a private apt state in CACHE takes the
# mirror that the installed binary package comes from.
set -euo pipefail
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin

cache=$(mkdir -p "$1" && cd "$1" && pwd)
package=qemu-system-x86

fail() {
	echo "fetch-source.sh: $*" >&2
	exit 1
}

version=$(dpkg-query -W -f '${source:Version}' $package 2>/dev/null) || fail "package $package is not installed"
binary_version=$(dpkg-query -W -f '${Version}' $package)
tree=$cache/source-${version//[^A-Za-z0-9.]/_}

if [ ! -e "$tree/.complete" ]; then
	# "package | version | uri suite/component arch Packages"
	origin=$(apt-cache madison $package | awk -F ' *[|] *' -v wanted="$binary_version" '$2 == wanted { print $3; exit }')
	[ -n "$origin" ] || fail "no apt source offers $package $binary_version (the installed one):" \
		"run apt-get update, then apt-get install --only-upgrade $package"
	read -r uri archive _ <<<"$origin"

	apt=$cache/apt
	mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
	echo "deb-src $uri ${archive%%/*} ${archive#*/}" >"$apt/sources.list"
	options=(-q -o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=/dev/null
		-o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o Acquire::Retries=3)
	# apt otherwise drops to a user who may not be able to write to CACHE.
	[ "$(id -u)" != 0 ] || options+=(-o APT::Sandbox::User=root)
	log=$cache/fetch-source.log
	(
		apt-get "${options[@]}" update &&
			cd "$cache" &&
			apt-get "${options[@]}" source --download-only "qemu=$version" &&
			rm -rf "$tree" &&
			dpkg-source --no-check -x "qemu_${version#*:}.dsc" "$tree"
	) >"$log" 2>&1 </dev/null || {
		tail -5 "$log" >&2
		fail "could not fetch the source of qemu $version from $uri (see $log)"
	}
	if grep -q -- --disable-download "$tree/configure"; then
		echo --disable-download
	else
		echo --with-git-submodules=ignore
	fi >"$tree/vgpu-offline"
	touch "$tree/.complete"
fi
echo "$tree"
