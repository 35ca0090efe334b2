#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# build-module.sh HEADERS WORK
#
# Builds vgpu.ko for the kernel whose headers (a folder for `make -C`) are given, in WORK, so that the
# sources stay clean and several kernels can be built from them, and prints its path.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
headers=$(cd "$1" && pwd)
work=$(mkdir -p "$2" && cd "$2" && pwd)

stamp=$(cat "$here"/*.[ch] "$here/Kbuild" "$here"/../../protocol/vgpu_{device,uapi}.h | sha256sum)$headers
if [ ! -e "$work/vgpu.ko" ] || [ "$(cat "$work/stamp" 2>/dev/null)" != "$stamp" ]; then
	rm -rf "$work/module"
	mkdir "$work/module"
	cp "$here"/*.[ch] "$here/Kbuild" "$here"/../../protocol/vgpu_{device,uapi}.h "$work/module/"
	# Type information for BPF would need another tool (pahole), and the strip below takes it away again.
	make -C "$headers" M="$work/module" CONFIG_DEBUG_INFO_BTF_MODULES= modules >"$work/build.log" 2>&1 </dev/null || {
		cat "$work/build.log" >&2
		exit 1
	}
	strip --strip-debug -o "$work/vgpu.ko" "$work/module/vgpu.ko"
	echo "$stamp" >"$work/stamp"
fi
echo "$work/vgpu.ko"
