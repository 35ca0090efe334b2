#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# fetch_promtool.sh CACHE
#
# Unpacks promtool out of the distribution's package "prometheus" into CACHE, without installing anything (the package
# is 94 MiB and starts a server), and prints its path. Exit code 1 with a reason where it cannot be had.
set -eu
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin

cache=$(mkdir -p "${1:?usage: fetch_promtool.sh CACHE}" && cd "$1" && pwd)
program=$cache/promtool
if [ ! -x "$program" ]; then
	work=$(mktemp -d "$cache/promtool.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	cd "$work"
	# The sandbox user of apt may not be able to write here; the package's hash is checked all the same.
	apt-get -q -o APT::Sandbox::User=root -o Acquire::http::Timeout=20 download prometheus >log 2>&1 || {
		tail -1 log >&2
		exit 1
	}
	dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool
	mv usr/bin/promtool "$program"
fi
echo "$program"
