/* SPDX-License-Identifier: Apache-2.0 */
/* Stream-ordered memory and its pools. */
#include "capture.h"
#include "context.h"
#include "host_calls.h"
#include "lock.h"
#include "memory.h"
#include "pool.h"
#include "session.h"

/* Of each device; made when first asked for. */
static struct object *default_pools[SESSION_DEVICES_MAX];
static struct object *current_pools[SESSION_DEVICES_MAX]; /* NULL: the default one */
static struct lock pools_lock;

/*
 * The pool that memory of the current context's device comes from if none is named, so that the host knows which it
 * is; NULL: the host finds it.
 */
static CUmemoryPool pool_choose(CUstream stream)
{
	const struct object *current = context_current(), *object;
	struct object *pool;

	if (!current)
		return NULL;
	object = object_find(stream, VGPU_KIND_STREAM);
	if (object && object->context != current->id)
		return NULL;
	lock_take(&pools_lock);
	pool = current_pools[current->words[CONTEXT_DEVICE]];
	lock_release(&pools_lock);
	return (CUmemoryPool)pool;
}

static CUresult pool_allocate(CUdeviceptr *dptr, size_t bytes, CUmemoryPool pool, CUstream stream,
			      bool per_thread_default)
{
	struct memory_range range = {.kind = MEMORY_POOL, .bytes = bytes};
	uint32_t context, pool_id = 0, stream_number;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	if (!dptr)
		return CUDA_ERROR_INVALID_VALUE;
	result = stream_id(stream, per_thread_default, &stream_number);
	if (!result && pool)
		result = object_id(pool, VGPU_KIND_MEMORY_POOL, &pool_id);
	if (result)
		return result;
	/* As the driver has it (580.159.04): there is nothing, and cuMemFreeAsync() takes it. */
	if (bytes == 0) {
		*dptr = 0;
		return CUDA_SUCCESS;
	}
	result = capture_refuse(context, stream_number);
	if (result && result != CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED)
		return result;
	/* In a capture it becomes a node of the graph. */
	if (result)
		range.kind = MEMORY_GRAPH;
	range.device = (CUdevice)thread_state.current->words[CONTEXT_DEVICE];
	result = host_cuMemAllocFromPoolAsync(context, &range.address, bytes, pool_id, stream_number);
	if (result)
		return result;
	result = memory_note(&range);
	if (result) {
		(void)host_cuMemFreeAsync(context, range.address, stream_number);
		return result;
	}
	*dptr = range.address;
	return CUDA_SUCCESS;
}

static CUresult pool_free(CUdeviceptr dptr, CUstream stream, bool per_thread_default)
{
	struct memory_range range;
	uint32_t context, stream_number;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (!result)
		result = stream_id(stream, per_thread_default, &stream_number);
	if (result || !dptr)
		return result;
	if (memory_is_of_graph(dptr)) {
		result = host_cuMemFreeAsync(context, dptr, stream_number);
		return result ? result : capture_settle_open(context, stream_number);
	}
	/* A graph cannot free what no graph has allocated. */
	result = capture_refuse(context, stream_number);
	if (result)
		return result == CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED ? CUDA_ERROR_INVALID_VALUE : result;
	if (!memory_remove(dptr, 1u << MEMORY_POOL | 1u << MEMORY_DEVICE, &range))
		return CUDA_ERROR_INVALID_VALUE;
	return host_cuMemFreeAsync(context, dptr, stream_number);
}

API(cuMemAllocAsync, CUdeviceptr *dptr, size_t bytes, CUstream stream)
{
	return pool_allocate(dptr, bytes, pool_choose(stream), stream, false);
}

API(cuMemAllocAsync_ptsz, CUdeviceptr *dptr, size_t bytes, CUstream stream)
{
	return pool_allocate(dptr, bytes, pool_choose(stream), stream, true);
}

API(cuMemAllocFromPoolAsync, CUdeviceptr *dptr, size_t bytes, CUmemoryPool pool, CUstream stream)
{
	return pool ? pool_allocate(dptr, bytes, pool, stream, false) : CUDA_ERROR_INVALID_VALUE;
}

API(cuMemAllocFromPoolAsync_ptsz, CUdeviceptr *dptr, size_t bytes, CUmemoryPool pool, CUstream stream)
{
	return pool ? pool_allocate(dptr, bytes, pool, stream, true) : CUDA_ERROR_INVALID_VALUE;
}

API(cuMemFreeAsync, CUdeviceptr dptr, CUstream stream)
{
	return pool_free(dptr, stream, false);
}

API(cuMemFreeAsync_ptsz, CUdeviceptr dptr, CUstream stream)
{
	return pool_free(dptr, stream, true);
}

/* With the lock held. */
static CUresult default_pool_get(uint32_t context, CUdevice device, struct object **ret_pool)
{
	struct object *pool = default_pools[device];
	CUresult result;

	if (!pool) {
		pool = object_mint(VGPU_KIND_MEMORY_POOL, 0);
		if (!pool)
			return CUDA_ERROR_OUT_OF_MEMORY;
		result = host_cuDeviceGetDefaultMemPool(context, pool->id, device);
		if (result) {
			object_release(pool);
			return result;
		}
		default_pools[device] = pool;
	}
	*ret_pool = pool;
	return CUDA_SUCCESS;
}

