/* SPDX-License-Identifier: Apache-2.0 */
#include "mirror.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "address_space.h"
#include "call.h"
#include "capture.h"
#include "faults.h"
#include "host_calls.h"
#include "mirror_blocks.h"
#include "mirror_faults.h"
#include "mirror_set.h"
#include "mirror_streams.h"
#include "mirror_table.h"
#include "mirror_work.h"
#include "object.h"
#include "session.h"

#define PAGE_BYTES 4096u

/* Managed memory of a program that is brought at once, where system calls cannot wait for it. */
#define EAGER_BYTES_MAX (1u << 20)

uint32_t mirror_count;

struct mirror_set mirrors = {.mutex = PTHREAD_MUTEX_INITIALIZER};

bool mirror_is_supported(void)
{
	return !session_shares_memory() && faults_open();
}

static uint64_t page_round(uint64_t address)
{
	return (address + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);
}

/* Where the driver puts several allocations into a page, one more makes room for whole ones. */
static CUresult pages_allocate(uint32_t context, uint64_t bytes, uint64_t *ret_allocation)
{
	uint64_t address;
	CUresult result = host_cuMemAlloc_v2(context, &address, bytes);

	if (!result && address % PAGE_BYTES) {
		(void)host_cuMemFree_v2(context, address);
		result = host_cuMemAlloc_v2(context, &address, bytes + PAGE_BYTES);
	}
	if (!result)
		*ret_allocation = address;
	return result;
}

void mirror_note_present(struct mirror *mirror)
{
	if (mirror->is_listed || !mirror->present_count)
		return;
	mirror->is_listed = true;
	mirror->next_present = mirrors.present;
	mirrors.present = mirror;
}

/* The device's side has been allocated. */
static CUresult mirror_make(struct mirror_stream *stream, uint64_t allocation, uint64_t bytes,
			    struct mirror **ret_mirror)
{
	size_t block_count = (bytes + MIRROR_BLOCK_BYTES - 1) / MIRROR_BLOCK_BYTES;
	struct mirror *mirror = calloc(1, sizeof(*mirror) + block_count);
	void *memory;
	CUresult result;

	if (!mirror)
		return CUDA_ERROR_OUT_OF_MEMORY;
	mirror->address = page_round(allocation);
	mirror->allocation = allocation;
	mirror->bytes = bytes;
	mirror->block_count = block_count;
	mirror->awaited = mirrors.launches;
	mirror->stream = stream;
	memory = address_space_take(mirror->address, bytes);
	if (!memory) {
		result = CUDA_ERROR_OUT_OF_MEMORY;
		goto failed;
	}
	result = mirror_table_add(&mirrors.table, mirror);
	if (result)
		goto failed_memory;
	memset(mirror->blocks, MIRROR_HERE, block_count);
	mirror->present_count = block_count;
	mirror_note_present(mirror);
	__atomic_add_fetch(&mirror_count, 1, __ATOMIC_ACQ_REL);
	*ret_mirror = mirror;
	return CUDA_SUCCESS;

failed_memory:
	address_space_give_back(mirror->address, bytes);
failed:
	free(mirror);
	return result;
}

/* Without the mutex: it is a call like the program's. */
static CUresult zeros_fill(uint32_t context, uint64_t allocation, uint64_t bytes)
{
	struct mirror_stream *stream;
	CUresult result;

	pthread_mutex_lock(&mirrors.mutex);
	result = mirror_streams_find(context, &stream);
	pthread_mutex_unlock(&mirrors.mutex);
	if (!result)
		result = host_cuMemsetD8Async(context, page_round(allocation), 0, bytes, stream->id);
	return result ? result : mirror_stream_await(context, stream->id);
}

