/* SPDX-License-Identifier: Apache-2.0 */
#include "arena.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "device_table.h"

/*
 * Where allocations of a driver that runs in the compatibility layout lie
 * (measured: 0x2aaa... upward); nothing of a guest program lies there, so a
 * device address means the same in the guest and here.
 */
#define ARENA_FIRST_BASE 0x2aaaab000000u
#define ARENA_BASE_STEP	 0x001000000000u
#define ARENA_LIMIT	 0x300000000000u

/*
 * A block and its guard are two mappings, of which Linux allows a process 65530
 * (vm.max_map_count); threads, libraries and malloc need some too.
 */
#define BLOCKS_MAXIMUM 30000

struct block {
	uint64_t base;
	uint64_t bytes; /* whole pages, without the guard */
	CUdevice device;
	bool reserved; /* addresses only: the memory mapped there is charged by itself */
};

static struct {
	pthread_mutex_t lock;
	uint64_t base;
	uint64_t span_bytes;
	uint64_t used_bytes[DEVICES_MAX];
	struct block *blocks; /* sorted by base */
	size_t block_count;
	size_t block_capacity;
	uint64_t cursor; /* where the search for a gap starts: addresses are used again as late as possible */
} arena = {.lock = PTHREAD_MUTEX_INITIALIZER};

