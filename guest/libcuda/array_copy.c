/* SPDX-License-Identifier: Apache-2.0 */
/* cuMemcpyAtoH and its relatives: bytes of one row, which is all that a one-dimensional array has. */
#include "copy.h"

static CUresult row_copy(CUDA_MEMCPY3D copy, size_t bytes, CUstream stream, bool per_thread_default, bool waits)
{
	copy.WidthInBytes = bytes;
	copy.Height = 1;
	copy.Depth = 1;
	return copy_shape(&copy, stream, per_thread_default, waits);
}

static CUDA_MEMCPY3D to_host(void *to, CUarray from, size_t offset)
{
	return (CUDA_MEMCPY3D){
		.srcMemoryType = CU_MEMORYTYPE_ARRAY,
		.srcArray = from,
		.srcXInBytes = offset,
		.dstMemoryType = CU_MEMORYTYPE_HOST,
		.dstHost = to,
	};
}

static CUDA_MEMCPY3D from_host(CUarray to, size_t offset, const void *from)
{
	return (CUDA_MEMCPY3D){
		.srcMemoryType = CU_MEMORYTYPE_HOST,
		.srcHost = from,
		.dstMemoryType = CU_MEMORYTYPE_ARRAY,
		.dstArray = to,
		.dstXInBytes = offset,
	};
}

static CUDA_MEMCPY3D to_device(CUdeviceptr to, CUarray from, size_t offset)
{
	return (CUDA_MEMCPY3D){
		.srcMemoryType = CU_MEMORYTYPE_ARRAY,
		.srcArray = from,
		.srcXInBytes = offset,
		.dstMemoryType = CU_MEMORYTYPE_DEVICE,
		.dstDevice = to,
	};
}

static CUDA_MEMCPY3D from_device(CUarray to, size_t offset, CUdeviceptr from)
{
	return (CUDA_MEMCPY3D){
		.srcMemoryType = CU_MEMORYTYPE_DEVICE,
		.srcDevice = from,
		.dstMemoryType = CU_MEMORYTYPE_ARRAY,
		.dstArray = to,
		.dstXInBytes = offset,
	};
}

static CUDA_MEMCPY3D between(CUarray to, size_t to_offset, CUarray from, size_t from_offset)
{
	return (CUDA_MEMCPY3D){
		.srcMemoryType = CU_MEMORYTYPE_ARRAY,
		.srcArray = from,
		.srcXInBytes = from_offset,
		.dstMemoryType = CU_MEMORYTYPE_ARRAY,
		.dstArray = to,
		.dstXInBytes = to_offset,
	};
}

API(cuMemcpyAtoH_v2, void *to, CUarray from, size_t offset, size_t bytes)
{
	return row_copy(to_host(to, from, offset), bytes, NULL, false, true);
}

API(cuMemcpyAtoH_v2_ptds, void *to, CUarray from, size_t offset, size_t bytes)
{
	return row_copy(to_host(to, from, offset), bytes, NULL, true, true);
}

API(cuMemcpyAtoHAsync_v2, void *to, CUarray from, size_t offset, size_t bytes, CUstream stream)
{
	return row_copy(to_host(to, from, offset), bytes, stream, false, false);
}

API(cuMemcpyAtoHAsync_v2_ptsz, void *to, CUarray from, size_t offset, size_t bytes, CUstream stream)
{
	return row_copy(to_host(to, from, offset), bytes, stream, true, false);
}

API(cuMemcpyHtoA_v2, CUarray to, size_t offset, const void *from, size_t bytes)
{
	return row_copy(from_host(to, offset, from), bytes, NULL, false, true);
}

API(cuMemcpyHtoA_v2_ptds, CUarray to, size_t offset, const void *from, size_t bytes)
{
	return row_copy(from_host(to, offset, from), bytes, NULL, true, true);
}

API(cuMemcpyHtoAAsync_v2, CUarray to, size_t offset, const void *from, size_t bytes, CUstream stream)
{
	return row_copy(from_host(to, offset, from), bytes, stream, false, false);
}

API(cuMemcpyHtoAAsync_v2_ptsz, CUarray to, size_t offset, const void *from, size_t bytes, CUstream stream)
{
	return row_copy(from_host(to, offset, from), bytes, stream, true, false);
}

API(cuMemcpyAtoD_v2, CUdeviceptr to, CUarray from, size_t offset, size_t bytes)
{
	return row_copy(to_device(to, from, offset), bytes, NULL, false, true);
}

API(cuMemcpyAtoD_v2_ptds, CUdeviceptr to, CUarray from, size_t offset, size_t bytes)
{
	return row_copy(to_device(to, from, offset), bytes, NULL, true, true);
}

API(cuMemcpyDtoA_v2, CUarray to, size_t offset, CUdeviceptr from, size_t bytes)
{
	return row_copy(from_device(to, offset, from), bytes, NULL, false, true);
}

API(cuMemcpyDtoA_v2_ptds, CUarray to, size_t offset, CUdeviceptr from, size_t bytes)
{
	return row_copy(from_device(to, offset, from), bytes, NULL, true, true);
}

API(cuMemcpyAtoA_v2, CUarray to, size_t to_offset, CUarray from, size_t from_offset, size_t bytes)
{
	return row_copy(between(to, to_offset, from, from_offset), bytes, NULL, false, true);
}

API(cuMemcpyAtoA_v2_ptds, CUarray to, size_t to_offset, CUarray from, size_t from_offset, size_t bytes)
{
	return row_copy(between(to, to_offset, from, from_offset), bytes, NULL, true, true);
}