CUresult mirror_allocate(uint32_t context, size_t bytes, unsigned int attachment, uint64_t *ret_address)
{
	uint64_t whole = page_round(bytes);
	struct mirror_stream *stream;
	struct mirror *mirror;
	uint64_t allocation;
	CUresult result;

	context = object_context_owner(context);
	result = mirror_faults_start() ? pages_allocate(context, whole, &allocation) : CUDA_ERROR_OUT_OF_MEMORY;
	if (result)
		return result;
	result = zeros_fill(context, allocation, whole);
	if (result)
		goto failed;
	pthread_mutex_lock(&mirrors.mutex);
	result = mirror_streams_find(context, &stream);
	if (!result)
		result = mirror_make(stream, allocation, whole, &mirror);
	if (!result) {
		mirror->attachment = attachment;
		*ret_address = mirror->address;
	}
	pthread_mutex_unlock(&mirrors.mutex);
failed:
	if (result)
		(void)host_cuMemFree_v2(context, allocation);
	return result;
}

static void present_remove(struct mirror *mirror)
{
	struct mirror **place = &mirrors.present;

	while (*place && *place != mirror)
		place = &(*place)->next_present;
	if (*place)
		*place = mirror->next_present;
	mirror->is_listed = false;
}

/* The pages go, and who waits for one touches nothing then. */
static void mirror_end(struct mirror *mirror)
{
	present_remove(mirror);
	mirror_table_remove(&mirrors.table, mirror);
	__atomic_sub_fetch(&mirror_count, 1, __ATOMIC_ACQ_REL);
	address_space_give_back(mirror->address, mirror->bytes);
	faults_wake((void *)(uintptr_t)mirror->address, mirror->bytes);
	free(mirror);
}

CUresult mirror_free(uint64_t address)
{
	uint64_t allocation = 0;
	uint32_t context = 0;
	struct mirror *mirror;

	pthread_mutex_lock(&mirrors.mutex);
	mirror = mirror_table_find(&mirrors.table, address);
	if (mirror) {
		allocation = mirror->allocation;
		context = mirror->stream->context;
		mirror_end(mirror);
	}
	pthread_mutex_unlock(&mirrors.mutex);
	return mirror ? host_cuMemFree_v2(context, allocation) : CUDA_ERROR_INVALID_VALUE;
}

void mirror_forget_context(uint32_t context)
{
	pthread_mutex_lock(&mirrors.mutex);
	for (size_t i = mirrors.table.count; i-- > 0;) {
		if (mirrors.table.mirrors[i]->stream->context == context)
			mirror_end(mirrors.table.mirrors[i]);
	}
	mirror_streams_forget(context);
	pthread_mutex_unlock(&mirrors.mutex);
}

bool mirror_is_common(const struct mirror *mirror)
{
	return mirror->attachment == CU_MEM_ATTACH_GLOBAL ||
	       (mirror->attachment == CU_MEM_ATTACH_SINGLE && !mirror->attached_stream);
}

struct mirror_work *mirror_work_of(struct mirror *mirror)
{
	struct mirror_work *work = mirror_is_common(mirror) ? &mirrors.common_work : &mirror->work;

	if (work == &mirror->work && mirror->attachment == CU_MEM_ATTACH_SINGLE &&
	    mirror->awaited != mirrors.launches) {
		mirror_work_note(work, mirror->stream->context, mirror->attached_stream);
		mirror->awaited = mirrors.launches;
	}
	return work;
}

void mirror_attach(uint64_t address, unsigned int attachment, uint32_t context, uint32_t stream)
{
	struct mirror *mirror;

	pthread_mutex_lock(&mirrors.mutex);
	mirror = mirror_table_find(&mirrors.table, address);
	if (mirror) {
		mirror->attachment = attachment;
		mirror->attached_stream = attachment == CU_MEM_ATTACH_SINGLE ? stream : 0;
		mirror_work_note(&mirror->work, context, stream);
	}
	pthread_mutex_unlock(&mirrors.mutex);
}

/* Blocks that the span is in. */
static size_t block_first(const struct mirror *mirror, uint64_t address)
{
	return address <= mirror->address ? 0 : (address - mirror->address) / MIRROR_BLOCK_BYTES;
}

static size_t block_end(const struct mirror *mirror, uint64_t address, uint64_t bytes)
{
	uint64_t room = mirror->address + mirror->bytes - address;

	if (address < mirror->address || bytes >= room)
		return mirror->block_count;
	return (address - mirror->address + bytes + MIRROR_BLOCK_BYTES - 1) / MIRROR_BLOCK_BYTES;
}