int arena_open(void)
{
	uint64_t span = 0;

	for (int device = 0; device < device_count(); device++) {
		uint64_t memory_bytes = device_memory_bytes(device);

		if (memory_bytes > (ARENA_LIMIT - ARENA_FIRST_BASE - span) / 4)
			return EINVAL;
		span += memory_bytes * 4;
	}
	for (uint64_t base = ARENA_FIRST_BASE; base + span <= ARENA_LIMIT; base += ARENA_BASE_STEP) {
		void *mapped = mmap((void *)base, span, PROT_NONE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

		if (mapped == MAP_FAILED && errno == EEXIST)
			continue;
		if (mapped == MAP_FAILED)
			return errno;
		if (mapped != (void *)base) { /* Linux before 4.17 takes the address as a hint */
			munmap(mapped, span);
			continue;
		}
		/* A core file of device memory would be as large as the GPU. */
		(void)madvise(mapped, span, MADV_DONTDUMP);
		arena.base = base;
		arena.cursor = base;
		arena.span_bytes = span;
		return 0;
	}
	return ENOMEM;
}

uint64_t arena_base(void)
{
	return arena.base;
}

uint64_t arena_span_bytes(void)
{
	return arena.span_bytes;
}

uint64_t arena_used_bytes(CUdevice device)
{
	uint64_t used;

	pthread_mutex_lock(&arena.lock);
	used = arena.used_bytes[device];
	pthread_mutex_unlock(&arena.lock);
	return used;
}

bool arena_holds(uint64_t address)
{
	return address >= arena.base && address - arena.base < arena.span_bytes;
}

/* First address after block 'index' - 1 and its guard. */
static uint64_t gap_start(size_t index)
{
	if (!index)
		return arena.base;
	return arena.blocks[index - 1].base + arena.blocks[index - 1].bytes + ARENA_PAGE_BYTES;
}

/* Finds room before block 'index', not below 'floor'; 0 when the gap is too small. */
static uint64_t gap_fit(size_t index, uint64_t floor, uint64_t bytes, uint64_t alignment)
{
	uint64_t start = gap_start(index);
	uint64_t end = index < arena.block_count ? arena.blocks[index].base : arena.base + arena.span_bytes;

	if (start < floor)
		start = floor;
	start = (start + alignment - 1) & ~(alignment - 1);
	if (start >= end || end - start < bytes + ARENA_PAGE_BYTES)
		return 0;
	return start;
}

/* Index of the first block at or above 'address'. */
static size_t block_above(uint64_t address)
{
	size_t low = 0, high = arena.block_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (arena.blocks[middle].base < address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static uint64_t gap_search(uint64_t bytes, uint64_t alignment, size_t *ret_index)
{
	uint64_t floor = arena.cursor;

	for (int pass = 0; pass < 2; pass++, floor = arena.base) {
		for (size_t index = block_above(floor); index <= arena.block_count; index++) {
			uint64_t address = gap_fit(index, floor, bytes, alignment);

			if (address) {
				*ret_index = index;
				return address;
			}
		}
	}
	return 0;
}

static bool blocks_reserve(void)
{
	size_t capacity = arena.block_capacity ? arena.block_capacity * 2 : 64;
	struct block *blocks;

	if (arena.block_count < arena.block_capacity)
		return true;
	blocks = realloc(arena.blocks, capacity * sizeof(*blocks));
	if (!blocks)
		return false;
	arena.blocks = blocks;
	arena.block_capacity = capacity;
	return true;
}

/* Under the lock. */
static uint64_t memory_left(CUdevice device)
{
	return device_memory_bytes(device) - arena.used_bytes[device];
}

uint64_t arena_allocate(CUdevice device, size_t bytes, size_t alignment)
{
	uint64_t size, address = 0;
	size_t index;

	if (!bytes || bytes > device_memory_bytes(device) || alignment & (alignment - 1))
		return 0;
	size = (bytes + ARENA_PAGE_BYTES - 1) & ~(uint64_t)(ARENA_PAGE_BYTES - 1);
	if (alignment < ARENA_PAGE_BYTES)
		alignment = ARENA_PAGE_BYTES;
	pthread_mutex_lock(&arena.lock);
	if (size > memory_left(device) || arena.block_count == BLOCKS_MAXIMUM || !blocks_reserve())
		goto unlock;
	address = gap_search(size, alignment, &index);
	if (!address)
		goto unlock;
	/* Fails when the process has as many mappings as the system allows: no more memory, then. */
	if (mprotect((void *)address, size, PROT_READ | PROT_WRITE)) {
		address = 0;
		goto unlock;
	}
	memmove(&arena.blocks[index + 1], &arena.blocks[index], (arena.block_count - index) * sizeof(*arena.blocks));
	arena.blocks[index] = (struct block){.base = address, .bytes = size, .device = device};
	arena.block_count++;
	arena.used_bytes[device] += size;
	arena.cursor = address + size + ARENA_PAGE_BYTES;
unlock:
	pthread_mutex_unlock(&arena.lock);
	return address;
}

uint64_t arena_reserve(size_t bytes, size_t alignment)
{
	uint64_t address = 0;
	size_t index;

	if (!bytes || bytes % ARENA_PAGE_BYTES || bytes > arena.span_bytes || !alignment || alignment & (alignment - 1))
		return 0;
	pthread_mutex_lock(&arena.lock);
	if (arena.block_count < BLOCKS_MAXIMUM && blocks_reserve())
		address = gap_search(bytes, alignment, &index);
	if (address) {
		memmove(&arena.blocks[index + 1], &arena.blocks[index],
			(arena.block_count - index) * sizeof(*arena.blocks));
		arena.blocks[index] = (struct block){.base = address, .bytes = bytes, .reserved = true};
		arena.block_count++;
		arena.cursor = address + bytes + ARENA_PAGE_BYTES;
	}
	pthread_mutex_unlock(&arena.lock);
	return address;
}

bool arena_reserved(uint64_t address, uint64_t bytes, bool wholly)
{
	const struct block *block;
	bool holds = false;
	size_t index;

	pthread_mutex_lock(&arena.lock);
	index = block_above(address);
	if (index == arena.block_count || arena.blocks[index].base != address)
		index--; /* wraps around where there is none below */
	if (index < arena.block_count) {
		block = &arena.blocks[index];
		holds = block->reserved && address - block->base < block->bytes &&
			bytes <= block->bytes - (address - block->base) &&
			(!wholly || (address == block->base && bytes == block->bytes));
	}
	pthread_mutex_unlock(&arena.lock);
	return holds;
}

bool arena_charge(CUdevice device, uint64_t bytes)
{
	bool fits;

	pthread_mutex_lock(&arena.lock);
	fits = bytes <= memory_left(device);
	if (fits)
		arena.used_bytes[device] += bytes;
	pthread_mutex_unlock(&arena.lock);
	return fits;
}

void arena_discharge(CUdevice device, uint64_t bytes)
{
	pthread_mutex_lock(&arena.lock);
	arena.used_bytes[device] -= bytes;
	pthread_mutex_unlock(&arena.lock);
}

void arena_release(uint64_t address)
{
	size_t index;

	pthread_mutex_lock(&arena.lock);
	index = block_above(address);
	if (index == arena.block_count || arena.blocks[index].base != address)
		abort(); /* a caller freed what it does not own: our own bookkeeping is broken */
	/* A fresh mapping in place of the old one drops its pages and merges with its neighbours in one step. */
	if (mmap((void *)address, arena.blocks[index].bytes, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED) {
		/* The process has as many mappings as the system allows.  This needs none, but may leave one more. */
		if (madvise((void *)address, arena.blocks[index].bytes, MADV_DONTNEED) ||
		    mprotect((void *)address, arena.blocks[index].bytes, PROT_NONE))
			abort();
	}
	(void)madvise((void *)address, arena.blocks[index].bytes, MADV_DONTDUMP);
	if (!arena.blocks[index].reserved)
		arena.used_bytes[arena.blocks[index].device] -= arena.blocks[index].bytes;
	memmove(&arena.blocks[index], &arena.blocks[index + 1],
		(arena.block_count - index - 1) * sizeof(*arena.blocks));
	arena.block_count--;
	pthread_mutex_unlock(&arena.lock);
}
