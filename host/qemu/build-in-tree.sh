#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# build-in-tree.sh CACHE [--static]
#
# Compiles the device into QEMU itself: takes the distribution's source package, adds the device to
# it, builds qemu-system-x86_64 with KVM and TCG and prints its path.
#   default   the usual devices, dynamically linked, without optional libraries (no VNC, no SPICE, no slirp:
#             add what you need to the options). In /usr/bin it finds the firmware by itself; run
#             from the build folder it needs -L /usr/share/seabios -L /usr/share/qemu
#   --static  one small static program with the devices that a guest of ours needs, and beside it in
#             bios/ what it loads at start (run with -L bios): to carry to a machine without anything
set -euo pipefail
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin

here=$(cd "$(dirname "$0")" && pwd)
cache=$(mkdir -p "${1:?usage: build-in-tree.sh CACHE [--static]}" && cd "$1" && pwd)
kind=${2:---dynamic}
# One at a time in a cache.
exec 9>"$cache/lock"
flock 9

tree=$("$here/fetch-source.sh" "$cache")
log=$cache/build-in-tree.log

options=(--target-list=x86_64-softmmu --enable-tcg --enable-kvm --enable-fdt --disable-docs --disable-tools
	--disable-werror --disable-install-blobs $(cat "$tree/vgpu-offline") --prefix=/usr)
case $kind in
--dynamic)
	build=$tree/vgpu-build
	options+=(--without-default-features --enable-vhost-user --enable-vhost-kernel --enable-vhost-net
		--firmwarepath=/usr/share/qemu:/usr/share/seabios:/usr/lib/ipxe/qemu)
	;;
--static)
	build=$tree/vgpu-build-static
	options+=(--static --disable-pie --without-default-features --without-default-devices
		--with-devices-x86_64=vgpu)
	;;
*)
	echo "usage: build-in-tree.sh CACHE [--static]" >&2
	exit 1
	;;
esac

# Source and shared headers beside each other, where the includes find them.
for file in vgpu-cuda{,-registers,-channel,-link}.c vgpu-cuda{,-compat}.h ../../protocol/vgpu_{device,control}.h; do
	cmp -s "$here/$file" "$tree/hw/misc/${file##*/}" || cp "$here/$file" "$tree/hw/misc/"
done
grep -q VGPU_CUDA "$tree/hw/misc/Kconfig" ||
	printf '\nconfig VGPU_CUDA\n    bool\n    default y if PCI_DEVICES\n    depends on PCI && LINUX\n' \
		>>"$tree/hw/misc/Kconfig"
# The source set had another name before QEMU 8.1.
set=softmmu_ss
! grep -q '^system_ss' "$tree/hw/misc/meson.build" || set=system_ss
line="$set.add(when: 'CONFIG_VGPU_CUDA', if_true: files('vgpu-cuda.c', 'vgpu-cuda-registers.c', 'vgpu-cuda-channel.c', 'vgpu-cuda-link.c'))"
if ! grep -qF "$line" "$tree/hw/misc/meson.build"; then
	sed -i '/CONFIG_VGPU_CUDA/d' "$tree/hw/misc/meson.build"
	echo "$line" >>"$tree/hw/misc/meson.build"
fi
cat >"$tree/configs/devices/x86_64-softmmu/vgpu.mak" <<'MAK'
CONFIG_PCI_DEVICES=n
CONFIG_I440FX=y
CONFIG_Q35=y
CONFIG_MICROVM=y
CONFIG_PCIE_PORT=y
CONFIG_VGPU_CUDA=y
CONFIG_VIRTIO=y
CONFIG_VIRTIO_PCI=y
CONFIG_VIRTIO_MMIO=y
CONFIG_VIRTIO_BLK=y
CONFIG_VIRTIO_SCSI=y
CONFIG_VIRTIO_NET=y
CONFIG_VIRTIO_SERIAL=y
CONFIG_VIRTIO_RNG=y
CONFIG_PVPANIC_PCI=n
CONFIG_PARALLEL=n
MAK

mkdir -p "$build"
cd "$build"
: >"$log"
[ -e build.ninja ] || ../configure "${options[@]}" >>"$log" 2>&1 </dev/null || {
	rm -f build.ninja
	tail -5 "$log" >&2
	exit 1
}
ninja qemu-system-x86_64 >>"$log" 2>&1 </dev/null || {
	grep -A5 -m3 -E 'FAILED|error:' "$log" >&2 || tail -5 "$log" >&2
	exit 1
}
if [ "$kind" = --static ]; then
	mkdir -p "$cache/static/bios"
	strip -o "$cache/static/qemu-system-x86_64" qemu-system-x86_64
	cp /usr/share/seabios/bios-256k.bin /usr/share/qemu/{linuxboot_dma,multiboot_dma,pvh,kvmvapic}.bin \
		"$cache/static/bios/"
	echo "$cache/static/qemu-system-x86_64"
else
	echo "$build/qemu-system-x86_64"
fi
