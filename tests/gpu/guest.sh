#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# guest.sh BUNDLE SOCKET RESULTS
#
# Boots a virtual machine with the device vgpu-cuda and runs the scripts of tests/gpu/guest in it, with this machine's
# own Python, of which a disk for the guest is made. Then the same scripts natively; results must be the same. The
# processor is emulated (KVM=1: not), so times say nothing. A bundle with a guest is made by bundle.sh BUILD BUNDLE guest.
set -uo pipefail
bundle=$(cd "${1:?usage: guest.sh BUNDLE SOCKET RESULTS}" && pwd)
socket=${2:?usage: guest.sh BUNDLE SOCKET RESULTS}
results=${3:?usage: guest.sh BUNDLE SOCKET RESULTS}
here=$(cd "$(dirname "$0")" && pwd)
vm=$bundle/vm
accelerator=tcg,thread=multi
processor=max
[ "${KVM:-0}" = 0 ] || { accelerator=kvm && processor=host; }

python=$(command -v python3)
work=$(mktemp -d "${TMPDIR:-/var/tmp}/vgpu-guest.XXXXXX")
trap 'rm -rf "$work"' EXIT

# The interpreter with its packages, the system's libraries, and what compiles kernels: as hard links, if that can be.
tree_add() {
	local path
	for path; do
		[ -e "$path" ] && [ ! -e "$work/tree$path" ] || continue
		cp -al --parents "$path" "$work/tree/" 2>/dev/null || cp -au --parents "$path" "$work/tree/" 2>/dev/null
	done
}
mkdir -p "$work"/tree/{dev,proc,sys,tmp,etc,usr/bin,usr/lib}
for link in /bin /lib /lib64; do
	if [ -L $link ]; then cp -a $link "$work/tree/"; else tree_add $link; fi
done
mapfile -t prefixes < <("$python" -c 'import sys; print(sys.prefix, sys.base_prefix, sep="\n")' | sort -u)
for prefix in "${prefixes[@]}"; do
	[ "$prefix" = /usr ] || tree_add "$prefix"
done
tree_add /usr/bin/env /usr/bin/python3* /usr/lib/python3* /usr/lib/x86_64-linux-gnu /usr/lib64 /etc/ld.so.c* "$python" \
	/usr/local/cuda /usr/local/cuda-*/include /usr/local/cuda-*/targets/x86_64-linux/{include,lib/libnvrtc*.so*}
disk=$work/disk
truncate -s $(($(du -sm "$work/tree" | cut -f1) * 5 / 4 + 512))M "$disk"
mkfs.ext4 -q -O ^has_journal -m 0 -d "$work/tree" "$disk" || exit 1
rm -rf "$work/tree"
timeout -k 5 "${SECONDS_MAX:-500}" env LD_LIBRARY_PATH="$vm/lib" QEMU_MODULE_DIR="$vm/modules" LD_PRELOAD="$vm/vgpu-cuda.so" \
	"$vm/qemu-system-x86_64" -L "$vm/share" -nodefaults -display none -no-user-config -no-reboot \
	-machine q35 -accel "$accelerator" -cpu "$processor" -m "${MEMORY_MIB:-12288}" -smp "$(($(nproc) < 8 ? $(nproc) : 8))" \
	-kernel "$vm/vmlinuz" -initrd "$vm/initrd" \
	-append "console=ttyS0 quiet panic=-1 mitigations=off nokaslr random.trust_cpu=on rdinit=/init vgpu.run=/bin/run_scripts.sh vgpu.python=$python vgpu.library=${LD_LIBRARY_PATH:-}" \
	-drive "file=$disk,format=raw,if=virtio,readonly=on" \
	-device "vgpu-cuda,vm_id=1,pool_id=A,priority=medium,socket=$socket,channel_bytes=134217728" \
	-serial "file:$results/guest.console.log" >"$results/guest.qemu.log" 2>&1
status=$?
tr -d '\r' <"$results/guest.console.log" >"$results/guest.log" || exit 1
failed=0
for script in "$here"/guest/*_*.py; do
	name=$(basename "$script" .py)
	sed -n "/^SCRIPT .*$name.py/,/^RESULT .*$name.py/p" "$results/guest.log" >"$results/guest-$name.remoted.log"
	PYTHONPATH=$here/frameworks python3 "$script" >"$results/guest-$name.native.log" 2>&1
	here_status=$?
	there=$(sed -n "s/^RESULT .*$name.py //p" "$results/guest-$name.remoted.log")
	echo "     $name: natively $here_status, in the guest ${there:-none}"
	# 77, on both sides: not there.
	if [ "${there:-1}" != "$here_status" ] || [[ $there != 0 && $there != 77 ]] ||
		! diff <(grep '^result ' "$results/guest-$name.native.log") <(grep '^result ' "$results/guest-$name.remoted.log"); then
		failed=1
		tail -n 5 "$results/guest-$name.remoted.log"
	fi
done
[ $status = 0 ] || { echo "     QEMU ended with $status" && tail -n 3 "$results/guest.qemu.log" "$results/guest.log"; }
[ $failed = 0 ]
