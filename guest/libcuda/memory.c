/* SPDX-License-Identifier: Apache-2.0 */
#include "memory.h"

#include <stdlib.h>
#include <string.h>

#include "address_space.h"
#include "lock.h"
#include "object.h"

/* Sorted by address, none overlapping another. */
static struct memory_range *ranges;
static size_t range_count;
static size_t range_capacity;
static uint64_t id_last;
static struct lock ranges_lock;
static bool any_synchronous; /* some range ever was, by the program's wish, or as it is mirrored */

/* The first range that ends behind the address. */
static size_t lower_find(uint64_t address)
{
	size_t low = 0;
	size_t high = range_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (ranges[middle].address + ranges[middle].bytes <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* With the lock held: the range that the address is in; NULL: there is none. */
static struct memory_range *range_find(uint64_t address)
{
	size_t index = lower_find(address);

	return index < range_count && ranges[index].address <= address ? &ranges[index] : NULL;
}

static void range_delete(size_t index)
{
	range_count--;
	memmove(&ranges[index], &ranges[index + 1], (range_count - index) * sizeof(ranges[0]));
}

static bool capacity_grow(void)
{
	size_t capacity = range_capacity ? 2 * range_capacity : 256;
	struct memory_range *grown;

	if (range_count < range_capacity)
		return true;
	grown = realloc(ranges, capacity * sizeof(*grown));
	if (!grown)
		return false;
	ranges = grown;
	range_capacity = capacity;
	return true;
}

CUresult memory_note(const struct memory_range *range)
{
	CUresult result = CUDA_SUCCESS;
	size_t index;

	if (range->bytes == 0 || range->address + range->bytes < range->address)
		return CUDA_ERROR_INVALID_VALUE;
	lock_take(&ranges_lock);
	index = lower_find(range->address);
	while (index < range_count && ranges[index].address < range->address + range->bytes)
		range_delete(index);
	if (capacity_grow()) {
		memmove(&ranges[index + 1], &ranges[index], (range_count - index) * sizeof(ranges[0]));
		ranges[index] = *range;
		ranges[index].id = ++id_last;
		ranges[index].context = object_context_owner(range->context);
		range_count++;
		if (range->kind == MEMORY_MIRRORED)
			__atomic_store_n(&any_synchronous, true, __ATOMIC_RELAXED);
	} else {
		result = CUDA_ERROR_OUT_OF_MEMORY;
	}
	lock_release(&ranges_lock);
	return result;
}

CUresult memory_note_global(uint64_t address, uint64_t bytes, CUdevice device, uint32_t context, uint32_t owner)
{
	struct memory_range range = {
		.address = address,
		.bytes = bytes,
		.kind = MEMORY_GLOBAL,
		.context = context,
		.owner = owner,
		.device = device,
	};

	return bytes ? memory_note(&range) : CUDA_SUCCESS;
}

bool memory_lookup(uint64_t address, struct memory_range *ret_range)
{
	struct memory_range *range;

	lock_take(&ranges_lock);
	range = range_find(address);
	if (range)
		*ret_range = *range;
	lock_release(&ranges_lock);
	return range != NULL;
}

bool memory_advise(uint64_t address, const struct memory_advice *advice)
{
	struct memory_range *range;

	lock_take(&ranges_lock);
	range = range_find(address);
	if (range)
		range->advice = *advice;
	lock_release(&ranges_lock);
	return range != NULL;
}

bool memory_set_synchrony(uint64_t address, enum memory_synchrony synchrony)
{
	struct memory_range *range;

	lock_take(&ranges_lock);
	range = range_find(address);
	if (range)
		range->synchrony = synchrony;
	if (range && synchrony == SYNCHRONY_ON)
		__atomic_store_n(&any_synchronous, true, __ATOMIC_RELAXED);
	lock_release(&ranges_lock);
	return range != NULL;
}

/* Is it memory that the program can look at while the device works on it? */
static bool is_shared(uint64_t address)
{
	struct memory_range range;

	/* Only device memory lies there, which saves the lock. */
	return !address_is_device(address) && memory_lookup(address, &range) && memory_kind_is_shared(range.kind);
}

bool memory_is_synchronous(uint64_t address)
{
	struct memory_range range;

	if (__atomic_load_n(&any_synchronous, __ATOMIC_RELAXED) && memory_lookup(address, &range) &&
	    (range.synchrony == SYNCHRONY_ON || range.kind == MEMORY_MIRRORED))
		return true;
	return is_shared(address);
}

bool memory_is_spanned(uint64_t address, uint64_t bytes)
{
	uint64_t end;
	size_t index;

	if (__builtin_add_overflow(address, bytes, &end))
		return false;
	lock_take(&ranges_lock);
	index = lower_find(address);
	while (address < end && index < range_count && ranges[index].address <= address &&
	       (memory_kind_is_device(ranges[index].kind) || memory_kind_is_shared(ranges[index].kind))) {
		address = ranges[index].address + ranges[index].bytes;
		index++;
	}
	lock_release(&ranges_lock);
	return address >= end;
}

bool memory_overlaps(uint64_t address, uint64_t bytes)
{
	bool found;
	size_t index;

	lock_take(&ranges_lock);
	index = lower_find(address);
	found = index < range_count && ranges[index].address < address + bytes;
	lock_release(&ranges_lock);
	return found;
}

bool memory_remove(uint64_t address, unsigned int kinds, struct memory_range *ret_range)
{
	bool found;
	size_t index;

	lock_take(&ranges_lock);
	index = lower_find(address);
	found = index < range_count && ranges[index].address == address && (kinds >> ranges[index].kind & 1);
	if (found) {
		*ret_range = ranges[index];
		range_delete(index);
	}
	lock_release(&ranges_lock);
	return found;
}

bool memory_remove_of_context(uint32_t context, unsigned int kinds, struct memory_range *ret_range)
{
	bool found = false;

	lock_take(&ranges_lock);
	for (size_t i = 0; i < range_count && !found; i++) {
		found = ranges[i].context == context && (kinds >> ranges[i].kind & 1);
		if (found) {
			*ret_range = ranges[i];
			range_delete(i);
		}
	}
	lock_release(&ranges_lock);
	return found;
}

static void ranges_forget(uint32_t context, uint32_t owner)
{
	size_t kept = 0;

	lock_take(&ranges_lock);
	for (size_t i = 0; i < range_count; i++) {
		/* Host memory stays the program's; the executor's mapping of it ends with the process. */
		bool ends = memory_kind_is_device(ranges[i].kind) &&
			    ((context && ranges[i].context == context) || (owner && ranges[i].owner == owner));

		if (!ends)
			ranges[kept++] = ranges[i];
	}
	range_count = kept;
	lock_release(&ranges_lock);
}

void memory_forget_context(uint32_t context)
{
	ranges_forget(context, 0);
}

void memory_forget_owner(uint32_t owner)
{
	ranges_forget(0, owner);
}

bool memory_is_device(uint64_t address)
{
	struct memory_range range;

	return memory_lookup(address, &range) ? memory_kind_is_device(range.kind) : address_is_device(address);
}

bool memory_is_of_graph(uint64_t address)
{
	struct memory_range range;

	return memory_lookup(address, &range) && range.kind == MEMORY_GRAPH && range.address == address;
}
