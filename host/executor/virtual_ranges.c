/* SPDX-License-Identifier: Apache-2.0 */
#include "virtual_ranges.h"

#include <stdlib.h>
#include <string.h>

#define CAPACITY_FIRST 64

/* The index of the first range that ends above 'address'. */
static size_t range_lower(const struct virtual_ranges *ranges, uint64_t address)
{
	size_t low = 0;
	size_t high = ranges->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (ranges->ranges[middle].address + ranges->ranges[middle].bytes > address)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

CUresult virtual_ranges_reserve(struct virtual_ranges *ranges, size_t max)
{
	size_t capacity = ranges->capacity ? 2 * ranges->capacity : CAPACITY_FIRST;
	struct virtual_range *grown;

	if (ranges->count >= max)
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (ranges->count < ranges->capacity)
		return CUDA_SUCCESS;
	grown = realloc(ranges->ranges, capacity * sizeof(*grown));
	if (!grown)
		return CUDA_ERROR_OUT_OF_MEMORY;
	ranges->ranges = grown;
	ranges->capacity = capacity;
	return CUDA_SUCCESS;
}

void virtual_ranges_add(struct virtual_ranges *ranges, const struct virtual_range *range)
{
	size_t index = range_lower(ranges, range->address);

	memmove(&ranges->ranges[index + 1], &ranges->ranges[index],
		(ranges->count - index) * sizeof(ranges->ranges[0]));
	ranges->ranges[index] = *range;
	ranges->count++;
}

void virtual_ranges_remove(struct virtual_ranges *ranges, size_t first, size_t count)
{
	ranges->count -= count;
	memmove(&ranges->ranges[first], &ranges->ranges[first + count],
		(ranges->count - first) * sizeof(ranges->ranges[0]));
}

bool virtual_ranges_overlap(const struct virtual_ranges *ranges, uint64_t address, uint64_t bytes)
{
	size_t index = range_lower(ranges, address);
	const struct virtual_range *range;

	if (index == ranges->count)
		return false;
	range = &ranges->ranges[index];
	return range->address <= address || range->address - address < bytes;
}

const struct virtual_range *virtual_ranges_find(const struct virtual_ranges *ranges, uint64_t address, uint64_t bytes)
{
	size_t index = range_lower(ranges, address);
	const struct virtual_range *range;

	if (index == ranges->count)
		return NULL;
	range = &ranges->ranges[index];
	if (range->address > address)
		return NULL;
	return bytes <= range->bytes - (address - range->address) ? range : NULL;
}

size_t virtual_ranges_whole(const struct virtual_ranges *ranges, uint64_t address, uint64_t bytes, size_t *ret_first)
{
	size_t first = range_lower(ranges, address);
	size_t index = first;

	while (bytes) {
		const struct virtual_range *range;

		if (index == ranges->count)
			return 0;
		range = &ranges->ranges[index];
		if (range->address != address || range->bytes > bytes)
			return 0;
		address += range->bytes;
		bytes -= range->bytes;
		index++;
	}
	*ret_first = first;
	return index - first;
}
