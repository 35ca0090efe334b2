#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes the committed kernels.ptx with nvcc 13; NVCC names it.
set -eu
cd "$(dirname "$0")"
"${NVCC:-$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)}" -ptx -arch=compute_75 -o kernels.ptx kernels.cu
"${NVCC:-$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)}" -ptx -arch=compute_75 -o tenant.ptx tenant.cu