/* Does what is launched there look at it? */
static bool is_reached(const struct mirror *mirror, const struct mirror_use *use)
{
	if (mirror->attachment == CU_MEM_ATTACH_HOST)
		return false;
	return mirror_is_common(mirror) || use->is_any_stream || mirror->attached_stream == use->stream;
}

static CUresult span_up(struct mirror *mirror, size_t first, size_t end)
{
	CUresult result = mirror_blocks_watch(mirror);

	return result || !mirror->present_count ? result : mirror_blocks_up(mirror, first, end);
}

static CUresult everything_leave(const struct mirror_use *use)
{
	CUresult result = CUDA_SUCCESS;

	for (struct mirror *mirror = mirrors.present; mirror && !result; mirror = mirror->next_present) {
		if (is_reached(mirror, use))
			result = span_up(mirror, 0, mirror->block_count);
	}
	if (!result)
		result = mirror_streams_await();
	for (struct mirror **place = &mirrors.present; *place && !result;) {
		struct mirror *mirror = *place;

		if (is_reached(mirror, use))
			result = mirror_blocks_drop(mirror, 0, mirror->block_count);
		if (mirror->present_count) {
			place = &mirror->next_present;
			continue;
		}
		*place = mirror->next_present;
		mirror->is_listed = false;
	}
	return result;
}

static CUresult span_leave(const struct mirror_span *span, const struct mirror_use *use)
{
	struct mirror *mirror = mirror_table_find(&mirrors.table, span->address);
	size_t first, end;
	CUresult result;

	if (!mirror)
		return CUDA_SUCCESS;
	first = block_first(mirror, span->address);
	end = block_end(mirror, span->address, span->bytes);
	result = span_up(mirror, first, end);
	if (!result)
		result = mirror_streams_await();
	if (result)
		return result;
	mirror_work_note(mirror_is_common(mirror) ? &mirrors.common_work : &mirror->work, use->context, use->stream);
	return span->is_written ? mirror_blocks_drop(mirror, first, end) : CUDA_SUCCESS;
}

static CUresult use_prepare(const struct mirror_use *use)
{
	CUresult result = CUDA_SUCCESS;

	for (size_t i = 0; i < use->span_count && !result; i++)
		result = span_leave(&use->spans[i], use);
	if (result || !use->is_everything)
		return result;
	result = everything_leave(use);
	if (result || !use->context)
		return result;
	mirrors.launches++;
	mirror_work_note(&mirrors.common_work, use->context, use->stream);
	if (use->is_any_stream)
		mirror_work_spread(&mirrors.common_work);
	return CUDA_SUCCESS;
}

CUresult mirror_use_begin(const struct mirror_use *use)
{
	CUresult result;

	pthread_mutex_lock(&mirrors.mutex);
	result = use_prepare(use);
	if (result)
		pthread_mutex_unlock(&mirrors.mutex);
	return result;
}

void mirror_use_end(void)
{
	pthread_mutex_unlock(&mirrors.mutex);
}

void mirror_function_end(void)
{
	const struct mirror_use use = {.is_everything = true, .is_any_stream = true};

	/* A failure is the context's, or the channel's: the next call says so. */
	if (!mirror_use_begin(&use))
		mirror_use_end();
}

static CUresult span_bring(struct mirror *mirror, size_t first, size_t end, bool is_writable)
{
	CUresult result = CUDA_SUCCESS;

	while (first < end && !result) {
		size_t count = mirror_blocks_count_away(mirror, first, end, MIRROR_BLOCKS_AT_ONCE);

		if (count)
			result = mirror_blocks_bring(mirror, first, count, is_writable ? count : 0);
		first += count ? count : 1;
	}
	mirror_note_present(mirror);
	return result;
}

static CUresult prefetch_up(uint64_t address, size_t bytes)
{
	struct mirror *mirror;
	CUresult result = CUDA_SUCCESS;

	pthread_mutex_lock(&mirrors.mutex);
	mirror = mirror_table_find(&mirrors.table, address);
	if (mirror)
		result = span_up(mirror, block_first(mirror, address), block_end(mirror, address, bytes));
	if (mirror && !result)
		result = mirror_streams_await();
	pthread_mutex_unlock(&mirrors.mutex);
	return result;
}

