/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What memory pools and graphs keep of the device beyond what the program has allocated from them now: memory that a
 * stream has not come to free yet, and what the driver holds back for the next time. It is charged to the tenant
 * where there is a limit of memory, by what the driver says that it has reserved.
 *
 * An allocation from a pool is charged by itself (account.h), the rest of its pool as 'kept'. Memory that is freed only
 * moves from the one to the other, until the driver is seen to have given it back: at the program's next wait, as its
 * release threshold says, or when the limit is hit.
 */
#ifndef EXECUTOR_RESERVE_H
#define EXECUTOR_RESERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "execute.h"

struct reserve {
	CUmemoryPool pool;
	uint64_t live; /* charged for what is allocated from it */
	uint64_t kept; /* charged beyond that */
	bool is_ended; /* the program has destroyed it: it ends when it is empty */
};

struct reserves {
	struct reserve *list;
	size_t count;
	size_t capacity;
	uint64_t graphs_live; /* charged for nodes */
	uint64_t graphs_kept;
};

/* As memory_charge(), but first what is kept is given back where that is needed. */
CUresult reserve_charge(struct executor *executor, uint64_t bytes);

/*
 * The pool that an allocation in the stream comes from: 'pool' or, if that is NULL, its device's current one; room is
 * made to remember it. NULL: it is not known. 'stream_id' is of the stream.
 */
CUresult reserve_pool_find(struct executor *executor, CUmemoryPool pool, uint32_t stream_id, CUmemoryPool *ret_pool);

/*
 * Before account_add() of an allocation from the pool: charges what the pool has grown by beyond it.
 * CUDA_ERROR_OUT_OF_MEMORY: the caller gives the allocation back.
 */
CUresult reserve_allocated(struct executor *executor, CUmemoryPool pool, uint64_t charged);

/* Before the charge of an allocation from the pool ends. */
void reserve_freed(struct executor *executor, CUmemoryPool pool, uint64_t charged);

/* For cuMemPoolDestroy(): one that has memory ends later by itself, for nobody could ask it how much that is. */
CUresult reserve_pool_destroy(struct executor *executor, CUmemoryPool pool);

/* After charges of graphs' nodes, and before they end. */
void reserve_graphs_charged(struct executor *executor, uint64_t bytes);
void reserve_graphs_freed(struct executor *executor, uint64_t bytes);

/* Brings what is kept up to date. */
void reserve_refresh(struct executor *executor);

/* The program has waited for the GPU: pools give back what is more than their thresholds. */
void reserve_synchronized(struct executor *executor);

#endif
