#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# make-image.sh CACHE [FILE[:PLACE]...]
#
# Builds the test guest's initial file system for the kernel in CACHE (fetch-kernel.sh) and prints its
# path: busybox, lspci, the C library, vgpu.ko, the agent, and the given files, each at PLACE or in
# /bin (programs) or /lib (*.so*), with the shared libraries that they need.
set -euo pipefail
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin

here=$(cd "$(dirname "$0")" && pwd)
cache=$(mkdir -p "${1:?usage: make-image.sh CACHE [FILE[:PLACE]...]}" && cd "$1" && pwd)
shift

# One at a time in a cache.
exec 9>"$cache/lock"
flock 9

kernel=$("$here/fetch-kernel.sh" "$cache")
release=$(cat "$kernel/release")
driver=$("$here/../driver/build-module.sh" "$kernel/headers" "$cache/module-$release")

# Every kernel module that these need comes along, in loading order.
kernel_modules="virtio_pci virtio_console virtio_blk"
# Programs written for a GPU are linked with these, though nothing here needs them.
libraries="libc.so.6 libm.so.6 libpthread.so.0 libdl.so.2 librt.so.1 libgcc_s.so.1 libstdc++.so.6"

fail() {
	echo "make-image.sh: $*" >&2
	exit 1
}

# FILE PLACE: puts the file there, and the libraries it needs where the loader looks for them.
add() {
	local file=$1 place=$2 library
	install -D "$file" "$root/$place"
	{ ldd "$file" 2>/dev/null || true; } | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p; s/^[[:space:]]*\(\/[^ ]*ld-[^ ]*\) .*/\1/p' |
		while read -r library; do
			# Where the given files bring their own, as with libcuda.so.1, theirs is used.
			case " $given " in *"/${library##*/} "*) continue ;; esac
			[ "$root" = "$work/base" ] || case " $libraries " in *" ${library##*/} "*) continue ;; esac
			[ -e "$root/lib/${library##*/}" ] || install -D "$library" "$root/lib/${library##*/}"
		done
}

# A folder's content as a compressed archive, the same bytes for the same content.
pack() {
	(cd "$1" && find . -mindepth 1 | sort | cpio --quiet -o -H newc --owner 0:0 --reproducible) | gzip -1 -n >"$2.new"
	mv "$2.new" "$2"
}

base_make() {
	local applet module file
	mkdir -p "$root"/{bin,sbin,usr/bin,lib/modules,proc,sys,dev,tmp,root,etc,var/run,usr/share/misc}
	ln -s lib "$root/lib64"
	install "$here/init.sh" "$root/init"
	install -D /bin/busybox "$root/bin/busybox"
	for applet in $(/bin/busybox --list); do
		[ "$applet" = busybox ] || [ "$applet" = lspci ] || ln -s busybox "$root/bin/$applet"
	done
	gcc -std=gnu17 -O2 -Wall -Wextra -Werror -D_GNU_SOURCE -static -o "$root/bin/agent" "$here/agent.c"
	add /usr/bin/lspci bin/lspci
	# Only the vendors that a guest has, and the class names.
	awk '/^[0-9a-f]/ { keep = /^(1af4|1b36|1234|8086) / } /^C / { keep = 1 } keep' /usr/share/misc/pci.ids \
		>"$root/usr/share/misc/pci.ids"
	for file in $libraries; do
		add "$(gcc -print-file-name="$file")" "lib/$file"
	done
	for module in $kernel_modules; do
		modprobe -d "$kernel/root" -S "$release" --show-depends "$module" | sed -n 's/^insmod \([^ ]*\).*/\1/p'
	done | awk '!seen[$0]++' | while read -r module; do
		install -m 644 "$module" "$root/lib/modules/"
		echo "${module##*/}" >>"$root/lib/modules/load"
	done
	install -m 644 "$driver" "$root/lib/modules/vgpu.ko"
	echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
	echo 'user:x:1000:1000:user:/tmp:/bin/sh' >>"$root/etc/passwd"
	printf 'root:x:0:\nuser:x:1000:\n' >"$root/etc/group"
}

extra_make() {
	local argument file place
	mkdir -p "$root/lib"
	for argument; do
		file=${argument%%:*}
		place=${argument#"$file"}
		place=${place#:}
		if [ -z "$place" ]; then
			case $file in
			*.so | *.so.*) place=lib/${file##*/} ;;
			*) place=bin/${file##*/} ;;
			esac
		fi
		add "$file" "${place#/}"
	done
}

work=$(mktemp -d "$cache/image.XXXXXX")
trap 'rm -rf "$work"' EXIT
given=" "
for argument; do
	file=${argument%%:*}
	[ -e "$file" ] || fail "there is no $file"
	given+="/${file##*/} "
done

stamp=$(cat "$0" "$here"/init.sh "$here"/agent.[ch] "$driver" | sha256sum)$release
base=$cache/guest-base.cpio.gz
if [ ! -e "$base" ] || [ "$(cat "$base.stamp" 2>/dev/null)" != "$stamp" ]; then
	root=$work/base
	base_make
	pack "$root" "$base"
	echo "$stamp" >"$base.stamp"
fi
if [ $# = 0 ]; then
	echo "$base"
	exit 0
fi

stamp+=$(for argument; do
	echo "$argument"
	sha256sum <"${argument%%:*}"
done | sha256sum)
name=$(sha256sum <<<"$stamp")
image=$cache/guest-${name:0:16}.cpio.gz
if [ ! -e "$image" ]; then
	root=$work/extra
	extra_make "$@"
	pack "$root" "$work/extra.cpio.gz"
	# The kernel unpacks one archive after the other.
	cat "$base" "$work/extra.cpio.gz" >"$work/image"
	mv "$work/image" "$image"
	find "$cache" -maxdepth 1 -name 'guest-*.cpio.gz' ! -name guest-base.cpio.gz -mtime +1 -delete
fi
echo "$image"
