/* SPDX-License-Identifier: Apache-2.0 */
#include "mirror_table.h"

#include <stdlib.h>
#include <string.h>

#include "mirror_blocks.h"

#define CAPACITY_FIRST 64

/* The first that ends behind the address. */
static size_t lower_find(const struct mirror_table *table, uint64_t address)
{
	size_t low = 0;
	size_t high = table->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (table->mirrors[middle]->address + table->mirrors[middle]->bytes <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

CUresult mirror_table_add(struct mirror_table *table, struct mirror *mirror)
{
	size_t index;

	if (table->count == table->capacity) {
		size_t capacity = table->capacity ? 2 * table->capacity : CAPACITY_FIRST;
		struct mirror **grown = realloc(table->mirrors, capacity * sizeof(struct mirror *));

		if (!grown)
			return CUDA_ERROR_OUT_OF_MEMORY;
		table->mirrors = grown;
		table->capacity = capacity;
	}
	index = lower_find(table, mirror->address);
	memmove(&table->mirrors[index + 1], &table->mirrors[index], (table->count - index) * sizeof(struct mirror *));
	table->mirrors[index] = mirror;
	table->count++;
	return CUDA_SUCCESS;
}

void mirror_table_remove(struct mirror_table *table, const struct mirror *mirror)
{
	size_t index = lower_find(table, mirror->address);

	if (index == table->count || table->mirrors[index] != mirror)
		return;
	table->count--;
	memmove(&table->mirrors[index], &table->mirrors[index + 1], (table->count - index) * sizeof(struct mirror *));
}

struct mirror *mirror_table_find(const struct mirror_table *table, uint64_t address)
{
	size_t index = lower_find(table, address);

	return index < table->count && table->mirrors[index]->address <= address ? table->mirrors[index] : NULL;
}
