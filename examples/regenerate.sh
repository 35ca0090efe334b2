#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes the committed PTX of the examples with nvcc 13; NVCC names it.  The kernels use nothing newer than
# PTX 6.3, so the version that the compiler writes is lowered: drivers older than the compiler load it too.
set -eu
cd "$(dirname "$0")"
nvcc=${NVCC:-$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)}
for name in vector_add matrix_product; do
	"$nvcc" -ptx -arch=compute_75 -o "$name.ptx" "$name.cu"
	sed -i 's/^\.version .*/.version 6.4/' "$name.ptx"
done
