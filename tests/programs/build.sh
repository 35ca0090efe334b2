#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# usage: build.sh OUTDIR
# Compiles every program with nvcc into OUTDIR/NAME_static (static cudart) and OUTDIR/NAME_shared (shared cudart,
# which is copied into OUTDIR/lib).  Only what is older than its sources.  Where nvcc is missing or cannot compile
# (it needs g++ and its own libraries): says SKIP and why, exit 77.  NVCC names the compiler, NVCC_JOBS the
# processes at a time (default: one per processor).
set -eu

[ $# -eq 1 ] || { echo "usage: $0 OUTDIR" >&2; exit 2; }
output=$1
source=$(cd "$(dirname "$0")" && pwd)
nvcc=${NVCC:-$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)}
if ! [ -x "$nvcc" ]; then
	echo "SKIP: no nvcc"
	exit 77
fi
mkdir -p "$output/lib"

# PTX for the software GPU (and what is not listed), machine code for sm_90.
targets="-gencode arch=compute_75,code=compute_75 -gencode arch=compute_90,code=[compute_90,sm_90]"

# build_one NAME_KIND: the options that are special to a program are here.
build_one() {
	kind=${1##*_}
	name=${1%_*}
	files="$source/$name.cu"
	options=
	case $name in
	separate)
		files="$source/separate_main.cu $source/separate_device.cu"
		options="-rdc=true"
		;;
	compressed_*)
		# nvcc 13 compresses with zstd unless told; "speed" is LZ4, "none" the raw image.
		files="$source/compressed.cu"
		options="--compress-mode=${name#compressed_}"
		;;
	*_rdc)
		files="$source/${name%_rdc}.cu"
		options="-rdc=true"
		;;
	per_thread_stream)
		options="--default-stream per-thread"
		;;
	esac
	target="$output/$1"
	for file in $files "$source/program.h" "$source/build.sh"; do
		if ! [ "$target" -nt "$file" ]; then
			# shellcheck disable=SC2016,SC2086 # the loader expands $ORIGIN; lists of words
			"$nvcc" -std=c++17 -O2 $targets $options -cudart "$kind" -Xlinker -rpath='$ORIGIN/lib' \
				-o "$output/lib/$1.new" $files
			mv "$output/lib/$1.new" "$target"
			return
		fi
	done
}

if [ "${BUILD_ONE:-}" ]; then
	build_one "$BUILD_ONE"
	exit
fi

# trial KIND: can a program with that cudart be made here? An nvcc without its host compiler or libraries cannot.
trial() {
	printf 'int main() { return cudaFree(0) != cudaSuccess; }\n' >"$output/lib/trial.cu"
	"$nvcc" -cudart "$1" -o "$output/lib/trial" "$output/lib/trial.cu" 2>&1 || return
}
library=$(dirname "$(readlink -f "$nvcc")")/../lib64/libcudart.so.13
for kind in static shared; do
	if ! why=$(trial $kind); then
		echo "SKIP: nvcc cannot make a program with $kind cudart here: $(echo "$why" | head -n 1)"
		exit 77
	fi
done
rm -f "$output/lib/trial" "$output/lib/trial.cu"
if ! [ -e "$library" ]; then
	echo "SKIP: no libcudart.so.13 beside nvcc"
	exit 77
fi

names=$(cd "$source" && printf '%s\n' ./*.cu | sed -e 's|^\./||' -e 's/\.cu$//' -e '/^separate_/d')
for name in $names separate compressed_speed compressed_none managed_variables_rdc; do
	echo "${name}_static"
	echo "${name}_shared"
done | NVCC="$nvcc" xargs -P "${NVCC_JOBS:-$(nproc)}" -I '{}' env BUILD_ONE='{}' bash "$source/build.sh" "$output"

cp -fL "$library" "$output/lib/"
