/* SPDX-License-Identifier: Apache-2.0 */
#include "memory.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "arena.h"
#include "context.h"
#include "device_table.h"
#include "pool.h"
#include "softgpu/engine/engine.h"

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static struct memory_range *ranges; /* sorted by base, without overlap */
static size_t range_count;
static size_t range_capacity;
static uint64_t last_id;
static struct memory_graph_usage graph_usages[DEVICES_MAX];
static __thread CUdevice engine_device;

/* Index of the first range whose end lies above 'address'. */
static size_t index_above(uint64_t address)
{
	size_t low = 0, high = range_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (ranges[middle].base + ranges[middle].bytes <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static const struct memory_range *range_at(uint64_t address)
{
	size_t index = index_above(address);

	return index < range_count && ranges[index].base <= address ? &ranges[index] : NULL;
}

/* Under the lock, for writing. */
static void graph_usage_add(CUdevice device, int64_t used, int64_t reserved)
{
	struct memory_graph_usage *usage = &graph_usages[device];

	usage->used += (uint64_t)used;
	usage->reserved += (uint64_t)reserved;
	if (usage->used > usage->used_high)
		usage->used_high = usage->used;
	if (usage->reserved > usage->reserved_high)
		usage->reserved_high = usage->reserved;
}

/* Under the lock, for writing. */
static CUresult range_insert(const struct memory_range *range)
{
	size_t index = index_above(range->base);

	if (index < range_count && ranges[index].base < range->base + range->bytes)
		return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
	if (range_count == range_capacity) {
		size_t capacity = range_capacity ? range_capacity * 2 : 64;
		struct memory_range *grown = realloc(ranges, capacity * sizeof(*grown));

		if (!grown)
			return CUDA_ERROR_OUT_OF_MEMORY;
		ranges = grown;
		range_capacity = capacity;
	}
	memmove(&ranges[index + 1], &ranges[index], (range_count - index) * sizeof(*ranges));
	ranges[index] = *range;
	ranges[index].id = ++last_id;
	range_count++;
	if (range->kind == MEMORY_GRAPH)
		graph_usage_add(range->device, 0, (int64_t)range->bytes);
	return CUDA_SUCCESS;
}

/* Under the lock, for writing.  The range's reference to its pool goes to the caller. */
static struct memory_range range_remove(size_t index)
{
	struct memory_range range = ranges[index];

	memmove(&ranges[index], &ranges[index + 1], (range_count - index - 1) * sizeof(*ranges));
	range_count--;
	if (range.kind == MEMORY_GRAPH)
		graph_usage_add(range.device, range.live ? -(int64_t)range.bytes : 0, -(int64_t)range.bytes);
	if (range.kind == MEMORY_HOST)
		munmap((void *)range.base, range.bytes);
	else if (range.kind != MEMORY_REGISTERED && range.kind != MEMORY_MAPPED)
		arena_release(range.base);
	return range;
}

CUresult memory_allocate(struct memory_range *range, size_t alignment)
{
	CUresult result;

	range->base = arena_allocate(range->device, range->bytes, alignment);
	if (!range->base)
		return CUDA_ERROR_OUT_OF_MEMORY;
	pthread_rwlock_wrlock(&lock);
	result = range_insert(range);
	pthread_rwlock_unlock(&lock);
	if (result)
		arena_release(range->base);
	return result;
}

CUresult memory_register(const struct memory_range *range)
{
	CUresult result;

	pthread_rwlock_wrlock(&lock);
	result = range_insert(range);
	pthread_rwlock_unlock(&lock);
	return result;
}

CUresult memory_free(uint64_t base, unsigned kind_mask, struct memory_range *ret_range)
{
	CUresult result = CUDA_ERROR_INVALID_VALUE;
	struct memory_range range;
	size_t index;

	pthread_rwlock_wrlock(&lock);
	index = index_above(base);
	if (index < range_count && ranges[index].base == base && MEMORY_MASK(ranges[index].kind) & kind_mask) {
		range = range_remove(index);
		result = CUDA_SUCCESS;
	}
	pthread_rwlock_unlock(&lock);
	if (result)
		return result;
	if (range.pool)
		pool_return(range.pool, range.bytes, range.pool_offset);
	if (ret_range)
		*ret_range = range;
	return CUDA_SUCCESS;
}

bool memory_find(uint64_t address, struct memory_range *ret_range)
{
	const struct memory_range *range;

	pthread_rwlock_rdlock(&lock);
	range = range_at(address);
	if (range)
		*ret_range = *range;
	pthread_rwlock_unlock(&lock);
	return range;
}

bool memory_set_synchronous(uint64_t address, bool synchronous)
{
	size_t index;
	bool found;

	pthread_rwlock_wrlock(&lock);
	index = index_above(address);
	found = index < range_count && ranges[index].base <= address;
	if (found)
		ranges[index].synchronous = synchronous;
	pthread_rwlock_unlock(&lock);
	return found;
}

void memory_set_access(uint64_t base, uint32_t devices)
{
	size_t index;

	pthread_rwlock_wrlock(&lock);
	index = index_above(base);
	if (index < range_count && ranges[index].base == base && ranges[index].kind == MEMORY_MAPPED)
		ranges[index].access_devices = devices;
	pthread_rwlock_unlock(&lock);
}

/* Under the lock. */
static struct memory_range *graph_range(uint64_t base)
{
	size_t index = index_above(base);

	return index < range_count && ranges[index].base == base && ranges[index].kind == MEMORY_GRAPH ? &ranges[index]
												       : NULL;
}

bool memory_set_live(uint64_t base, bool live)
{
	struct memory_range *range;
	bool changed;

	pthread_rwlock_wrlock(&lock);
	range = graph_range(base);
	changed = range && range->live != live;
	if (changed) {
		range->live = live;
		graph_usage_add(range->device, live ? (int64_t)range->bytes : -(int64_t)range->bytes, 0);
	}
	pthread_rwlock_unlock(&lock);
	return changed;
}

bool memory_set_free_node(uint64_t base, bool has_free_node)
{
	struct memory_range *range;
	bool changed;

	pthread_rwlock_wrlock(&lock);
	range = graph_range(base);
	changed = range && range->has_free_node != has_free_node;
	if (changed)
		range->has_free_node = has_free_node;
	pthread_rwlock_unlock(&lock);
	return changed;
}

struct memory_graph_usage memory_graph_usage(CUdevice device)
{
	struct memory_graph_usage usage;

	pthread_rwlock_rdlock(&lock);
	usage = graph_usages[device];
	pthread_rwlock_unlock(&lock);
	return usage;
}

void memory_graph_forget(CUdevice device, bool used, bool reserved)
{
	struct memory_graph_usage *usage = &graph_usages[device];

	pthread_rwlock_wrlock(&lock);
	if (used)
		usage->used_high = usage->used;
	if (reserved)
		usage->reserved_high = usage->reserved;
	pthread_rwlock_unlock(&lock);
}

void memory_release_owned(struct context *context)
{
	size_t index = 0;

	pthread_rwlock_wrlock(&lock);
	while (index < range_count) {
		struct memory_range range = ranges[index];

		if (range.context != context) {
			index++;
			continue;
		}
		range_remove(index);
		if (range.pool)
			pool_return(range.pool, range.bytes, range.pool_offset);
	}
	pthread_rwlock_unlock(&lock);
}

void memory_lock(void)
{
	pthread_rwlock_rdlock(&lock);
}

void memory_unlock(void)
{
	pthread_rwlock_unlock(&lock);
}

/* Is all of it mapped without a gap, and accessible?  Under the lock. */
static bool is_mapped(uint64_t address, uint64_t bytes)
{
	for (size_t index = index_above(address); index < range_count; index++) {
		const struct memory_range *range = &ranges[index];

		if (range->base > address || range->kind != MEMORY_MAPPED || !range->access_devices)
			return false;
		if (bytes <= range->base + range->bytes - address)
			return true;
		bytes -= range->base + range->bytes - address;
		address = range->base + range->bytes;
	}
	return false;
}

/* Under the lock. */
enum memory_class memory_classify(uint64_t address, uint64_t bytes)
{
	const struct memory_range *range = range_at(address);
	size_t index;

	if (address + bytes < address)
		return MEMORY_CLASS_INVALID;
	if (range && range->kind == MEMORY_MAPPED)
		return is_mapped(address, bytes) ? MEMORY_CLASS_DEVICE : MEMORY_CLASS_INVALID;
	if (range) {
		if (bytes > range->base + range->bytes - address)
			return MEMORY_CLASS_INVALID;
		return memory_kind_is_host(range->kind) ? MEMORY_CLASS_HOST : MEMORY_CLASS_DEVICE;
	}
	if (arena_holds(address))
		return MEMORY_CLASS_INVALID;
	/* Pageable memory must not run into something else. */
	index = index_above(address);
	if (index < range_count && ranges[index].base < address + bytes && !memory_kind_is_host(ranges[index].kind))
		return MEMORY_CLASS_INVALID;
	return MEMORY_CLASS_UNKNOWN;
}

bool memory_is_synchronous(uint64_t address)
{
	const struct memory_range *range = range_at(address);

	return range && range->synchronous;
}

static uint64_t engine_allocate(void *user, size_t bytes, size_t alignment)
{
	struct memory_range range = {.bytes = bytes, .kind = MEMORY_VARIABLE, .device = engine_device};

	(void)user;
	return memory_allocate(&range, alignment) ? 0 : range.base;
}

static void engine_release(void *user, uint64_t address)
{
	(void)user;
	memory_free(address, MEMORY_MASK(MEMORY_VARIABLE), NULL);
}

static bool engine_host_range_contains(void *user, uint64_t address, size_t bytes)
{
	const struct memory_range *range;
	bool contains;

	(void)user;
	pthread_rwlock_rdlock(&lock);
	range = range_at(address);
	contains = range && memory_kind_is_host(range->kind) && bytes <= range->base + range->bytes - address;
	pthread_rwlock_unlock(&lock);
	return contains;
}

void memory_engine_device_set(CUdevice device)
{
	engine_device = device;
}

void memory_engine_fill(struct engine_memory *memory)
{
	*memory = (struct engine_memory){
		.arena_base = arena_base(),
		.arena_bytes = arena_span_bytes(),
		.allocate = engine_allocate,
		.release = engine_release,
		.host_range_contains = engine_host_range_contains,
	};
}
