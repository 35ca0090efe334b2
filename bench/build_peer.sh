#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# build_peer.sh lupine|gvirtus|hami SOURCE CUDA PEERS
#
# Builds a peer from a checkout, which gvirtus and hami change, with the toolkit in CUDA, into its folder of PEERS for
# peers.py. No driver and no network are needed. docs/benchmarks.md has the versions and Debian's packages.
set -euo pipefail
peer=${1:?usage: build_peer.sh lupine|gvirtus|hami SOURCE CUDA PEERS}
source=$(cd "${2:?usage}" && pwd)
cuda=$(cd "${3:?usage}" && pwd)
mkdir -p "${4:?usage}/$peer"
out=$(cd "$4/$peer" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Libraries to link against where the driver is not installed: the names of the headers, without bodies.
stub() { # NAME HEADER...
	{
		grep -hoE '\bcu[A-Z][A-Za-z0-9_]*\b *\(' "${@:2}" | tr -d ' (' || true
		grep -hoE '^#define +cu[A-Z]\w+ +\S*cu[A-Z]\w+' "${@:2}" | grep -oE 'cu\w+$' || true
	} | sort -u | sed 's/.*/void &(void); void &(void) {}/' >"$work/stub.c"
	gcc -shared -fPIC -w -Wl,-soname,"$1.1" -o "$work/$1" "$work/stub.c"
}
# Those that a machine may lack.
libraries() { # FOLDER FILE...
	for file in "${@:2}"; do
		LD_LIBRARY_PATH=$out/lib ldd "$file" | awk '/=> \//{print $3}'
	done | sort -u | grep -E '/lib(nghttp2|log4cplus|rdmacm|ibverbs|nl|lz4)[^/]*$' | xargs -r cp -L -t "$1"
}

build_lupine() {
	stub libcuda.so "$cuda"/include/{cuda,cudaProfiler}.h
	cmake -S "$source" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCUDAToolkit_ROOT="$cuda" \
		-DCMAKE_LIBRARY_PATH="$work" -DLUPINE_BUILD_NVML=OFF -DBUILD_TESTING=OFF \
		-DCMAKE_DISABLE_FIND_PACKAGE_OpenSSL=ON -DCMAKE_EXE_LINKER_FLAGS='-static-libgcc -static-libstdc++' >"$work/log"
	ninja -C "$work/build" lupine_cuda_client lupine_driver_server
	mkdir -p "$out"/{bin,lib,client}
	cp "$work/build/lupine_driver_server" "$out/bin/"
	cp -L "$work/build/libcuda.so.1" "$out/client/"
	libraries "$out/lib" "$out/bin/lupine_driver_server"
	libraries "$out/client" "$out/client/libcuda.so.1"
}

build_hami() {
	sed -i 's/^add_subdirectory(test)$//' "$source/CMakeLists.txt"
	stub libcuda.so "$cuda/include/cuda.h"
	stub libnvidia-ml.so /dev/null
	# As its build.sh has it, without optimisation.
	CUDA_HOME=$cuda cmake -S "$source" -B "$work/build" -DDLSYM_HOOK_ENABLE=1 -DMULTIPROCESS_LIMIT_ENABLE=1 \
		-DHOOK_MEMINFO_ENABLE=1 -DHOOK_NVML_ENABLE=1 -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS="${NVML:+-I$NVML}" \
		-DCMAKE_SHARED_LINKER_FLAGS="-L$work" >"$work/log"
	make -C "$work/build" vgpu
	cp "$work/build/libvgpu.so" "$out/"
}

# Its own CMakeLists.txt downloads; of its plugins only the runtime's, of its communicators only TCP (the common library
# names RDMA's too).
build_gvirtus() {
	local common communicators tcp front back plugin face flags link name
	cd "$source"
	# What CUDA 13 has no more, or with another parameter.
	sed -i 's/= cudaSetDoubleFor\(Device\|Host\)(d)/= cudaErrorNotSupported/' \
		plugins/cudart/backend/CudaRtHandler_execution.cpp
	sed -i 's/cudaThreadExit()/cudaDeviceReset()/; s/cudaThreadSynchronize()/cudaDeviceSynchronize()/' \
		plugins/cudart/backend/CudaRtHandler_thread.cpp
	grep -q cudaGraphEdgeData plugins/cudart/frontend/CudaRt_stream.cpp || sed -i \
		's/const cudaGraphNode_t\*\* dependencies_out, size_t/const cudaGraphNode_t** dependencies_out, const cudaGraphEdgeData** edges, size_t/' \
		plugins/cudart/frontend/CudaRt_stream.cpp
	common=$(echo src/common/*.cpp)
	communicators=$(printf 'src/communicators/%s.cpp ' Buffer CommunicatorFactory Endpoint_Tcp Endpoint_Rdma \
		EndpointFactory rdma/ktmrdma Result)
	tcp=src/communicators/tcp/TcpCommunicator.cpp
	front=src/frontend/Frontend.cpp
	back=$(printf 'src/backend/%s.cpp ' Backend main Process Property)
	plugin=$(echo plugins/cudart/backend/*.cpp plugins/cudart/util/*.cpp)
	face=$(echo plugins/cudart/frontend/*.cpp plugins/cudart/util/*.cpp)
	flags="-std=gnu++23 -O2 -fPIC -w -Iinclude -Iplugins/cudart/util -Iplugins/cudart/cuda_internals -I$cuda/include"
	# shellcheck disable=SC2086
	printf '%s\n' $common $communicators $tcp $front $back $plugin $face | sort -u | xargs -P "$(nproc)" -I{} sh -c \
		"g++ $flags -DGVIRTUS_HOME='\"/nonexistent\"' -c {} -o $work/\$(echo {} | tr / _).o"
	objects() { for name in "$@"; do echo "$work/${name//\//_}.o"; done; }
	mkdir -p "$out"/{bin,lib/frontend}
	echo 'libcudart.so.13 { global: *; };' >"$work/cudart.version"
	link=(-llog4cplus -lrdmacm -libverbs -llz4 -ldl -lpthread -lstdc++fs)
	shared() { # NAME ARGUMENT...
		g++ -shared -Wl,-soname,"$(basename "$1")" -o "$out/lib/$1" -L"$out/lib" "${@:2}" "${link[@]}"
	}
	# shellcheck disable=SC2046,SC2086
	{
		shared libgvirtus-common.so $(objects $common)
		shared libgvirtus-communicators.so $(objects $communicators) -lgvirtus-common
		shared libgvirtus-communicators-tcp.so $(objects $tcp) -lgvirtus-communicators -lgvirtus-common
		shared libgvirtus-frontend.so $(objects $front) -lgvirtus-communicators -lgvirtus-common
		shared libgvirtus-plugin-cudart.so $(objects $plugin) -lgvirtus-communicators -lgvirtus-common \
			-L"$cuda/lib64" -l:libcudart.so.13
		shared frontend/libcudart.so.13 -Wl,--version-script="$work/cudart.version" $(objects $face) \
			-lgvirtus-frontend -lgvirtus-communicators -lgvirtus-common
		g++ -o "$out/bin/gvirtus-backend" -L"$out/lib" $(objects $back) -lgvirtus-communicators -lgvirtus-common "${link[@]}"
	}
	libraries "$out/lib" "$out"/bin/* "$out"/lib/*.so
}

"build_$peer"
cp "$source"/{LICENSE,NOTICE} "$out/" 2>/dev/null || true
find "$out" -type f \( -name '*.so*' -o -path '*/bin/*' \) -exec strip {} +
du -sh "$out"
