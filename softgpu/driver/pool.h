/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stream-ordered memory.  A pool keeps no memory of its own: what is freed goes
 * back to the arena when the stream gets there, so the next allocation is fresh.
 */
#ifndef SOFTGPU_DRIVER_POOL_H
#define SOFTGPU_DRIVER_POOL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "cuda_abi.h"
#include "object.h"

struct pool_file;

struct pool {
	struct object object;
	CUdevice device;
	pthread_mutex_t lock;
	int reuse_event;
	int reuse_opportunistic;
	int reuse_internal;
	uint64_t release_threshold;
	uint64_t used;
	uint64_t used_high;
	uint64_t maximum;		 /* 0: none */
	_Atomic uint32_t access_devices; /* a bit for each device that was let at it, but its own */
	struct pool_file *file;		 /* NULL: it cannot be shared with other processes */
	bool is_exported;		 /* its descriptor has been given: only then what is told of its pointers */
	bool is_imported;		 /* another process's: nothing is allocated from it here */
};

/* Takes over 'file' (pool_file.h), in any case. */
CUresult memory_pool_create(CUdevice device, uint64_t maximum, struct pool_file *file, struct pool **ret_pool);

/* The pool of a handle, with a reference for the caller. */
CUresult pool_acquire(CUmemoryPool handle, struct pool **ret_pool);

/* Bytes of the pool are used, with a reference; false: it may not have so many. */
bool pool_take(struct pool *pool, uint64_t bytes);

/* An allocation of the pool was freed, at 'offset' of its file if it has one: gives back its reference to the pool. */
void pool_return(struct pool *pool, uint64_t bytes, uint64_t offset);

#endif
