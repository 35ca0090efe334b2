/* SPDX-License-Identifier: Apache-2.0 */
/* cuMemcpyAtoH and its relatives: bytes of one row, which is all that a one-dimensional array has. */
#include "copy.h"
#include "entry.h"

static CUresult row_copy(CUstream stream, CUDA_MEMCPY3D *copy, size_t bytes, bool asynchronous)
{
	copy->WidthInBytes = bytes;
	copy->Height = 1;
	copy->Depth = 1;
	return copy_3d(stream, copy, asynchronous);
}

static CUresult to_host(CUstream stream, void *host, CUarray array, size_t offset, size_t bytes, bool asynchronous)
{
	CUDA_MEMCPY3D copy = {
		.srcMemoryType = CU_MEMORYTYPE_ARRAY,
		.srcArray = array,
		.srcXInBytes = offset,
		.dstMemoryType = CU_MEMORYTYPE_HOST,
		.dstHost = host,
	};

	return row_copy(stream, &copy, bytes, asynchronous);
}

static CUresult from_host(CUstream stream, CUarray array, size_t offset, const void *host, size_t bytes,
			  bool asynchronous)
{
	CUDA_MEMCPY3D copy = {
		.srcMemoryType = CU_MEMORYTYPE_HOST,
		.srcHost = host,
		.dstMemoryType = CU_MEMORYTYPE_ARRAY,
		.dstArray = array,
		.dstXInBytes = offset,
	};

	return row_copy(stream, &copy, bytes, asynchronous);
}

ENTRY_DEFAULT_STREAM(cuMemcpyAtoH_v2, (void *host, CUarray array, size_t offset, size_t bytes),
		     (host, array, offset, bytes))
{
	return to_host(stream, host, array, offset, bytes, false);
}

ENTRY_STREAM(cuMemcpyAtoHAsync_v2, (void *host, CUarray array, size_t offset, size_t bytes, CUstream stream),
	     (host, array, offset, bytes, stream))
{
	return to_host(stream, host, array, offset, bytes, true);
}

ENTRY_DEFAULT_STREAM(cuMemcpyHtoA_v2, (CUarray array, size_t offset, const void *host, size_t bytes),
		     (array, offset, host, bytes))
{
	return from_host(stream, array, offset, host, bytes, false);
}

ENTRY_STREAM(cuMemcpyHtoAAsync_v2, (CUarray array, size_t offset, const void *host, size_t bytes, CUstream stream),
	     (array, offset, host, bytes, stream))
{
	return from_host(stream, array, offset, host, bytes, true);
}

ENTRY_DEFAULT_STREAM(cuMemcpyAtoD_v2, (CUdeviceptr device, CUarray array, size_t offset, size_t bytes),
		     (device, array, offset, bytes))
{
	CUDA_MEMCPY3D copy = {
		.srcMemoryType = CU_MEMORYTYPE_ARRAY,
		.srcArray = array,
		.srcXInBytes = offset,
		.dstMemoryType = CU_MEMORYTYPE_DEVICE,
		.dstDevice = device,
	};

	return row_copy(stream, &copy, bytes, false);
}

ENTRY_DEFAULT_STREAM(cuMemcpyDtoA_v2, (CUarray array, size_t offset, CUdeviceptr device, size_t bytes),
		     (array, offset, device, bytes))
{
	CUDA_MEMCPY3D copy = {
		.srcMemoryType = CU_MEMORYTYPE_DEVICE,
		.srcDevice = device,
		.dstMemoryType = CU_MEMORYTYPE_ARRAY,
		.dstArray = array,
		.dstXInBytes = offset,
	};

	return row_copy(stream, &copy, bytes, false);
}

ENTRY_DEFAULT_STREAM(cuMemcpyAtoA_v2, (CUarray to, size_t to_offset, CUarray from, size_t from_offset, size_t bytes),
		     (to, to_offset, from, from_offset, bytes))
{
	CUDA_MEMCPY3D copy = {
		.srcMemoryType = CU_MEMORYTYPE_ARRAY,
		.srcArray = from,
		.srcXInBytes = from_offset,
		.dstMemoryType = CU_MEMORYTYPE_ARRAY,
		.dstArray = to,
		.dstXInBytes = to_offset,
	};

	return row_copy(stream, &copy, bytes, false);
}