/*
 * Of one that is not watched yet, all is here. What other streams may still write stays away: it would be taken for
 * what is on both sides.
 */
static struct mirror *prefetched_find(uint64_t address, uint32_t context, uint32_t stream)
{
	struct mirror *mirror = mirror_table_find(&mirrors.table, address);
	bool is_done =
		mirror && mirror->is_watched && mirror_work_is_done(mirror_work_of(mirror), context, stream, false);

	return is_done ? mirror : NULL;
}

/* No program can tell that nothing was brought, but by the time that its touches take. */
static CUresult prefetch_down(uint64_t address, size_t bytes, uint32_t context, uint32_t stream)
{
	struct mirror *mirror;
	uint64_t works;
	CUresult result;

	pthread_mutex_lock(&mirrors.mutex);
	mirror = prefetched_find(address, context, stream);
	works = mirror_works_noted;
	pthread_mutex_unlock(&mirrors.mutex);
	result = mirror ? mirror_stream_await(context, stream) : CUDA_SUCCESS;
	if (result || !mirror)
		return result;
	pthread_mutex_lock(&mirrors.mutex);
	mirror = works == mirror_works_noted ? prefetched_find(address, context, stream) : NULL;
	if (mirror)
		result = span_bring(mirror, block_first(mirror, address), block_end(mirror, address, bytes), false);
	pthread_mutex_unlock(&mirrors.mutex);
	return result;
}

CUresult mirror_prefetch(uint64_t address, size_t bytes, bool to_host, uint32_t context, uint32_t stream)
{
	if (__atomic_load_n(&captures_open, __ATOMIC_ACQUIRE))
		return CUDA_SUCCESS;
	return to_host ? prefetch_down(address, bytes, context, stream) : prefetch_up(address, bytes);
}

uint64_t mirror_works(void)
{
	uint64_t count;

	/* What has been noted has been posted, too, when the lock is free. */
	pthread_mutex_lock(&mirrors.mutex);
	count = mirror_works_noted;
	pthread_mutex_unlock(&mirrors.mutex);
	return count;
}

static bool is_little(void)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < mirrors.table.count && bytes <= EAGER_BYTES_MAX; i++)
		bytes += mirrors.table.mirrors[i]->bytes;
	return bytes <= EAGER_BYTES_MAX;
}

/* What cannot be brought will be missed when it is touched. */
static void eager_bring(void)
{
	CUresult result = CUDA_SUCCESS;

	if (faults_reach_kernel() || __atomic_load_n(&captures_open, __ATOMIC_ACQUIRE) || !is_little())
		return;
	for (size_t i = 0; i < mirrors.table.count && !result; i++) {
		if (mirrors.table.mirrors[i]->is_watched && mirror_is_common(mirrors.table.mirrors[i]))
			result = span_bring(mirrors.table.mirrors[i], 0, mirrors.table.mirrors[i]->block_count, true);
	}
}

/* Of one that is not attached to all streams. */
static void attached_note_done(struct mirror *mirror, uint32_t context, uint32_t stream, bool is_context)
{
	if (mirror_is_common(mirror))
		return;
	if (mirror_work_is_done(mirror_work_of(mirror), context, stream, is_context))
		mirror->work.is_pending = false;
}

void mirror_synchronized(uint32_t context, uint32_t stream, bool is_context, uint64_t works_before)
{
	pthread_mutex_lock(&mirrors.mutex);
	if (mirror_works_noted == works_before) {
		/* Or a touch would wait again, and for what is posted until then. */
		for (size_t i = 0; i < mirrors.table.count; i++)
			attached_note_done(mirrors.table.mirrors[i], context, stream, is_context);
		if (mirror_work_is_done(&mirrors.common_work, context, stream, is_context)) {
			mirrors.common_work.is_pending = false;
			eager_bring();
		}
	}
	pthread_mutex_unlock(&mirrors.mutex);
}
