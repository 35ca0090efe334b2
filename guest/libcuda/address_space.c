/* SPDX-License-Identifier: Apache-2.0 */
#include "address_space.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

struct span {
	uint64_t begin;
	uint64_t end;
};

/*
 * Measured on driver 580: two spans that the driver reserves itself, and where its allocations lie in a
 * process of the compatibility layout, as the executor is.
 */
static const struct span device_spans[] = {
	{0x205600000, 0x300200000},
	{0x302000000, 0x48ea000000},
	{0x2aaaa0000000, 0x2aaaa0000000 + (1ull << 40)},
};

#define SPAN_COUNT	  (sizeof(device_spans) / sizeof(device_spans[0]))
#define RESERVE_BYTES_MIN (64ull << 20)

/* Where a part is taken already, reserves the halves around it. */
static void span_reserve(uint64_t begin, uint64_t end)
{
	uint64_t middle = begin + (end - begin) / 2 / 4096 * 4096;
	void *space;

	if (end - begin < RESERVE_BYTES_MIN)
		return;
	space = mmap((void *)(uintptr_t)begin, end - begin, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	if (space == (void *)(uintptr_t)begin) {
		/* There is nothing in it, but a core dump would look at each page to find out. */
		(void)madvise(space, end - begin, MADV_DONTDUMP);
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
	for (size_t i = 0; i < SPAN_COUNT; i++)
		span_reserve(device_spans[i].begin, device_spans[i].end);
}

bool address_is_device(uint64_t address)
{
	for (size_t i = 0; i < SPAN_COUNT; i++) {
		if (address >= device_spans[i].begin && address < device_spans[i].end)
			return true;
	}
	return false;
}
