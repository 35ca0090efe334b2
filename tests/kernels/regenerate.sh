#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Compiles every kernel file to the PTX that is committed in ptx/.  Needs nvcc 13.0; NVCC names it.
# The first line "architecture: compute_NN" in a file asks for a newer one than the default.
set -eu
cd "$(dirname "$0")"
nvcc=${NVCC:-$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)}
mkdir -p ptx
if [ $# -eq 0 ]; then
	set -- *.cu
fi
for file in "$@"; do
	name=$(basename "$file" .cu)
	architecture=$(sed -n 's/.*architecture: \(compute_[0-9a-z]*\).*/\1/p' "$file" | head -n 1)
	echo "$name (${architecture:-compute_75})"
	"$nvcc" -ptx -std=c++17 -arch="${architecture:-compute_75}" -o "ptx/$name.ptx" "$file"
done
