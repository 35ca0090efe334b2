#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# make-lab.sh CACHE BUILD
#
# Makes dom0's file system for the test of Xen: Xen's tools and QEMU, the host side from BUILD, and the guest's
# kernel and file system.  Prints its path.
set -euo pipefail
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin

here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../.." && pwd)
cache=$(mkdir -p "${1:?usage: make-lab.sh CACHE BUILD}" && cd "$1" && pwd)
build=$(cd "${2:?usage: make-lab.sh CACHE BUILD}" && pwd)

xen=$("$here/fetch.sh" "$cache")
release=$(cat "$xen/release")
tools=usr/lib/xen-$(cat "$xen/version")
export LD_LIBRARY_PATH=$xen/root/usr/lib/x86_64-linux-gnu
guest_kernel=$("$repository/guest/image/fetch-kernel.sh" "$cache")
guest=$("$repository/guest/image/make-image.sh" "$cache" "$here/guest.sh:root/run.sh" \
	"$xen/root/usr/bin/xenstore:bin/xenstore" \
	"$build/guest/libcuda/libcuda.so.1:lib/libcuda.so.1" "$build/examples/vector_add:bin/vector_add" \
	"$build/examples/matrix_product:bin/matrix_product" "$build/tests/end_to_end/copy_loop:bin/copy_loop" \
	"$build/guest/jobs/vgpu-run:bin/vgpu-run" "$build/tests/xen/hostile_grants:bin/hostile_grants" \
	"$guest_kernel/modules/kernel/drivers/xen/xen-evtchn.ko:lib/modules/xen-evtchn.ko" \
	"$guest_kernel/modules/kernel/drivers/xen/xen-gntalloc.ko:lib/modules/xen-gntalloc.ko")
worker=$("$repository/guest/image/make-image.sh" "$cache" "$here/worker_guest.sh:root/run.sh" \
	"$xen/root/usr/bin/xenstore:bin/xenstore" "$build/host/worker/vgpu-worker:host/worker/vgpu-worker" \
	"$build/host/executor/cuda-executor:host/executor/cuda-executor" \
	"$build/softgpu/driver/libsoftgpu.so.1:softgpu/driver/libsoftgpu.so.1" \
	"$guest_kernel/modules/kernel/drivers/net/xen-netfront.ko:lib/modules/xen-netfront.ko")

root=$(mktemp -d "$cache/lab.XXXXXX")
trap 'rm -rf "$root"' EXIT

# Puts programs and libraries there, and the libraries that they need where the loader looks for them.
needs() {
	local file=$1
	{ ldd "$file" 2>/dev/null || true; } |
		sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p; s/^[[:space:]]*\(\/[^ ]*ld-[^ ]*\) .*/\1/p' | while read -r library; do
		[ -e "$root/lib/${library##*/}" ] || install -D "$library" "$root/lib/${library##*/}"
	done
}
put() { # FILE PLACE
	install -D "$1" "$root/$2"
	needs "$1"
}

