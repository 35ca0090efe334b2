#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# bundle.sh BUILD DIRECTORY [guest]
#
# Collects what was built, with the shared libraries that a bare machine may lack, so that DIRECTORY can be
# carried to a machine with a GPU and tests/gpu/run.sh runs there without building or installing anything.
# guest: with QEMU and a guest's kernel and initial file system, for the step of that name.
set -euo pipefail
build=$(cd "${1:?usage: bundle.sh BUILD DIRECTORY [guest]}" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "${2:?usage: bundle.sh BUILD DIRECTORY [guest]}"
bundle=$(cd "$2" && pwd)

rm -rf "${bundle:?}"/*
mkdir -p "$bundle"/{bin,lib,guest,ptx,trace}
cp "$build"/host/mediator/mediator_phase3 "$build"/host/executor/cuda-executor \
	"$build"/host/worker/vgpu-{relay,worker} "$build"/host/admin/vgpu-admin "$bundle/bin/"
[ ! -e "$build"/softgpu/driver/libsoftgpu.so.1 ] || cp "$build"/softgpu/driver/libsoftgpu.so.1 "$bundle/lib/"
cp -L "$build"/guest/libcuda/libcuda.so.1 "$build"/guest/libnvml/libnvidia-ml.so.1 "$bundle/guest/"
cp "$build"/examples/{vector_add,matrix_product} "$build"/tests/kernels/kernels_run "$bundle/bin/"
cp "$build"/bench/libtrace_driver.so "$bundle/trace/"
cp "$build"/bench/{launch_bench,copy_bench,tenant,idle} "$build"/tests/nvml/test_tenant "$bundle/bin/"
awk '!/^#/ { print $2 }' "$here/programs" | sort -u | (cd "$build/tests/end_to_end" && xargs cp -t "$bundle/bin/")
cp "$here"/../kernels/ptx/*.ptx "$bundle/ptx/"
# Everything but the C library, which the machine's own loader must bring.
libraries_add() { # DIRECTORY PROGRAM...
	local directory=$1 program
	shift
	for program; do
		ldd "$program" 2>/dev/null | awk '/=> \//{print $3}'
	done | sort -u | grep -v -E '/(libc|libm|libdl|libpthread|librt|libgcc_s|ld-linux[^/]*)\.so' |
		xargs -r cp -L -t "$directory/"
}
libraries_add "$bundle/lib" "$bundle"/bin/* "$bundle"/lib/*.so*
if [ "${3:-}" = guest ]; then
	cache=${VGPU_CACHE:-$here/../../.cache}
	vm=$bundle/vm
	mkdir -p "$vm"/{lib,share,modules}
	cp "$("$here/../../host/qemu/build-preload.sh" "$cache/qemu" | tail -1)" /usr/bin/qemu-system-x86_64 "$vm/"
	libraries_add "$vm/lib" "$vm/qemu-system-x86_64"
	cp /usr/lib/x86_64-linux-gnu/qemu/accel-tcg-x86_64.so "$vm/modules/"
	cp -L /usr/share/seabios/bios-256k.bin /usr/share/qemu/{kvmvapic,linuxboot_dma}.bin "$vm/share/"
	files=("$bundle"/guest/*.so.1 "$here/guest/run_scripts.sh")
	for script in "$here"/guest/*.py "$here/frameworks/report.py"; do
		files+=("$script:/scripts/$(basename "$script")")
	done
	cp -L "$("$here/../../guest/image/make-image.sh" "$cache" "${files[@]}" | tail -1)" "$vm/initrd"
	cp -L "$cache/kernel/vmlinuz" "$vm/"
fi
strip "$bundle"/bin/* "$bundle"/lib/* "$bundle"/guest/* 2>/dev/null || true
du -sh "$bundle"
