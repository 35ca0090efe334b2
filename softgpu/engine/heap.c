/* SPDX-License-Identifier: Apache-2.0 */
#include "heap.h"

#include <pthread.h>
#include <stdlib.h>

enum {
	UNIT_BYTES = 16,
	CLASS_COUNT = 128,
	CLASS_NONE = 0xff,
};

static const uint32_t no_unit = UINT32_MAX;

/* Blocks have sizes of classes (four to a power of two); freed ones go to the class's list. */
struct heap {
	struct engine_memory memory;
	pthread_mutex_t lock;
	uint64_t bytes;
	uint64_t base;
	uint32_t unit_count;
	uint32_t units_used;
	uint8_t *class_of; /* of the block that starts at the unit */
	uint32_t *next_free;
	uint32_t free_list[CLASS_COUNT];
};

struct heap *heap_create(const struct engine_memory *memory, size_t bytes)
{
	struct heap *heap = calloc(1, sizeof(*heap));
	const uint64_t bytes_max = (uint64_t)UNIT_BYTES * (UINT32_MAX - 1);

	if (!heap)
		return NULL;
	heap->memory = *memory;
	heap->bytes = bytes < bytes_max ? bytes : bytes_max;
	for (unsigned i = 0; i < CLASS_COUNT; i++)
		heap->free_list[i] = no_unit;
	if (pthread_mutex_init(&heap->lock, NULL) != 0) {
		free(heap);
		return NULL;
	}
	return heap;
}

void heap_destroy(struct heap *heap)
{
	if (!heap)
		return;
	if (heap->base)
		heap->memory.release(heap->memory.user, heap->base);
	free(heap->class_of);
	free(heap->next_free);
	pthread_mutex_destroy(&heap->lock);
	free(heap);
}

static bool heap_start(struct heap *heap)
{
	if (heap->base)
		return true;
	uint32_t units = (uint32_t)(heap->bytes / UNIT_BYTES);

	if (!units)
		return false;
	if (!heap->class_of)
		heap->class_of = malloc(units);
	if (!heap->next_free)
		heap->next_free = malloc((size_t)units * sizeof(*heap->next_free));
	if (!heap->class_of || !heap->next_free)
		return false;
	heap->base = heap->memory.allocate(heap->memory.user, (size_t)units * UNIT_BYTES, UNIT_BYTES);
	if (!heap->base)
		return false;
	for (uint32_t i = 0; i < units; i++)
		heap->class_of[i] = CLASS_NONE;
	heap->unit_count = units;
	return true;
}

static uint64_t class_units(unsigned class)
{
	unsigned octave = class / 4, step = class % 4;

	return octave ? (uint64_t)(4 + step) << (octave - 1) : step + 1;
}

static unsigned class_find(uint64_t units)
{
	unsigned class = 0;

	while (class < CLASS_COUNT && class_units(class) < units)
		class ++;
	return class;
}

uint64_t heap_allocate(struct heap *heap, uint64_t bytes)
{
	uint64_t address = 0;

	if (!bytes || bytes > heap->bytes)
		return 0;
	unsigned class = class_find((bytes + UNIT_BYTES - 1) / UNIT_BYTES);

	if (class >= CLASS_COUNT)
		return 0;
	pthread_mutex_lock(&heap->lock);
	if (heap_start(heap)) {
		uint32_t unit = heap->free_list[class];
		uint64_t units = class_units(class);

		if (unit != no_unit) {
			heap->free_list[class] = heap->next_free[unit];
		} else if (units <= heap->unit_count - heap->units_used) {
			unit = heap->units_used;
			heap->units_used += (uint32_t)units;
		}
		if (unit != no_unit) {
			heap->class_of[unit] = (uint8_t) class;
			address = heap->base + (uint64_t)unit * UNIT_BYTES;
		}
	}
	pthread_mutex_unlock(&heap->lock);
	return address;
}

bool heap_free(struct heap *heap, uint64_t address)
{
	bool freed = false;

	pthread_mutex_lock(&heap->lock);
	if (heap->base && address >= heap->base && (address - heap->base) / UNIT_BYTES < heap->units_used &&
	    (address - heap->base) % UNIT_BYTES == 0) {
		uint32_t unit = (uint32_t)((address - heap->base) / UNIT_BYTES);
		uint8_t class = heap->class_of[unit];

		if (class != CLASS_NONE) {
			heap->class_of[unit] = CLASS_NONE;
			heap->next_free[unit] = heap->free_list[class];
			heap->free_list[class] = unit;
			freed = true;
		}
	}
	pthread_mutex_unlock(&heap->lock);
	return freed;
}
