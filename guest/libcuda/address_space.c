/* SPDX-License-Identifier: Apache-2.0 */
#include "address_space.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

#include "vgpu_address.h"

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
	for (size_t i = 0; i < VGPU_ADDRESS_SPANS; i++)
		span_reserve(vgpu_address_spans[i].begin, vgpu_address_spans[i].end);
}

bool address_is_device(uint64_t address)
{
	return vgpu_address_is_device(address, 0);
}
