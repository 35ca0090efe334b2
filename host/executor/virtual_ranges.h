/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the guest process has reserved and mapped with virtual memory management.
 * The driver is asked only for what these tables allow, whatever it would check
 * itself.
 */
#ifndef EXECUTOR_VIRTUAL_RANGES_H
#define EXECUTOR_VIRTUAL_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cuda_abi.h"

#define VIRTUAL_RESERVATIONS_MAX 65536
#define VIRTUAL_MAPPINGS_MAX	 262144

/* Physical memory: what a wire id of VGPU_KIND_MEMORY_HANDLE stands for. */
struct physical {
	CUmemGenericAllocationHandle handle;
	uint64_t bytes;
	uint32_t mappings;
	bool is_held;	 /* the wire id is live */
	uint64_t shared; /* number under which it is published; 0: it is not */
};

struct virtual_range {
	uint64_t address;
	uint64_t bytes;
	struct physical *physical; /* of a mapping */
};

/* Sorted by address, none overlapping another. */
struct virtual_ranges {
	struct virtual_range *ranges;
	size_t count;
	size_t capacity;
};

struct virtual_memory {
	struct virtual_ranges reservations;
	struct virtual_ranges mappings;
};

/* Room for one more; CUDA_ERROR_OUT_OF_MEMORY: there are 'max', or there is no memory. */
CUresult virtual_ranges_reserve(struct virtual_ranges *ranges, size_t max);

/* After virtual_ranges_reserve(), of a range that overlaps none. */
void virtual_ranges_add(struct virtual_ranges *ranges, const struct virtual_range *range);
void virtual_ranges_remove(struct virtual_ranges *ranges, size_t first, size_t count);

bool virtual_ranges_overlap(const struct virtual_ranges *ranges, uint64_t address, uint64_t bytes);

/* The range that holds all of [address, address + bytes); NULL: none. */
const struct virtual_range *virtual_ranges_find(const struct virtual_ranges *ranges, uint64_t address, uint64_t bytes);

/* Is it exactly some ranges, side by side? Which: *ret_first and the result, how many; 0: it is not. */
size_t virtual_ranges_whole(const struct virtual_ranges *ranges, uint64_t address, uint64_t bytes, size_t *ret_first);

#endif
