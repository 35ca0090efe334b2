/* SPDX-License-Identifier: Apache-2.0 */
#include "reserve.h"

#include <stdlib.h>

#include "executor.h"
#include "limit.h"

#define CAPACITY_FIRST 8

static void kept_set(struct executor *executor, uint64_t *kept, uint64_t bytes)
{
	if (bytes > *kept)
		memory_note(executor, bytes - *kept);
	else
		memory_release(executor, *kept - bytes);
	counter_add(&executor->counters->memory_bytes, bytes - *kept);
	*kept = bytes;
}

static struct reserve *reserve_of(const struct executor *executor, CUmemoryPool pool)
{
	const struct reserves *reserves = &executor->reserves;

	for (size_t i = 0; i < reserves->count; i++)
		if (reserves->list[i].pool == pool)
			return &reserves->list[i];
	return NULL;
}

static bool reserved_bytes(const struct executor *executor, CUmemoryPool pool, uint64_t *ret_bytes)
{
	cuuint64_t bytes = 0;

	if (!executor->driver.cuMemPoolGetAttribute ||
	    executor->driver.cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, &bytes))
		return false;
	*ret_bytes = bytes;
	return true;
}

static uint64_t excess(uint64_t reserved, uint64_t live)
{
	return reserved > live ? reserved - live : 0;
}

/* Brings what is kept up to date. A driver that does not say what it has reserved has kept it. */
static void reserve_look(struct executor *executor, struct reserve *reserve)
{
	uint64_t reserved = 0;

	if (!memory_is_limited(executor))
		kept_set(executor, &reserve->kept, 0);
	else if (reserved_bytes(executor, reserve->pool, &reserved))
		kept_set(executor, &reserve->kept, excess(reserved, reserve->live));
}

static void reserve_remove(struct executor *executor, struct reserve *reserve)
{
	struct reserves *reserves = &executor->reserves;

	kept_set(executor, &reserve->kept, 0);
	*reserve = reserves->list[--reserves->count];
}

/* False: it has been removed, and another one is in its place. */
static bool ended_settle(struct executor *executor, struct reserve *reserve)
{
	if (!reserve->is_ended || reserve->live || reserve->kept)
		return true;
	(void)executor->driver.cuMemPoolDestroy(reserve->pool);
	reserve_remove(executor, reserve);
	return false;
}

static void pool_trim(struct executor *executor, struct reserve *reserve, size_t bytes_to_keep)
{
	if (executor->driver.cuMemPoolTrimTo)
		(void)executor->driver.cuMemPoolTrimTo(reserve->pool, bytes_to_keep);
	reserve_look(executor, reserve);
}

/* Of all devices; 0 where nobody says. */
static uint64_t graphs_reserved_bytes(const struct executor *executor)
{
	const struct driver *driver = &executor->driver;
	uint64_t sum = 0;
	int count = 0;

	if (!driver->cuDeviceGetGraphMemAttribute || driver->cuDeviceGetCount(&count))
		return 0;
	for (CUdevice device = 0; device < count; device++) {
		cuuint64_t bytes = 0;

		if (!driver->cuDeviceGetGraphMemAttribute(device, CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT, &bytes))
			sum += bytes;
	}
	return sum;
}

static void graphs_look(struct executor *executor)
{
	struct reserves *reserves = &executor->reserves;
	uint64_t kept =
		memory_is_limited(executor) ? excess(graphs_reserved_bytes(executor), reserves->graphs_live) : 0;

	kept_set(executor, &reserves->graphs_kept, kept);
}

static void graphs_trim(struct executor *executor)
{
	const struct driver *driver = &executor->driver;
	int count = 0;

	if (driver->cuDeviceGraphMemTrim && !driver->cuDeviceGetCount(&count))
		for (CUdevice device = 0; device < count; device++)
			(void)driver->cuDeviceGraphMemTrim(device);
	graphs_look(executor);
}

static uint64_t kept_sum(const struct executor *executor)
{
	const struct reserves *reserves = &executor->reserves;
	uint64_t sum = reserves->graphs_kept;

	for (size_t i = 0; i < reserves->count; i++)
		sum += reserves->list[i].kept;
	return sum;
}

/* All but one pool. True: something has been given back. */
static bool others_trim(struct executor *executor, CUmemoryPool pool)
{
	struct reserves *reserves = &executor->reserves;
	uint64_t before = kept_sum(executor);

	if (!before)
		return false;
	for (size_t i = 0; i < reserves->count;) {
		if (reserves->list[i].kept && reserves->list[i].pool != pool)
			pool_trim(executor, &reserves->list[i], 0);
		if (ended_settle(executor, &reserves->list[i]))
			i++;
	}
	if (reserves->graphs_kept)
		graphs_trim(executor);
	return kept_sum(executor) < before;
}

CUresult reserve_charge(struct executor *executor, uint64_t bytes)
{
	CUresult result = memory_charge(executor, bytes);

	if (result && others_trim(executor, NULL))
		result = memory_charge(executor, bytes);
	if (result)
		executor->memory_waits.is_refused = true;
	return result;
}

/* The device of the stream's context; -1: there is none. */
static CUdevice stream_device(const struct executor *executor, uint32_t stream_id)
{
	const struct handle *handle = stream_id ? handles_find(&executor->handles, VGPU_KIND_STREAM, stream_id) : NULL;
	const struct context *context = handle ? context_find(executor, handle->context) : executor->contexts.current;

	return context ? context->device : -1;
}

