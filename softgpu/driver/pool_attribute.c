/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes of pools, and which devices may use their memory. */
#include "device_table.h"
#include "entry.h"
#include "pool.h"

ENTRY(cuMemPoolGetAttribute, (CUmemoryPool handle, CUmemPool_attribute name, void *ret_value))
{
	struct pool *pool;
	CUresult result = pool_acquire(handle, &pool);

	if (result)
		return result;
	if (!ret_value) {
		object_release(&pool->object);
		return CUDA_ERROR_INVALID_VALUE;
	}
	pthread_mutex_lock(&pool->lock);
	switch (name) {
	case CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES:
		*(int *)ret_value = pool->reuse_event;
		break;
	case CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC:
		*(int *)ret_value = pool->reuse_opportunistic;
		break;
	case CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES:
		*(int *)ret_value = pool->reuse_internal;
		break;
	case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
		*(cuuint64_t *)ret_value = pool->release_threshold;
		break;
	case CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT:
	case CU_MEMPOOL_ATTR_USED_MEM_CURRENT:
		*(cuuint64_t *)ret_value = pool->used;
		break;
	case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
	case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
		*(cuuint64_t *)ret_value = pool->used_high;
		break;
	default:
		result = CUDA_ERROR_INVALID_VALUE;
	}
	pthread_mutex_unlock(&pool->lock);
	object_release(&pool->object);
	return result;
}

ENTRY(cuMemPoolSetAttribute, (CUmemoryPool handle, CUmemPool_attribute name, void *value))
{
	struct pool *pool;
	CUresult result = pool_acquire(handle, &pool);

	if (result)
		return result;
	if (!value) {
		object_release(&pool->object);
		return CUDA_ERROR_INVALID_VALUE;
	}
	pthread_mutex_lock(&pool->lock);
	switch (name) {
	case CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES:
		pool->reuse_event = *(int *)value;
		break;
	case CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC:
		pool->reuse_opportunistic = *(int *)value;
		break;
	case CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES:
		pool->reuse_internal = *(int *)value;
		break;
	case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
		pool->release_threshold = *(cuuint64_t *)value;
		break;
	case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
	case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
		if (*(cuuint64_t *)value)
			result = CUDA_ERROR_INVALID_VALUE; /* it can only be reset */
		else
			pool->used_high = pool->used;
		break;
	default:
		result = CUDA_ERROR_INVALID_VALUE;
	}
	pthread_mutex_unlock(&pool->lock);
	object_release(&pool->object);
	return result;
}

/* What it says of one device.  The pool's own cannot be kept from it. */
static CUresult pool_let(struct pool *pool, const CUmemAccessDesc *description)
{
	uint32_t bit;

	if (description->location.type != CU_MEM_LOCATION_TYPE_DEVICE)
		return CUDA_ERROR_INVALID_VALUE;
	if (!device_exists(description->location.id))
		return CUDA_ERROR_INVALID_DEVICE;
	bit = 1u << description->location.id;
	if (description->flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE)
		pool->access_devices |= bit;
	else if (description->location.id == pool->device)
		return CUDA_ERROR_INVALID_DEVICE;
	else if (description->flags == CU_MEM_ACCESS_FLAGS_PROT_NONE)
		pool->access_devices &= ~bit;
	else
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

ENTRY(cuMemPoolSetAccess, (CUmemoryPool handle, const CUmemAccessDesc *descriptions, size_t count))
{
	struct pool *pool;
	CUresult result = pool_acquire(handle, &pool);

	if (result)
		return result;
	if (count && !descriptions)
		result = CUDA_ERROR_INVALID_VALUE;
	for (size_t index = 0; !result && index < count; index++)
		result = pool_let(pool, &descriptions[index]);
	object_release(&pool->object);
	return result;
}

ENTRY(cuMemPoolGetAccess, (CUmemAccess_flags * ret_flags, CUmemoryPool handle, CUmemLocation *location))
{
	struct pool *pool;
	CUresult result = pool_acquire(handle, &pool);

	if (result)
		return result;
	if (!ret_flags || !location || location->type != CU_MEM_LOCATION_TYPE_DEVICE)
		result = CUDA_ERROR_INVALID_VALUE;
	else if (!device_exists(location->id))
		result = CUDA_ERROR_INVALID_DEVICE;
	else if (location->id == pool->device || pool->access_devices & 1u << location->id)
		*ret_flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
	else
		*ret_flags = CU_MEM_ACCESS_FLAGS_PROT_NONE;
	object_release(&pool->object);
	return result;
}
