#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# fetch-kernel.sh CACHE
#
# Downloads the distribution's cloud kernel and its headers, unpacks them into CACHE without
# installing anything, and prints the folder.  In it: vmlinuz, release (a file with its name),
# modules (a folder) and headers (a folder for `make -C`).
set -euo pipefail
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin

cache=$(mkdir -p "${1:?usage: fetch-kernel.sh CACHE}" && cd "$1" && pwd)
tree=$cache/kernel

fail() {
	echo "fetch-kernel.sh: $*" >&2
	exit 1
}

# The packages that PACKAGE depends on and whose names begin with linux-.
depends() {
	apt-cache depends --no-recommends --no-suggests "$1" | sed -n 's/^ *Depends: \(linux-.*\)/\1/p'
}

if [ ! -e "$tree/release" ]; then
	image=$(depends linux-image-cloud-amd64)
	headers=$(depends linux-headers-cloud-amd64)
	[ -n "$image" ] && [ -n "$headers" ] || fail "apt knows no linux-image-cloud-amd64: run apt-get update"
	rm -rf "$tree" "$tree.new"
	mkdir -p "$tree.new/packages" "$tree.new/root"
	cd "$tree.new/packages"
	# The sandbox user of apt may not be able to write here; the packages' hashes are checked all the same.
	apt-get -q -o APT::Sandbox::User=root -o Acquire::Retries=3 download "$image" "$headers" \
		$(depends "$headers" | grep -v -- -compiler-) >../download.log 2>&1 || {
		tail -3 ../download.log >&2
		fail "could not download $image and its headers"
	}
	cd ..
	for package in packages/*.deb; do
		dpkg -x "$package" root
	done
	rm -r packages
	# Newer packages know only the merged /usr.
	[ -e root/lib ] || ln -s usr/lib root/lib
	release=${image#linux-image-}
	# The headers name each other by their installed place.
	for file in $(grep -rlE '(^| )/usr/(src|lib)/linux-' "root/usr/src/$headers" --include=Makefile --include=.kernelvariables); do
		sed -i -E "s,(^| )/usr/(src|lib)/linux-,\1$tree/root/usr/\2/linux-,g" "$file"
	done
	ln -s "root/boot/vmlinuz-$release" vmlinuz
	ln -s "root/lib/modules/$release" modules
	ln -s "root/usr/src/$headers" headers
	depmod -b root "$release"
	cd ..
	mv "$tree.new" "$tree"
	echo "$release" >"$tree/release"
fi
echo "$tree"
