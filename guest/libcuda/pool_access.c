/* SPDX-License-Identifier: Apache-2.0 */
/* Which devices may use a pool's memory, and the calls of CUDA 13 that name a device's pool by a location. */
#include "context.h"
#include "host_calls.h"

CUresult cuDeviceGetDefaultMemPool(CUmemoryPool *pool, CUdevice dev);
CUresult cuDeviceGetMemPool(CUmemoryPool *pool, CUdevice dev);
CUresult cuDeviceSetMemPool(CUdevice dev, CUmemoryPool pool);

/* Pools of host memory are not built. */
static CUresult location_check(const CUmemLocation *location)
{
	if (!location || location->type == CU_MEM_LOCATION_TYPE_INVALID)
		return CUDA_ERROR_INVALID_VALUE;
	if (location->type != CU_MEM_LOCATION_TYPE_DEVICE)
		return CUDA_ERROR_NOT_SUPPORTED;
	return context_primary(location->id) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

static CUresult pool_begin(CUmemoryPool pool, uint32_t *ret_context, uint32_t *ret_pool)
{
	CUresult result = call_begin(CALL_NEEDS_INIT, ret_context);

	if (!result && object_id(pool, VGPU_KIND_MEMORY_POOL, ret_pool))
		result = CUDA_ERROR_INVALID_VALUE;
	return result;
}

API(cuMemPoolSetAccess, CUmemoryPool pool, const CUmemAccessDesc *descriptors, size_t count)
{
	uint32_t context, id;
	CUresult result = pool_begin(pool, &context, &id);

	if (!result && count && !descriptors)
		result = CUDA_ERROR_INVALID_VALUE;
	for (size_t i = 0; !result && i < count; i++)
		result = location_check(&descriptors[i].location);
	for (size_t i = 0; !result && i < count; i++)
		result = host_cuMemPoolSetAccess(context, id, descriptors[i].location.id,
						 (uint32_t)descriptors[i].flags);
	return result;
}

API(cuMemPoolGetAccess, CUmemAccess_flags *flags, CUmemoryPool pool, CUmemLocation *location)
{
	uint32_t context, id, answer;
	CUresult result = pool_begin(pool, &context, &id);

	if (!result)
		result = flags ? location_check(location) : CUDA_ERROR_INVALID_VALUE;
	if (!result)
		result = host_cuMemPoolGetAccess(context, &answer, id, location->id);
	if (!result)
		*flags = (CUmemAccess_flags)answer;
	return result;
}

static CUresult kind_check(const CUmemLocation *location, CUmemAllocationType type)
{
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_INIT, &context);

	if (!result)
		result = location_check(location);
	if (!result && type != CU_MEM_ALLOCATION_TYPE_PINNED)
		result = type == CU_MEM_ALLOCATION_TYPE_MANAGED ? CUDA_ERROR_NOT_SUPPORTED : CUDA_ERROR_INVALID_VALUE;
	return result;
}

API(cuMemGetDefaultMemPool, CUmemoryPool *pool, CUmemLocation *location, CUmemAllocationType type)
{
	CUresult result = kind_check(location, type);

	return result ? result : cuDeviceGetDefaultMemPool(pool, location->id);
}

API(cuMemGetMemPool, CUmemoryPool *pool, CUmemLocation *location, CUmemAllocationType type)
{
	CUresult result = kind_check(location, type);

	return result ? result : cuDeviceGetMemPool(pool, location->id);
}

API(cuMemSetMemPool, CUmemLocation *location, CUmemAllocationType type, CUmemoryPool pool)
{
	CUresult result = kind_check(location, type);

	return result ? result : cuDeviceSetMemPool(location->id, pool);
}
