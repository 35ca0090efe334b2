/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cuIpc*MemHandle: device memory that several processes share.  Memory that is
 * exported becomes a shared segment at its own address; who opens it has the
 * segment in a block of its own arena.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/shm.h>

#include "arena.h"
#include "context.h"
#include "entry.h"
#include "memory.h"
#include "segment.h"
#include "stream.h"

struct shared {
	struct shared *next;
	uint64_t range; /* id of the memory range, which no other ever has */
	uint64_t base;
	unsigned uses; /* of opened memory; 0: exported */
	struct segment segment;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct shared *list;

/* Forgets what has been freed meanwhile.  Under the lock. */
static void list_sweep(void)
{
	struct shared **link = &list;

	while (*link) {
		struct shared *shared = *link;
		struct memory_range range;

		if (memory_find(shared->base, &range) && range.id == shared->range) {
			link = &shared->next;
			continue;
		}
		*link = shared->next;
		free(shared);
	}
}

/* Under the lock. */
static bool list_add(uint64_t base, unsigned uses, const struct segment *segment)
{
	struct shared *shared = calloc(1, sizeof(*shared));
	struct memory_range range;

	if (!shared)
		return false;
	if (!memory_find(base, &range)) {
		free(shared);
		return false;
	}
	*shared = (struct shared){.next = list, .range = range.id, .base = base, .uses = uses, .segment = *segment};
	list = shared;
	return true;
}

/* Under the lock. */
static struct shared *shared_at(uint64_t base)
{
	for (struct shared *shared = list; shared; shared = shared->next)
		if (shared->base == base)
			return shared;
	return NULL;
}

static size_t whole_pages(size_t bytes)
{
	return (bytes + ARENA_PAGE_BYTES - 1) & ~(ARENA_PAGE_BYTES - 1);
}

/* Moves the memory into a segment that takes its place.  Nothing uses it meanwhile.  Under the lock. */
static CUresult range_share(const struct memory_range *range, struct segment *ret_segment)
{
	size_t bytes = whole_pages(range->bytes);
	void *copy = NULL, *place = (void *)range->base;
	CUresult result = CUDA_ERROR_OUT_OF_MEMORY;

	if (!segment_make(SEGMENT_MEMORY, bytes, &copy, ret_segment))
		return CUDA_ERROR_OUT_OF_MEMORY;
	memcpy(copy, place, bytes);
	if (segment_attach(ret_segment, &place) && list_add(range->base, 0, ret_segment))
		result = CUDA_SUCCESS;
	shmdt(copy);
	return result;
}

ENTRY(cuIpcGetMemHandle, (CUipcMemHandle * ret_handle, CUdeviceptr address))
{
	struct memory_range range;
	struct context *context;
	struct segment segment;
	struct shared *shared;
	CUresult result = context_current(&context);

	if (result)
		return result;
	if (!ret_handle || !memory_find(address, &range) || range.kind != MEMORY_DEVICE || range.pool)
		return CUDA_ERROR_INVALID_VALUE;
	stream_wait_context(context);
	pthread_mutex_lock(&lock);
	list_sweep();
	shared = shared_at(range.base);
	if (shared)
		segment = shared->segment;
	else
		result = range_share(&range, &segment);
	pthread_mutex_unlock(&lock);
	if (!result)
		segment_write(&segment, ret_handle->reserved);
	return result;
}

/* Under the lock. */
static CUresult segment_open(struct context *context, const struct segment *segment, CUdeviceptr *ret_address)
{
	struct memory_range range = {
		.bytes = segment->bytes,
		.kind = MEMORY_OPENED,
		.device = context->device,
		.context = context,
	};
	CUresult result;
	void *place;

	for (struct shared *shared = list; shared; shared = shared->next) {
		if (!shared->uses || shared->segment.id != segment->id)
			continue;
		shared->uses++;
		*ret_address = shared->base;
		return CUDA_SUCCESS;
	}
	result = memory_allocate(&range, ARENA_PAGE_BYTES);
	if (result)
		return result;
	place = (void *)range.base;
	if (!segment_attach(segment, &place) || !list_add(range.base, 1, segment)) {
		memory_free(range.base, MEMORY_MASK(MEMORY_OPENED), NULL);
		return CUDA_ERROR_MAP_FAILED;
	}
	*ret_address = range.base;
	return CUDA_SUCCESS;
}

ENTRY(cuIpcOpenMemHandle_v2, (CUdeviceptr * ret_address, CUipcMemHandle handle, unsigned int flags))
{
	struct context *context;
	struct segment segment;
	CUresult result = context_current(&context);

	if (result)
		return result;
	if (!ret_address || flags & ~(unsigned)CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS)
		return CUDA_ERROR_INVALID_VALUE;
	result = segment_read(handle.reserved, SEGMENT_MEMORY, &segment);
	if (result)
		return result;
	pthread_mutex_lock(&lock);
	list_sweep();
	result = segment_open(context, &segment, ret_address);
	pthread_mutex_unlock(&lock);
	return result;
}

ENTRY(cuIpcCloseMemHandle, (CUdeviceptr address))
{
	struct context *context;
	struct shared *shared;
	bool is_last = false;
	CUresult result = context_current(&context);

	if (result)
		return result;
	pthread_mutex_lock(&lock);
	list_sweep();
	shared = shared_at(address);
	if (shared && shared->uses)
		is_last = --shared->uses == 0;
	else
		result = CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_unlock(&lock);
	if (result || !is_last)
		return result;
	stream_wait_context(context);
	return memory_free(address, MEMORY_MASK(MEMORY_OPENED), NULL);
}
