/* SPDX-License-Identifier: Apache-2.0 */
#include "mirror_blocks.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "faults.h"
#include "transfer.h"

#define PAGE_BYTES 4096u

/* An entry of /proc/PID/pagemap (Linux, Documentation/admin-guide/mm/pagemap.rst). */
#define PAGE_IS_PRESENT (1ull << 63)
#define PAGE_IS_SWAPPED (1ull << 62)

static uint8_t *block_address(const struct mirror *mirror, size_t block)
{
	return (uint8_t *)(uintptr_t)(mirror->address + block * MIRROR_BLOCK_BYTES);
}

static size_t span_bytes(const struct mirror *mirror, size_t first, size_t end)
{
	uint64_t from = first * (uint64_t)MIRROR_BLOCK_BYTES, to = end * (uint64_t)MIRROR_BLOCK_BYTES;

	return (size_t)((to < mirror->bytes ? to : mirror->bytes) - from);
}

size_t mirror_block_bytes(const struct mirror *mirror, size_t block)
{
	return span_bytes(mirror, block, block + 1);
}

static struct transfer transfer_of(const struct mirror *mirror, size_t first, size_t end, uint8_t *host)
{
	size_t bytes = span_bytes(mirror, first, end);

	return (struct transfer){
		.device = (uintptr_t)block_address(mirror, first),
		.device_pitch = bytes,
		.host = host,
		.host_pitch = bytes,
		.width = bytes,
		.height = 1,
		.context = mirror->stream->context,
		.stream = mirror->stream->id,
		.is_alone = true,
	};
}

/*
 * Whether any page of the block is there, in memory or swapped out; then the others are made, so that the block can
 * be read under the lock. Where the file does not tell, all pages may be.
 */
static bool block_complete(const struct mirror *mirror, size_t block, int pagemap)
{
	uint64_t entries[MIRROR_BLOCK_BYTES / PAGE_BYTES];
	uint8_t *memory = block_address(mirror, block);
	size_t pages = mirror_block_bytes(mirror, block) / PAGE_BYTES, bytes = pages * sizeof(entries[0]);
	off_t offset = (off_t)((uintptr_t)memory / PAGE_BYTES * sizeof(entries[0]));
	bool is_known = pagemap >= 0 && pread(pagemap, entries, bytes, offset) == (ssize_t)bytes;
	bool is_touched = !is_known;

	for (size_t i = 0; i < pages && is_known; i++) {
		entries[i] &= PAGE_IS_PRESENT | PAGE_IS_SWAPPED;
		is_touched = is_touched || entries[i];
	}
	for (size_t i = 0; i < pages && is_touched; i++) {
		if (!is_known || !entries[i])
			faults_fill_zero(memory + i * PAGE_BYTES, PAGE_BYTES);
	}
	return is_touched;
}

CUresult mirror_blocks_watch(struct mirror *mirror)
{
	int pagemap;

	if (mirror->is_watched)
		return CUDA_SUCCESS;
	if (!faults_watch(block_address(mirror, 0), mirror->bytes))
		return CUDA_ERROR_OPERATING_SYSTEM;
	mirror->is_watched = true;
	/* After that: who touches a page now waits. */
	pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	for (size_t block = 0; block < mirror->block_count; block++) {
		if (block_complete(mirror, block, pagemap))
			continue;
		mirror->blocks[block] = MIRROR_AWAY;
		mirror->present_count--;
	}
	if (pagemap >= 0)
		close(pagemap);
	return CUDA_SUCCESS;
}

/* Blocks that follow each other and all count here. */
static CUresult run_up(struct mirror *mirror, size_t first, size_t end)
{
	uint8_t *memory = block_address(mirror, first);
	struct transfer transfer = transfer_of(mirror, first, end, memory);
	CUresult result;

	/* First, so that what another thread writes meanwhile is not lost. */
	if (!faults_protect(memory, transfer.width, true))
		return CUDA_ERROR_OPERATING_SYSTEM;
	mirror->stream->is_busy = true;
	result = transfer_up(&transfer);
	if (result) {
		(void)faults_protect(memory, transfer.width, false);
		return result;
	}
	for (size_t block = first; block < end; block++)
		mirror->blocks[block] = MIRROR_BOTH;
	return CUDA_SUCCESS;
}