static CUresult device_pool(CUmemoryPool *pool, CUdevice dev, bool wants_current)
{
	struct object *object = NULL;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_INIT, &context);

	if (result)
		return result;
	if (!pool)
		return CUDA_ERROR_INVALID_VALUE;
	if (!context_primary(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	lock_take(&pools_lock);
	if (wants_current)
		object = current_pools[dev];
	if (!object)
		result = default_pool_get(context, dev, &object);
	lock_release(&pools_lock);
	if (!result)
		*pool = (CUmemoryPool)object;
	return result;
}

API(cuDeviceGetDefaultMemPool, CUmemoryPool *pool, CUdevice dev)
{
	return device_pool(pool, dev, false);
}

API(cuDeviceGetMemPool, CUmemoryPool *pool, CUdevice dev)
{
	return device_pool(pool, dev, true);
}

API(cuDeviceSetMemPool, CUdevice dev, CUmemoryPool pool)
{
	struct object *object;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_INIT, &context);

	if (result)
		return result;
	if (!context_primary(dev))
		return CUDA_ERROR_INVALID_DEVICE;
	object = object_find(pool, VGPU_KIND_MEMORY_POOL);
	if (!object)
		return CUDA_ERROR_INVALID_VALUE;
	result = host_cuDeviceSetMemPool(context, dev, object->id);
	if (!result) {
		lock_take(&pools_lock);
		current_pools[dev] = object;
		lock_release(&pools_lock);
	}
	return result;
}

API(cuMemPoolCreate, CUmemoryPool *pool, const CUmemPoolProps *properties)
{
	struct object *object;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_INIT, &context);

	if (result)
		return result;
	if (!pool || !properties || properties->allocType != CU_MEM_ALLOCATION_TYPE_PINNED)
		return CUDA_ERROR_INVALID_VALUE;
	/* Descriptors are the one kind of handles for other processes, and only device memory comes from a pool. */
	if ((properties->handleTypes != CU_MEM_HANDLE_TYPE_NONE &&
	     (properties->handleTypes != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR ||
	      !(session.features & VGPU_FEATURE_SHARE))) ||
	    properties->location.type != CU_MEM_LOCATION_TYPE_DEVICE)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!context_primary(properties->location.id))
		return CUDA_ERROR_INVALID_VALUE;
	object = object_mint(VGPU_KIND_MEMORY_POOL, 0);
	if (!object)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (properties->handleTypes != CU_MEM_HANDLE_TYPE_NONE)
		result = host_cuMemPoolCreateShared(context, object->id, properties->location.id,
						    (uint32_t)properties->handleTypes, properties->maxSize);
	else
		result = host_cuMemPoolCreate(context, object->id, properties->location.id, properties->maxSize);
	if (result) {
		object_release(object);
		return result;
	}
	object->words[POOL_HANDLE_TYPES] = (uint64_t)properties->handleTypes;
	*pool = (CUmemoryPool)object;
	return CUDA_SUCCESS;
}

API(cuMemPoolDestroy, CUmemoryPool pool)
{
	struct object *object;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_INIT, &context);

	if (result)
		return result;
	object = object_find(pool, VGPU_KIND_MEMORY_POOL);
	if (!object)
		return CUDA_ERROR_INVALID_VALUE;
	lock_take(&pools_lock);
	for (uint32_t i = 0; i < session.device_count; i++) {
		if (default_pools[i] == object)
			result = CUDA_ERROR_INVALID_VALUE;
		/* The device goes back to its default pool (API reference, cuMemPoolDestroy). */
		else if (current_pools[i] == object)
			current_pools[i] = NULL;
	}
	lock_release(&pools_lock);
	if (!result)
		result = host_cuMemPoolDestroy(context, object->id);
	if (!result)
		object_release(object);
	return result;
}

/* The first three attributes are int, the others 64-bit (API reference). */
static bool attribute_is_int(CUmemPool_attribute attribute)
{
	return attribute <= CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES;
}

API(cuMemPoolSetAttribute, CUmemoryPool pool, CUmemPool_attribute attribute, void *value)
{
	uint32_t context, id;
	CUresult result = call_begin(CALL_NEEDS_INIT, &context);

	if (result)
		return result;
	if (!value || object_id(pool, VGPU_KIND_MEMORY_POOL, &id))
		return CUDA_ERROR_INVALID_VALUE;
	return host_cuMemPoolSetAttribute(context, id, (uint32_t)attribute,
					  attribute_is_int(attribute) ? (uint64_t)(int64_t) * (int *)value
								      : *(cuuint64_t *)value);
}

API(cuMemPoolGetAttribute, CUmemoryPool pool, CUmemPool_attribute attribute, void *value)
{
	uint32_t context, id;
	uint64_t wide;
	CUresult result = call_begin(CALL_NEEDS_INIT, &context);

	if (result)
		return result;
	if (!value || object_id(pool, VGPU_KIND_MEMORY_POOL, &id))
		return CUDA_ERROR_INVALID_VALUE;
	result = host_cuMemPoolGetAttribute(context, id, (uint32_t)attribute, &wide);
	if (result)
		return result;
	if (attribute_is_int(attribute))
		*(int *)value = (int)wide;
	else
		*(cuuint64_t *)value = wide;
	return CUDA_SUCCESS;
}
