/* SPDX-License-Identifier: Apache-2.0 */
/* A block that is resident on a worker: its warps, their registers and its memory. */
#ifndef SOFTGPU_BLOCK_H
#define SOFTGPU_BLOCK_H

#include "exec.h"

enum block_state {
	BLOCK_DONE,
	BLOCK_YIELDED, /* its warps used up their budget: others may run */
	BLOCK_STUCK,   /* every warp waits for another */
};

/* Room for any block of the launch; NULL when out of memory. */
struct block *block_create(const struct launch *launch, unsigned worker_index);
void block_destroy(struct block *block); /* accepts NULL, and blocks left by a fault */

void block_start(struct block *block, uint64_t linear);
enum block_state block_run(struct block *block);
uint64_t block_operations(const struct block *block);

#endif
