/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stream-ordered memory.  A pool keeps no memory of its own: what is freed goes
 * back to the arena when the stream gets there, so the next allocation is fresh.
 */
#ifndef SOFTGPU_DRIVER_POOL_H
#define SOFTGPU_DRIVER_POOL_H

#include <stdint.h>

struct pool;

/* An allocation of the pool was freed: gives back its reference to the pool. */
void pool_return(struct pool *pool, uint64_t bytes);

#endif
