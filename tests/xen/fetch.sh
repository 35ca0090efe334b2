#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# fetch.sh CACHE
#
# Downloads Xen, its tools, its QEMU, GRUB and the distribution's kernel for dom0, unpacks them into CACHE/xen without
# installing anything, and prints the folder.  In it: xen and vmlinux as they are booted, root with the packages.
set -euo pipefail
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin

here=$(cd "$(dirname "$0")" && pwd)
cache=$(mkdir -p "${1:?usage: fetch.sh CACHE}" && cd "$1" && pwd)
tree=$cache/xen

fail() {
	echo "fetch.sh: $*" >&2
	exit 1
}

# Of a metapackage: the package that it stands for at present.
newest() {
	apt-cache depends --no-recommends --no-suggests "$1" | sed -n "s/^ *Depends: \($2.*\)/\1/p" | head -n 1
}

if [ ! -e "$tree/complete" ]; then
	kernel=$(newest linux-image-amd64 linux-image-)
	hypervisor=$(newest xen-system-amd64 xen-hypervisor-)
	[ -n "$kernel" ] && [ -n "$hypervisor" ] || fail "apt knows no linux-image-amd64 or xen-system-amd64"
	version=$(echo "$hypervisor" | sed 's/xen-hypervisor-\([0-9.]*\)-.*/\1/')
	rm -rf "$tree" "$tree.new"
	mkdir -p "$tree.new/packages" "$tree.new/root"
	cd "$tree.new/packages"
	# The libraries of Xen's tools; their other libraries are those that QEMU for x86 needs as well.
	apt-get -q -o APT::Sandbox::User=root -o Acquire::Retries=3 download "$kernel" "$hypervisor" "xen-utils-$version" \
		xen-utils-common xenstore-utils qemu-system-xen "libxenmisc$version" libxenstore4 libxengnttab1 libxenevtchn1 \
		libxenforeignmemory1 libxencall1 libxendevicemodel1 libxenhypfs1 libxentoolcore1 libxentoollog1 libyajl2 \
		grub-pc-bin grub-common \
		>../download.log 2>&1 || {
		tail -3 ../download.log >&2
		fail "could not download Xen"
	}
	cd ..
	for package in packages/*.deb; do
		dpkg -x "$package" root
	done
	rm -r packages
	[ -e root/lib ] || ln -s usr/lib root/lib
	release=${kernel#linux-image-}
	depmod -b root "$release"
	zcat "root/boot/xen-$version-amd64.gz" >xen
	# Booted as ELF: to unpack the compressed kernel takes an emulated processor a minute.
	python3 "$here/extract_kernel.py" "root/boot/vmlinuz-$release" vmlinux
	echo "$release" >release
	echo "$version" >version
	touch complete
	cd ..
	mv "$tree.new" "$tree"
fi
echo "$tree"
