/* SPDX-License-Identifier: Apache-2.0 */
/* Physical memory, as its handles (virtual.c) and its mappings (virtual_map.c) know it. */
#ifndef SOFTGPU_VIRTUAL_H
#define SOFTGPU_VIRTUAL_H

#include <pthread.h>

#include "object.h"

/* As on the GPUs of today. */
#define GRANULARITY_BYTES ((uint64_t)2 << 20)

struct physical {
	struct object object;
	int file;	 /* -1: a piece of the common one */
	uint64_t offset; /* in the file */
	uint64_t bytes;
	unsigned handles; /* that the program has to release; 0: only mappings are left */
	CUmemAllocationProp properties;
};

/* Orders all calls of virtual memory management, and guards the structures above. */
extern pthread_mutex_t virtual_lock;

/* With the lock: the memory with a reference for the caller; NULL: the handle is none. */
struct physical *physical_acquire(CUmemGenericAllocationHandle handle);

/* The file that the memory is in; stays the memory's. */
int physical_file(const struct physical *physical);

#endif
