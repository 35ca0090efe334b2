#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes the committed PTX of the jobs' kernels with nvcc 13; NVCC names it. The version is lowered for older drivers.
set -eu
cd "$(dirname "$0")"
nvcc=${NVCC:-$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)}
"$nvcc" -ptx -arch=compute_75 -o kernels.ptx kernels.cu
sed -i 's/^\.version .*/.version 6.4/' kernels.ptx