mkdir -p "$root"/{bin,dev,etc/xen,lib/modules,proc,root,run,sys,tmp,usr/bin,var/lib/xen,var/lib/xenstored,var/log/xen}
ln -s lib "$root/lib64"
ln -s ../run "$root/var/run"
mkdir -p "$root/usr/lib"
install /bin/busybox "$root/bin/busybox"
for applet in $(/bin/busybox --list); do
	[ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
done
for program in xl xenstored xenconsoled xen-init-dom0 libxl-save-helper; do
	put "$xen/root/$tools/bin/$program" "$tools/bin/$program"
done
ln -s "/$tools/bin/xl" "$root/bin/xl"
: >"$root/etc/xen/xl.conf"
for program in xenstore xenstore-read xenstore-write xenstore-watch xenstore-list; do
	put "$xen/root/usr/bin/$program" "bin/$program"
done
install -D "$xen/root/$tools/boot/hvmloader" "$root/$tools/boot/hvmloader"
put "$xen/root/usr/libexec/xen-qemu-system-i386" usr/libexec/xen-qemu-system-i386
install -D -t "$root/usr/share/seabios" /usr/share/seabios/bios-256k.bin
install -D -t "$root/usr/share/qemu" /usr/share/qemu/kvmvapic.bin
install -D -m 644 -t "$root/usr/share/qemu/keymaps" /usr/share/qemu/keymaps/en-us
# Programs that cancel threads load it by name.
put "$(gcc -print-file-name=libgcc_s.so.1)" lib/libgcc_s.so.1

for name in xen-privcmd xenfs xen-evtchn xen-gntdev xen-gntalloc xen-netback; do
	modprobe -d "$xen/root" -S "$release" --show-depends "$name" | sed -n 's/^insmod \([^ ]*\).*/\1/p'
done | awk '!seen[$0]++' | while read -r module; do
	install -m 644 "$module" "$root/lib/modules/"
	echo "${module##*/}" >>"$root/lib/modules/load"
done

put "$build/host/mediator/mediator_phase3" host/mediator/mediator_phase3
put "$build/host/executor/cuda-executor" host/executor/cuda-executor
put "$build/softgpu/driver/libsoftgpu.so.1" softgpu/driver/libsoftgpu.so.1
put "$build/host/worker/vgpu-relay" host/worker/vgpu-relay
put "$build/host/worker/vgpu-worker" host/worker/vgpu-worker
put "$build/guest/libcuda/libcuda.so.1" guest/libcuda.so.1
for program in host/xen/vgpu-xen host/xen/vgpu-xen-grants host/xen/vgpu-xen-jobs host/jobs/vgpu-jobs host/jobs/vgpu-job-runner; do
	put "$build/$program" "bin/${program##*/}"
done
install "$repository/host/xen/vgpu-xen-qemu" "$root/bin/vgpu-xen-qemu"
install "$here/dom0.sh" "$root/init"
install -m 644 -t "$root/root" "$here"/*.cfg "$here"/dom0_*.sh
install -t "$root/root" "$here/vif.sh"
# As one member of gzip: of several Xen's domain builder takes the first alone, if it has room for as much as the last.
gzip_again() { # FILE NEW
	zcat "$1" | gzip -1 -n >"$2"
}
gzip_again "$worker" "$root/root/worker.cpio.gz"

# The guest's disk. Loaded from a disk by DMA a kernel is there at once; QEMU's -kernel would copy it byte by byte,
# each of them trapped, for minutes.
mkdir "$root/disk"
cp -L "$guest_kernel/vmlinuz" "$root/disk/kernel"
cp "$guest" "$root/disk/guest"
(cd "$root/disk" && printf 'kernel\nguest\n' | cpio --quiet -o -H newc) >"$root/disk/archive"
# Each exit to Xen empties the emulated processor's translations: what patches the kernel's code takes long.
cat >"$root/disk/grub.cfg" <<-EOF
	linux (hd0,msdos1)/kernel console=ttyS0 quiet nokaslr mitigations=off lsm=capability rdinit=/init vgpu.run=/root/run.sh
	initrd (hd0,msdos1)/guest
	boot
EOF
"$xen/root/usr/bin/grub-mkimage" -d "$xen/root/usr/lib/grub/i386-pc" -O i386-pc -p '(hd0,msdos1)/' -c "$root/disk/grub.cfg" \
	-o "$root/disk/core" biosdisk part_msdos newc linux
python3 "$here/make_disk.py" "$xen/root/usr/lib/grub/i386-pc" "$root/disk/core" "$root/disk/archive" "$root/root/guest.img"
# A PVH guest is loaded by the toolstack.
mv "$root/disk/kernel" "$root/root/kernel"
gzip_again "$root/disk/guest" "$root/root/guest.cpio.gz"
rm -r "$root/disk"

echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
echo 'root:x:0:' >"$root/etc/group"

(cd "$root" && find . -mindepth 1 | cpio --quiet -o -H newc --owner 0:0) | gzip -1 -n >"$cache/xen-lab.cpio.gz.new"
mv "$cache/xen-lab.cpio.gz.new" "$cache/xen-lab.cpio.gz"
echo "$cache/xen-lab.cpio.gz"
