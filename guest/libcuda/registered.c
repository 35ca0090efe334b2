/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cuMemHostRegister.  The whole pages that the range touches are moved into memory
 * that the executor has mapped at the same address (registered_move.h), so that
 * the device sees them: a memory file, or in a virtual machine a part of the
 * channel's area.  Where that is not possible the range is only noted, and copies
 * of it go through the windows as those of any memory do.
 *
 * The executor places and charges the pages first and pins them last, so what it
 * refuses is refused before anything was moved.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "area.h"
#include "context.h"
#include "debug.h"
#include "memory.h"
#include "pages.h"
#include "pinned.h"
#include "registered.h"
#include "registered_move.h"
#include "session.h"

#define REGISTER_FLAGS                                                                              \
	(CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP | CU_MEMHOSTREGISTER_IOMEMORY | \
	 CU_MEMHOSTREGISTER_READ_ONLY)
#define REGISTERED_KINDS (1u << MEMORY_REGISTERED | 1u << MEMORY_MOVED)

/* From the look at what is registered until the range is noted; and for the following. */
static pthread_mutex_t register_mutex = PTHREAD_MUTEX_INITIALIZER;

/* The pages of a range, and what is to hold them. */
struct share {
	uint64_t start;
	size_t bytes;
	int fd;
	void *area_part;
	void *spare; /* where the shared memory is mapped before it takes the place */
	bool has_neighbours;
};

/* Pages that are shared, with the ranges in them: small blocks of the heap may have one page. */
struct shared {
	struct share share;
	uint32_t context;
	uint32_t ranges;
};

static struct shared *shared_pages;
static size_t shared_count;
static size_t shared_capacity;

static struct share share_of(const struct memory_range *range)
{
	uint64_t start = range->address & ~(uint64_t)(PAGE_BYTES - 1);
	uint64_t end = (range->address + range->bytes + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);

	return (struct share){.start = start, .bytes = (size_t)(end - start), .fd = -1};
}

/* What all of the range's pages are in; NULL: there is none. */
static struct shared *shared_find(const struct memory_range *range)
{
	const struct share wanted = share_of(range);

	for (size_t i = 0; i < shared_count; i++) {
		const struct share *share = &shared_pages[i].share;

		if (wanted.start >= share->start && wanted.start + wanted.bytes <= share->start + share->bytes)
			return &shared_pages[i];
	}
	return NULL;
}

static bool shared_reserve(void)
{
	size_t capacity = shared_capacity ? 2 * shared_capacity : 16;
	struct shared *grown;

	if (shared_count < shared_capacity)
		return true;
	grown = realloc(shared_pages, capacity * sizeof(*grown));
	if (!grown)
		return false;
	shared_pages = grown;
	shared_capacity = capacity;
	return true;
}

static bool share_make(struct share *share, uint32_t context)
{
	if (session.features & VGPU_FEATURE_HOST_MAP) {
		share->fd = pinned_file_make(share->bytes);
		if (share->fd < 0)
			return false;
		share->spare = mmap(NULL, share->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, share->fd, 0);
		return share->spare != MAP_FAILED;
	}
	if (area_open(context))
		return false;
	share->area_part = area_take(share->bytes);
	if (!share->area_part)
		return false;
	share->spare = transport_map(session.channel->transport, area_offset(share->area_part), share->bytes);
	return share->spare;
}

static void share_release(const struct share *share)
{
	if (share->area_part)
		area_give(share->area_part, share->bytes);
}

static CUresult share_place(const struct share *share, uint32_t context)
{
	const struct vgpu_host_place request = {
		.address = share->start,
		.bytes = share->bytes,
		.area_offset =
			share->area_part ? area_offset(share->area_part) - session.channel->layout.area_offset : 0,
	};

	return pinned_request(VGPU_OPCODE_HOST_PLACE, share->fd, &request, sizeof(request), context);
}

static CUresult share_pin(const struct share *share, uint32_t context)
{
	const struct vgpu_host_pin request = {
		.address = share->start,
		.register_flags = CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP,
	};

	return pinned_request(VGPU_OPCODE_HOST_PIN, -1, &request, sizeof(request), context);
}

/* Takes the executor's mapping away; after that nothing copies there any more. The pages come back in any case. */
static CUresult share_end(const struct share *share, uint32_t context)
{
	const struct vgpu_host_unmap request = {.address = share->start};
	CUresult result = pinned_request(VGPU_OPCODE_HOST_UNMAP, -1, &request, sizeof(request), context);

	/* A part of the area that is still in use somewhere is not given out again: the program can have moved it. */
	if (move_back((void *)(uintptr_t)share->start, share->bytes) && !result && share->area_part &&
	    !area_is_elsewhere(share->area_part, share->bytes))
		share_release(share);
	return result;
}

/* In a virtual machine what is beyond the limit is staged, as pinned memory is. */
static CUresult refusal(CUresult result)
{
	if (channel_lost(session.channel))
		return channel_lost_result(session.channel);
	return result == CUDA_ERROR_OUT_OF_MEMORY && session.features & VGPU_FEATURE_HOST_MAP ? result : CUDA_SUCCESS;
}

