/* SPDX-License-Identifier: Apache-2.0 */
/* The strict driver's physical memory, and mapping it into arrays: bookkeeping alone. No addresses can be reserved. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "strict_export.h"

#define MEMORIES_MAX 1024
/* A side of a tile, in texels. */
#define TILE_SIDE  128
#define TILE_BYTES 65536

static bool memories[MEMORIES_MAX];

/* In strict_arrays.c and strict_driver.c. */
CUresult cuArray3DGetDescriptor_v2(CUDA_ARRAY3D_DESCRIPTOR *descriptor, CUarray array);
CUresult cuMipmappedArrayGetLevel(CUarray *array, CUmipmappedArray mipmap, unsigned int level);
CUresult cuStreamQuery(CUstream stream);

static bool *memory_live(CUmemGenericAllocationHandle handle)
{
	if (!handle || handle > MEMORIES_MAX || !memories[handle - 1]) {
		fprintf(stderr, "strict driver: a handle of memory that is none\n");
		abort();
	}
	return &memories[handle - 1];
}

EXPORT(cuMemCreate, CUmemGenericAllocationHandle *handle, size_t bytes, const CUmemAllocationProp *properties,
       unsigned long long flags)
{
	static unsigned int next;

	if (!bytes || bytes % TILE_BYTES || flags || properties->location.id)
		return CUDA_ERROR_INVALID_VALUE;
	for (unsigned int i = 0; i < MEMORIES_MAX; i++) {
		unsigned int index = next++ % MEMORIES_MAX;

		if (memories[index])
			continue;
		memories[index] = true;
		*handle = index + 1;
		return CUDA_SUCCESS;
	}
	return CUDA_ERROR_OUT_OF_MEMORY;
}

EXPORT(cuMemRelease, CUmemGenericAllocationHandle handle)
{
	*memory_live(handle) = false;
	return CUDA_SUCCESS;
}

EXPORT(cuMemGetAllocationGranularity, size_t *granularity, const CUmemAllocationProp *properties,
       CUmemAllocationGranularity_flags option)
{
	(void)properties;
	(void)option;
	*granularity = TILE_BYTES;
	return CUDA_SUCCESS;
}

EXPORT(cuMemAddressReserve, CUdeviceptr *address, size_t bytes, size_t alignment, CUdeviceptr hint,
       unsigned long long flags)
{
	(void)address;
	(void)bytes;
	(void)alignment;
	(void)hint;
	(void)flags;
	return CUDA_ERROR_OUT_OF_MEMORY;
}

static _Noreturn void nowhere(void)
{
	fprintf(stderr, "strict driver: addresses that were never reserved\n");
	abort();
}

EXPORT(cuMemAddressFree, CUdeviceptr address, size_t bytes)
{
	(void)address;
	(void)bytes;
	nowhere();
}

EXPORT(cuMemMap, CUdeviceptr address, size_t bytes, size_t offset, CUmemGenericAllocationHandle handle,
       unsigned long long flags)
{
	(void)address;
	(void)bytes;
	(void)offset;
	(void)handle;
	(void)flags;
	nowhere();
}

EXPORT(cuMemUnmap, CUdeviceptr address, size_t bytes)
{
	(void)address;
	(void)bytes;
	nowhere();
}

EXPORT(cuMemSetAccess, CUdeviceptr address, size_t bytes, const CUmemAccessDesc *descriptors, size_t count)
{
	(void)address;
	(void)bytes;
	(void)descriptors;
	(void)count;
	nowhere();
}

EXPORT(cuMemGetAccess, unsigned long long *flags, const CUmemLocation *location, CUdeviceptr address)
{
	(void)flags;
	(void)location;
	(void)address;
	nowhere();
}

static CUresult properties_get(CUDA_ARRAY_SPARSE_PROPERTIES *properties, CUarray array)
{
	CUDA_ARRAY3D_DESCRIPTOR descriptor;

	cuArray3DGetDescriptor_v2(&descriptor, array);
	*properties = (CUDA_ARRAY_SPARSE_PROPERTIES){
		.tileExtent = {TILE_SIDE, TILE_SIDE, 1}, .miptailFirstLevel = 1, .miptailSize = 2 * TILE_BYTES};
	return descriptor.Flags & CUDA_ARRAY3D_SPARSE ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

EXPORT(cuArrayGetSparseProperties, CUDA_ARRAY_SPARSE_PROPERTIES *properties, CUarray array)
{
	return properties_get(properties, array);
}

EXPORT(cuMipmappedArrayGetSparseProperties, CUDA_ARRAY_SPARSE_PROPERTIES *properties, CUmipmappedArray mipmap)
{
	CUarray level;

	return cuMipmappedArrayGetLevel(&level, mipmap, 0) ? CUDA_ERROR_INVALID_VALUE
							   : properties_get(properties, level);
}

EXPORT(cuMemMapArrayAsync, CUarrayMapInfo *list, unsigned int count, CUstream stream)
{
	CUDA_ARRAY3D_DESCRIPTOR descriptor;
	CUarray level;

	cuStreamQuery(stream);
	for (unsigned int i = 0; i < count; i++) {
		if (list[i].resourceType == CU_RESOURCE_TYPE_ARRAY)
			cuArray3DGetDescriptor_v2(&descriptor, list[i].resource.array);
		else
			cuMipmappedArrayGetLevel(&level, list[i].resource.mipmap, 0);
		if (list[i].memOperationType == CU_MEM_OPERATION_TYPE_MAP)
			memory_live(list[i].memHandle.memHandle);
		if (list[i].offset % TILE_BYTES || list[i].deviceBitMask != 1)
			return CUDA_ERROR_INVALID_VALUE;
	}
	return CUDA_SUCCESS;
}
