/* SPDX-License-Identifier: Apache-2.0 */
#include "pool.h"

#include <pthread.h>
#include <stdlib.h>

#include "arena.h"
#include "capture.h"
#include "context.h"
#include "device_table.h"
#include "driver.h"
#include "entry.h"
#include "graph_memory.h"
#include "memory.h"
#include "object.h"
#include "pool_file.h"
#include "stream.h"

static struct pool *default_pools[DEVICES_MAX]; /* never freed */
static CUmemoryPool current_pools[DEVICES_MAX]; /* NULL: the default one */
static pthread_mutex_t pools_lock = PTHREAD_MUTEX_INITIALIZER;

static void pool_destroy(struct object *object)
{
	struct pool *pool = (struct pool *)object;

	pool_file_close(pool->file);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

CUresult memory_pool_create(CUdevice device, uint64_t maximum, struct pool_file *file, struct pool **ret_pool)
{
	struct pool *pool = calloc(1, sizeof(*pool));

	if (!pool) {
		pool_file_close(file);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	object_prepare(&pool->object, OBJECT_POOL, NULL, pool_destroy);
	pthread_mutex_init(&pool->lock, NULL);
	pool->reuse_event = pool->reuse_opportunistic = pool->reuse_internal = 1; /* the documented defaults */
	pool->device = device;
	pool->maximum = maximum;
	pool->file = file;
	if (!object_publish(&pool->object)) {
		object_release(&pool->object);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	*ret_pool = pool;
	return CUDA_SUCCESS;
}

static CUresult default_pool_get(CUdevice device, CUmemoryPool *ret_handle)
{
	CUresult result = CUDA_SUCCESS;

	pthread_mutex_lock(&pools_lock);
	if (!default_pools[device])
		result = memory_pool_create(device, 0, NULL, &default_pools[device]);
	if (!result)
		*ret_handle = (CUmemoryPool)default_pools[device];
	pthread_mutex_unlock(&pools_lock);
	return result;
}

CUresult pool_acquire(CUmemoryPool handle, struct pool **ret_pool)
{
	CUresult result = driver_check();

	if (result)
		return result;
	*ret_pool = object_acquire(handle, OBJECT_POOL);
	return *ret_pool ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

bool pool_take(struct pool *pool, uint64_t bytes)
{
	bool taken = false;

	pthread_mutex_lock(&pool->lock);
	if (!pool->maximum || bytes <= pool->maximum - pool->used) {
		pool->used += bytes;
		if (pool->used > pool->used_high)
			pool->used_high = pool->used;
		taken = true;
	}
	pthread_mutex_unlock(&pool->lock);
	if (taken)
		object_retain(&pool->object);
	return taken;
}

void pool_return(struct pool *pool, uint64_t bytes, uint64_t offset)
{
	if (pool->file && !pool->is_imported)
		pool_file_punch(pool->file, offset, bytes);
	pthread_mutex_lock(&pool->lock);
	pool->used -= bytes;
	pthread_mutex_unlock(&pool->lock);
	object_release(&pool->object);
}

ENTRY(cuDeviceGetDefaultMemPool, (CUmemoryPool * ret_pool, CUdevice device))
{
	CUresult result = device_check(device);

	if (result)
		return result;
	return ret_pool ? default_pool_get(device, ret_pool) : CUDA_ERROR_INVALID_VALUE;
}

ENTRY(cuDeviceGetMemPool, (CUmemoryPool * ret_pool, CUdevice device))
{
	CUmemoryPool handle;
	CUresult result = cuDeviceGetDefaultMemPool(&handle, device);

	if (result)
		return result;
	if (!ret_pool)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&pools_lock);
	*ret_pool = current_pools[device] ? current_pools[device] : handle;
	pthread_mutex_unlock(&pools_lock);
	return CUDA_SUCCESS;
}

ENTRY(cuDeviceSetMemPool, (CUdevice device, CUmemoryPool handle))
{
	struct pool *pool;
	CUresult result = pool_acquire(handle, &pool);

	if (result)
		return result;
	if (!device_exists(device))
		result = CUDA_ERROR_INVALID_DEVICE;
	else if (pool->device != device || pool->is_imported)
		result = CUDA_ERROR_INVALID_VALUE; /* the pool must be local to the device, and to the process */
	object_release(&pool->object);
	if (result)
		return result;
	pthread_mutex_lock(&pools_lock);
	current_pools[device] = handle;
	pthread_mutex_unlock(&pools_lock);
	return CUDA_SUCCESS;
}

ENTRY(cuMemPoolCreate, (CUmemoryPool * ret_pool, const CUmemPoolProps *properties))
{
	struct pool_file *file = NULL;
	struct pool *pool;
	CUresult result = driver_check();

	if (result)
		return result;
	if (!ret_pool || !properties || properties->allocType != CU_MEM_ALLOCATION_TYPE_PINNED)
		return CUDA_ERROR_INVALID_VALUE;
	/* Descriptors are the one kind of handles; pools of host memory. */
	if ((properties->handleTypes != CU_MEM_HANDLE_TYPE_NONE &&
	     properties->handleTypes != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR) ||
	    properties->location.type != CU_MEM_LOCATION_TYPE_DEVICE)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!device_exists(properties->location.id))
		return CUDA_ERROR_INVALID_DEVICE;
	if (properties->handleTypes != CU_MEM_HANDLE_TYPE_NONE) {
		file = pool_file_create(properties->location.id);
		if (!file)
			return CUDA_ERROR_OUT_OF_MEMORY;
	}
	result = memory_pool_create(properties->location.id, properties->maxSize, file, &pool);
	if (!result)
		*ret_pool = (CUmemoryPool)pool;
	return result;
}

/* Allocations live on: each holds a reference. */
ENTRY(cuMemPoolDestroy, (CUmemoryPool handle))
{
	struct pool *pool;
	CUmemoryPool standard;
	CUresult result = pool_acquire(handle, &pool);
	CUdevice device;

	if (result)
		return result;
	device = pool->device;
	object_release(&pool->object);
	result = default_pool_get(device, &standard);
	if (result)
		return result;
	if (handle == standard)
		return CUDA_ERROR_INVALID_VALUE;
	pool = object_retire(handle, OBJECT_POOL);
	if (!pool)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&pools_lock);
	if (current_pools[device] == handle)
		current_pools[device] = NULL;
	pthread_mutex_unlock(&pools_lock);
	object_release(&pool->object);
	return CUDA_SUCCESS;
}

/* There is never anything to give back. */
ENTRY(cuMemPoolTrimTo, (CUmemoryPool handle, size_t bytes_to_keep))
{
	struct pool *pool;
	CUresult result = pool_acquire(handle, &pool);

	(void)bytes_to_keep;
	if (!result)
		object_release(&pool->object);
	return result;
}

static CUresult pool_allocate(struct pool *pool, struct context *context, size_t bytes, CUdeviceptr *ret_address)
{
	struct memory_range range = {
		.bytes = bytes, .kind = MEMORY_DEVICE, .device = pool->device, .context = context, .pool = pool};
	CUresult result;

	if (!pool_take(pool, bytes))
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (pool->file && !pool_file_extend(pool->file, bytes, &range.pool_offset)) {
		pool_return(pool, 0, 0);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	result = memory_allocate(&range, ARENA_PAGE_BYTES);
	if (result) {
		pool_return(pool, bytes, range.pool_offset);
		return result;
	}
	if (pool->file && !pool_file_map(pool->file, range.base, bytes, range.pool_offset)) {
		(void)memory_free(range.base, MEMORY_MASK(MEMORY_DEVICE), NULL);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	*ret_address = range.base;
	return CUDA_SUCCESS;
}

static CUresult allocation_capture(struct stream *stream, CUdevice device, size_t bytes, CUdeviceptr *ret_address)
{
	CUdeviceptr address;
	struct work *work;
	CUresult result = graph_allocation_work(device, bytes, &address, &work);

	if (!result)
		result = stream_submit(stream, work, NULL);
	if (!result)
		*ret_address = address;
	return result;
}

static CUresult free_capture(struct stream *stream, CUdeviceptr address)
{
	struct work *work;
	CUresult result = graph_free_work(address, &work);

	return result ? result : stream_submit(stream, work, NULL);
}

ENTRY_STREAM(cuMemAllocFromPoolAsync, (CUdeviceptr * ret_address, size_t bytes, CUmemoryPool handle, CUstream stream),
	     (ret_address, bytes, handle, stream))
{
	struct context *context;
	struct stream *target;
	struct pool *pool;
	CUresult result = context_current(&context);

	if (result)
		return result;
	if (!ret_address || !bytes)
		return CUDA_ERROR_INVALID_VALUE;
	result = pool_acquire(handle, &pool);
	if (result)
		return result;
	if (pool->is_imported) {
		result = CUDA_ERROR_INVALID_VALUE;
		goto release_pool;
	}
	result = stream_acquire(context, stream, &target);
	if (result)
		goto release_pool;
	if (capture_is_open(target)) {
		result = allocation_capture(target, pool->device, bytes, ret_address);
		goto release_stream;
	}
	result = pool_allocate(pool, target->context, bytes, ret_address);
	if (result == CUDA_ERROR_OUT_OF_MEMORY) {
		/* Frees that streams have not reached yet may make room. */
		stream_wait_context(target->context);
		result = pool_allocate(pool, target->context, bytes, ret_address);
	}
release_stream:
	stream_release(target);
release_pool:
	object_release(&pool->object);
	return result;
}

/* From the pool of the stream's device. */
ENTRY_STREAM(cuMemAllocAsync, (CUdeviceptr * ret_address, size_t bytes, CUstream stream), (ret_address, bytes, stream))
{
	struct context *context;
	struct stream *target;
	CUmemoryPool pool;
	CUdevice device;
	CUresult result = context_current(&context);

	if (!result)
		result = stream_acquire(context, stream, &target);
	if (result)
		return result;
	device = target->context->device;
	stream_release(target);
	result = cuDeviceGetMemPool(&pool, device);
	return result ? result : cuMemAllocFromPoolAsync_on(ret_address, bytes, pool, stream);
}

struct free_work {
	struct work work;
	uint64_t address;
	bool is_of_graph;
};

static CUresult free_run(struct work *work, struct stream *stream)
{
	const struct free_work *target = (struct free_work *)work;

	(void)stream;
	if (target->is_of_graph) {
		(void)memory_set_live(target->address, false);
		return CUDA_SUCCESS;
	}
	return memory_free(target->address, MEMORY_MASK(MEMORY_DEVICE), NULL) ? CUDA_ERROR_ILLEGAL_ADDRESS
									      : CUDA_SUCCESS;
}

static void free_free(struct work *work)
{
	free(work);
}

ENTRY_STREAM(cuMemFreeAsync, (CUdeviceptr address, CUstream stream), (address, stream))
{
	struct memory_range range;
	struct context *context;
	struct free_work *work;
	struct stream *target;
	CUresult result = context_current(&context);

	if (result)
		return result;
	if (!address)
		return CUDA_SUCCESS;
	if (!memory_find(address, &range) || range.base != address ||
	    (range.kind != MEMORY_DEVICE && range.kind != MEMORY_GRAPH))
		return CUDA_ERROR_INVALID_VALUE;
	result = stream_acquire(context, stream, &target);
	if (result)
		return result;
	if (capture_is_open(target)) {
		result = free_capture(target, address);
		goto release;
	}
	work = calloc(1, sizeof(*work));
	if (work) {
		work->work = (struct work){.run = free_run, .free = free_free};
		work->address = address;
		work->is_of_graph = range.kind == MEMORY_GRAPH;
		result = stream_submit(target, &work->work, NULL);
	} else {
		result = CUDA_ERROR_OUT_OF_MEMORY;
	}
release:
	stream_release(target);
	return result;
}
