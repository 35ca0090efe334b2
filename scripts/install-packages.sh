#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs the packages that building, the demo and the tests need, or those that are named, where they are missing
# (Debian).
set -eu
cd "$(dirname "$0")/.."

wanted=$*
[ $# -gt 0 ] || wanted=$(cat packaging/packages.txt host/qemu/packages.txt guest/image/packages.txt 2>/dev/null |
	sed 's/#.*//' | tr -s ' \t\n' '\n' | sort -u)
missing=
for package in $wanted; do
	status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
	[ "$status" = "install ok installed" ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
	echo "install-packages: missing:$missing" >&2
	echo "install-packages: run as root, or: apt-get install --no-install-recommends$missing" >&2
	exit 1
fi
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086
install() { apt-get install -y -q --no-install-recommends -o Dpkg::Use-Pty=0 $missing; }
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { apt-get update -q && install; } >"$log" 2>&1; then
	tail -40 "$log" >&2
	echo "install-packages: apt-get failed" >&2
	exit 1
fi
