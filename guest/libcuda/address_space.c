/* SPDX-License-Identifier: Apache-2.0 */
#include "address_space.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

#include "vgpu_address.h"

#define RESERVE_BYTES_MIN (64ull << 20)
#define RESERVED_MAX	  256

/* What has been reserved, as far as there is room to remember. Constant then. */
static struct vgpu_address_span reserved[RESERVED_MAX];
static size_t reserved_count;

/* Where a part is taken already, reserves the halves around it. */
static void *space_keep(uint64_t begin, uint64_t end, int flags)
{
	void *space = mmap((void *)(uintptr_t)begin, end - begin, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);

	/* There is nothing in it, but a core dump would look at each page to find out. */
	if (space == (void *)(uintptr_t)begin)
		(void)madvise(space, end - begin, MADV_DONTDUMP);
	return space;
}

static void span_reserve(uint64_t begin, uint64_t end)
{
	uint64_t middle = begin + (end - begin) / 2 / 4096 * 4096;
	void *space;

	if (end - begin < RESERVE_BYTES_MIN)
		return;
	space = space_keep(begin, end, MAP_FIXED_NOREPLACE);
	if (space == (void *)(uintptr_t)begin) {
		if (reserved_count < RESERVED_MAX)
			reserved[reserved_count++] = (struct vgpu_address_span){.begin = begin, .end = end};
		return;
	}
	if (space != MAP_FAILED) {
		/* A kernel before 4.17 takes the address as a hint. */
		munmap(space, end - begin);
		return;
	}
	if (errno != EEXIST)
		return;
	span_reserve(begin, middle);
	span_reserve(middle, end);
}

void address_space_reserve(void)
{
	static bool done;

	/* Again, after a session that could not be opened, everything would be found taken, by ourselves. */
	if (done)
		return;
	done = true;
	for (size_t i = 0; i < VGPU_ADDRESS_SPANS; i++)
		span_reserve(vgpu_address_spans[i].begin, vgpu_address_spans[i].end);
}

bool address_is_device(uint64_t address)
{
	return vgpu_address_is_device(address, 0);
}

static bool is_reserved(uint64_t address, uint64_t bytes)
{
	for (size_t i = 0; i < reserved_count; i++) {
		if (address >= reserved[i].begin && address < reserved[i].end && bytes <= reserved[i].end - address)
			return true;
	}
	return false;
}

void *address_space_take(uint64_t address, uint64_t bytes)
{
	void *wanted = (void *)(uintptr_t)address;

	if (!is_reserved(address, bytes) ||
	    mmap(wanted, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
		 0) != wanted)
		return NULL;
	return wanted;
}

void address_space_give_back(uint64_t address, uint64_t bytes)
{
	void *space = (void *)(uintptr_t)address;

	/* Touches of what stays would be caught, by nobody (faults.h). */
	if (space_keep(address, address + bytes, MAP_FIXED) != space)
		(void)mprotect(space, bytes, PROT_NONE);
}