CUresult mirror_blocks_up(struct mirror *mirror, size_t first, size_t end)
{
	CUresult result = CUDA_SUCCESS;

	while (first < end && !result) {
		size_t behind = first;

		while (behind < end && mirror->blocks[behind] == MIRROR_HERE)
			behind++;
		if (behind > first)
			result = run_up(mirror, first, behind);
		first = behind + (behind == first);
	}
	return result;
}

static bool pages_drop(uint8_t *memory, size_t bytes)
{
	if (madvise(memory, bytes, MADV_DONTNEED) == 0)
		return true;
	/* Locked pages stay (mlockall()). */
	return munlock(memory, bytes) == 0 && madvise(memory, bytes, MADV_DONTNEED) == 0;
}

CUresult mirror_blocks_drop(struct mirror *mirror, size_t first, size_t end)
{
	while (first < end) {
		size_t behind = first;

		while (behind < end && mirror->blocks[behind] == MIRROR_BOTH)
			behind++;
		if (behind > first && !pages_drop(block_address(mirror, first), span_bytes(mirror, first, behind)))
			return CUDA_ERROR_OPERATING_SYSTEM;
		for (size_t block = first; block < behind; block++)
			mirror->blocks[block] = MIRROR_AWAY;
		mirror->present_count -= behind - first;
		first = behind + (behind == first);
	}
	return CUDA_SUCCESS;
}

/* Where bytes are while they come: of the one thread that holds the lock. */
static uint8_t *room_get(void)
{
	static uint8_t *room;

	if (!room) {
		void *memory = mmap(NULL, (size_t)MIRROR_BLOCKS_AT_ONCE * MIRROR_BLOCK_BYTES, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		room = memory == MAP_FAILED ? NULL : memory;
	}
	return room;
}

/* They count only when all pages are there: what has none would be read as zeros. */
static CUresult run_fill(struct mirror *mirror, size_t first, size_t end, const uint8_t *from, enum mirror_block state)
{
	uint8_t *memory = block_address(mirror, first);
	size_t bytes;

	if (first == end)
		return CUDA_SUCCESS;
	bytes = span_bytes(mirror, first, end);
	if (!faults_fill(memory, from, bytes, state == MIRROR_HERE)) {
		(void)pages_drop(memory, bytes);
		return CUDA_ERROR_OPERATING_SYSTEM;
	}
	memset(mirror->blocks + first, state, end - first);
	mirror->present_count += end - first;
	return CUDA_SUCCESS;
}

CUresult mirror_blocks_bring(struct mirror *mirror, size_t first, size_t count, size_t writable_count)
{
	uint8_t *room = room_get();
	struct transfer transfer = transfer_of(mirror, first, first + count, room);
	size_t middle = first + writable_count;
	CUresult result = room ? transfer_down_own(&transfer) : CUDA_ERROR_OUT_OF_MEMORY;

	if (!result)
		result = run_fill(mirror, first, middle, room, MIRROR_HERE);
	if (!result)
		result = run_fill(mirror, middle, first + count, room + writable_count * MIRROR_BLOCK_BYTES,
				  MIRROR_BOTH);
	return result;
}

size_t mirror_blocks_count_away(const struct mirror *mirror, size_t first, size_t end, size_t most)
{
	size_t count = 0;

	while (count < most && first + count < end && mirror->blocks[first + count] == MIRROR_AWAY)
		count++;
	return count;
}

void mirror_block_give(struct mirror *mirror, size_t block)
{
	mirror->blocks[block] = MIRROR_HERE;
	(void)faults_protect(block_address(mirror, block), mirror_block_bytes(mirror, block), false);
}

void mirror_block_lose(struct mirror *mirror, size_t block)
{
	size_t bytes = mirror_block_bytes(mirror, block);

	/* Unless it has come after all, for another thread. */
	if (mirror->blocks[block] == MIRROR_AWAY && mprotect(block_address(mirror, block), bytes, PROT_NONE) == 0)
		mirror->blocks[block] = MIRROR_LOST;
	faults_wake(block_address(mirror, block), bytes);
}