CUresult reserve_pool_find(struct executor *executor, CUmemoryPool pool, uint32_t stream_id, CUmemoryPool *ret_pool)
{
	struct reserves *reserves = &executor->reserves;
	uint64_t reserved;

	*ret_pool = NULL;
	if (!executor->tenant)
		return CUDA_SUCCESS;
	if (!pool && (!executor->driver.cuDeviceGetMemPool ||
		      executor->driver.cuDeviceGetMemPool(&pool, stream_device(executor, stream_id))))
		return CUDA_SUCCESS;
	if (!reserve_of(executor, pool)) {
		if (!reserved_bytes(executor, pool, &reserved))
			return CUDA_SUCCESS;
		if (reserves->count == reserves->capacity) {
			size_t capacity = reserves->capacity ? 2 * reserves->capacity : CAPACITY_FIRST;
			struct reserve *list = realloc(reserves->list, capacity * sizeof(*list));

			if (!list)
				return CUDA_ERROR_OUT_OF_MEMORY;
			reserves->list = list;
			reserves->capacity = capacity;
		}
		reserves->list[reserves->count++] = (struct reserve){.pool = pool};
	}
	*ret_pool = pool;
	return CUDA_SUCCESS;
}

CUresult reserve_allocated(struct executor *executor, CUmemoryPool pool, uint64_t charged)
{
	struct reserve *reserve = reserve_of(executor, pool);
	uint64_t reserved = 0, growth;
	CUresult result;

	if (!reserve)
		return CUDA_SUCCESS;
	reserve->live += charged;
	if (!memory_is_limited(executor) || !reserved_bytes(executor, pool, &reserved) ||
	    excess(reserved, reserve->live) <= reserve->kept) {
		reserve_look(executor, reserve);
		return CUDA_SUCCESS;
	}
	growth = excess(reserved, reserve->live) - reserve->kept;
	result = memory_charge(executor, growth);
	if (result && others_trim(executor, pool))
		result = memory_charge(executor, growth);
	if (!result) {
		/* It may be in another place by now. */
		reserve_of(executor, pool)->kept += growth;
		counter_add(&executor->counters->memory_bytes, growth);
		return CUDA_SUCCESS;
	}
	/* The driver has it until the caller and the stream have given it back. */
	reserve_freed(executor, pool, charged);
	return result;
}

void reserve_freed(struct executor *executor, CUmemoryPool pool, uint64_t charged)
{
	struct reserve *reserve = reserve_of(executor, pool);

	if (!reserve)
		return;
	/* Another pool at the place of one that ended while there was no limit has less. */
	reserve->live -= charged < reserve->live ? charged : reserve->live;
	reserve_look(executor, reserve);
	(void)ended_settle(executor, reserve);
}

/* False: it is a device's default pool, which has no end. One that is a device's current pool is so no more. */
static bool pool_leave(const struct driver *driver, CUmemoryPool pool)
{
	CUmemoryPool current, standard;
	int count = 0;

	if (!driver->cuDeviceGetMemPool || driver->cuDeviceGetCount(&count))
		return false;
	for (CUdevice device = 0; device < count; device++) {
		if (driver->cuDeviceGetMemPool(&current, device) ||
		    driver->cuDeviceGetDefaultMemPool(&standard, device) || standard == pool)
			return false;
		if (current == pool && driver->cuDeviceSetMemPool(device, standard))
			return false;
	}
	return true;
}

CUresult reserve_pool_destroy(struct executor *executor, CUmemoryPool pool)
{
	struct reserve *reserve = reserve_of(executor, pool);
	CUresult result;

	if (reserve && memory_is_limited(executor)) {
		pool_trim(executor, reserve, 0);
		if ((reserve->live || reserve->kept) && pool_leave(&executor->driver, pool)) {
			reserve->is_ended = true;
			return CUDA_SUCCESS;
		}
	}
	result = executor->driver.cuMemPoolDestroy(pool);
	if (!result && reserve)
		reserve_remove(executor, reserve);
	return result;
}

void reserve_graphs_charged(struct executor *executor, uint64_t bytes)
{
	executor->reserves.graphs_live += bytes;
}

void reserve_graphs_freed(struct executor *executor, uint64_t bytes)
{
	executor->reserves.graphs_live -= bytes;
	graphs_look(executor);
}

static size_t threshold_of(const struct executor *executor, const struct reserve *reserve)
{
	cuuint64_t threshold = 0;

	if (!reserve->is_ended)
		(void)executor->driver.cuMemPoolGetAttribute(reserve->pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD,
							     &threshold);
	return threshold;
}

void reserve_synchronized(struct executor *executor)
{
	struct reserves *reserves = &executor->reserves;

	for (size_t i = 0; i < reserves->count;) {
		struct reserve *reserve = &reserves->list[i];

		if (reserve->kept) {
			size_t threshold = threshold_of(executor, reserve);

			if (reserve->live + reserve->kept > threshold)
				pool_trim(executor, reserve, threshold);
		}
		if (ended_settle(executor, reserve))
			i++;
	}
	if (reserves->graphs_kept)
		graphs_look(executor);
}

void reserve_refresh(struct executor *executor)
{
	struct reserves *reserves = &executor->reserves;

	for (size_t i = 0; i < reserves->count; i++)
		if (reserves->list[i].kept)
			reserve_look(executor, &reserves->list[i]);
	if (reserves->graphs_kept)
		graphs_look(executor);
}
