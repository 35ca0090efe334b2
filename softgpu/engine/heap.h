/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The heap of device malloc() and free().  Its bookkeeping is outside of device
 * memory, where a kernel could overwrite it.  Any thread may call.
 */
#ifndef SOFTGPU_HEAP_H
#define SOFTGPU_HEAP_H

#include "engine.h"

struct heap;

/* The device memory is taken at the first allocation. */
struct heap *heap_create(const struct engine_memory *memory, size_t bytes);
void heap_destroy(struct heap *heap); /* accepts NULL */

uint64_t heap_allocate(struct heap *heap, uint64_t bytes); /* 0: none left */
bool heap_free(struct heap *heap, uint64_t address);	   /* false: not an address from heap_allocate */

#endif