static CUresult share_fill(const struct share *share, struct memory_range *range)
{
	CUresult result = share_place(share, range->context);

	if (result) {
		debug_note("registered memory at 0x%" PRIx64 " is not shared: the host has no such place",
			   share->start);
		munmap(share->spare, share->bytes);
		share_release(share);
		return refusal(result);
	}
	if (!move_out((void *)(uintptr_t)share->start, share->spare, share->bytes, share->has_neighbours,
		      share->area_part) ||
	    share_pin(share, range->context)) {
		debug_note("registered memory at 0x%" PRIx64 " is not shared: it could not be moved or pinned",
			   share->start);
		(void)share_end(share, range->context);
		return channel_lost(session.channel) ? channel_lost_result(session.channel) : CUDA_SUCCESS;
	}
	range->kind = MEMORY_MOVED;
	shared_pages[shared_count++] = (struct shared){.share = *share, .context = range->context, .ranges = 1};
	return CUDA_SUCCESS;
}

/* Shares the range's pages where that is possible, which its kind says then. */
static CUresult range_share(struct memory_range *range)
{
	struct share share = share_of(range);
	struct shared *shared = shared_find(range);
	CUresult result = CUDA_SUCCESS;

	if (shared) {
		/* They end with their context. */
		if (shared->context == range->context) {
			range->kind = MEMORY_MOVED;
			shared->ranges++;
		}
		return CUDA_SUCCESS;
	}
	if (!(session.features & VGPU_FEATURE_HOST_PLACE) ||
	    !move_is_possible(range->address, range->bytes, &share.has_neighbours) || !shared_reserve())
		return CUDA_SUCCESS;
	if (share_make(&share, range->context))
		result = share_fill(&share, range);
	else
		share_release(&share);
	if (share.fd >= 0)
		close(share.fd);
	return result;
}

/* The last range takes the pages back. */
static CUresult range_end(const struct memory_range *range, uint32_t context)
{
	struct shared *shared = range->kind == MEMORY_MOVED ? shared_find(range) : NULL;
	struct share share;

	if (!shared || --shared->ranges)
		return CUDA_SUCCESS;
	share = shared->share;
	*shared = shared_pages[--shared_count];
	return share_end(&share, context);
}

static CUresult range_note(struct memory_range *range)
{
	struct memory_range pinned;
	CUresult result;

	if (memory_lookup(range->address, &pinned) && (pinned.kind == MEMORY_PINNED || pinned.kind == MEMORY_PLAIN))
		return CUDA_ERROR_INVALID_VALUE;
	if (memory_overlaps(range->address, range->bytes))
		return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
	result = range_share(range);
	if (result)
		return result;
	result = memory_note(range);
	if (result)
		(void)range_end(range, range->context);
	return result;
}

API(cuMemHostRegister_v2, void *pointer, size_t bytes, unsigned int flags)
{
	struct memory_range range = {
		.address = (uintptr_t)pointer,
		.bytes = bytes,
		.kind = MEMORY_REGISTERED,
		.flags = flags,
	};
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &range.context);

	if (result)
		return result;
	if (!pointer || bytes == 0 || bytes > PINNED_BYTES_MAX || range.address > UINT64_MAX - PAGE_BYTES - bytes ||
	    (flags & ~(unsigned int)REGISTER_FLAGS))
		return CUDA_ERROR_INVALID_VALUE;
	if (flags & CU_MEMHOSTREGISTER_IOMEMORY)
		return CUDA_ERROR_NOT_SUPPORTED;
	range.device = (CUdevice)thread_state.current->words[CONTEXT_DEVICE];
	pthread_mutex_lock(&register_mutex);
	result = range_note(&range);
	pthread_mutex_unlock(&register_mutex);
	return result;
}

API(cuMemHostRegister, void *pointer, size_t bytes, unsigned int flags)
{
	return cuMemHostRegister_v2(pointer, bytes, flags);
}

API(cuMemHostUnregister, void *pointer)
{
	struct memory_range range;
	uint32_t context;
	bool is_registered;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	pthread_mutex_lock(&register_mutex);
	is_registered = memory_remove((uintptr_t)pointer, REGISTERED_KINDS, &range);
	if (is_registered)
		result = range_end(&range, context);
	pthread_mutex_unlock(&register_mutex);
	if (is_registered)
		return result;
	/* What is known otherwise, or within a range, is not a question of registration (measured, driver 580). */
	return !pointer || memory_lookup((uintptr_t)pointer, &range) ? CUDA_ERROR_INVALID_VALUE
								     : CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
}

void registered_forget_context(uint32_t context)
{
	struct memory_range range;

	pthread_mutex_lock(&register_mutex);
	while (memory_remove_of_context(context, REGISTERED_KINDS, &range))
		(void)range_end(&range, context);
	pthread_mutex_unlock(&register_mutex);
}
