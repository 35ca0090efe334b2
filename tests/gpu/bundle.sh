#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# bundle.sh BUILD DIRECTORY
#
# Collects what was built, with the shared libraries that a bare machine may lack, so that DIRECTORY can be
# carried to a machine with a GPU and tests/gpu/run.sh runs there without building or installing anything.
set -euo pipefail
build=$(cd "${1:?usage: bundle.sh BUILD DIRECTORY}" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "${2:?usage: bundle.sh BUILD DIRECTORY}"
bundle=$(cd "$2" && pwd)

rm -rf "${bundle:?}"/*
mkdir -p "$bundle"/{bin,lib,guest,ptx}
cp "$build"/host/mediator/mediator_phase3 "$build"/host/executor/cuda-executor \
	"$build"/host/worker/vgpu-{relay,worker} "$bundle/bin/"
[ ! -e "$build"/softgpu/driver/libsoftgpu.so.1 ] || cp "$build"/softgpu/driver/libsoftgpu.so.1 "$bundle/lib/"
cp -L "$build"/guest/libcuda/libcuda.so.1 "$build"/guest/libnvml/libnvidia-ml.so.1 "$bundle/guest/"
cp "$build"/examples/{vector_add,matrix_product} "$build"/tests/kernels/kernels_run "$bundle/bin/"
cp "$build"/bench/{launch_bench,tenant} "$build"/tests/nvml/test_tenant "$bundle/bin/"
cp "$build"/tests/end_to_end/{virtual_memory,managed_memory,pool_peer,batches} "$bundle/bin/"
cp "$build"/tests/end_to_end/{host_functions,stream_values,tensor_maps,linker,ipc,private_tables,graph_nodes,graph_memory,graph_copies,graph_captures,graph_queries,graph_conditional,shared_allocation} "$bundle/bin/"
cp "$here"/../kernels/ptx/*.ptx "$bundle/ptx/"
# Everything but the C library, which the machine's own loader must bring.
for program in "$bundle"/bin/* "$bundle"/lib/*.so*; do
	ldd "$program" 2>/dev/null | awk '/=> \//{print $3}'
done | sort -u | grep -v -E '/(libc|libm|libdl|libpthread|librt|libgcc_s|ld-linux[^/]*)\.so' |
	xargs -r cp -L -t "$bundle/lib/"
strip "$bundle"/bin/* "$bundle"/lib/* "$bundle"/guest/* 2>/dev/null || true
du -sh "$bundle"
