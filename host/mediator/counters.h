/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What executors count (struct vgpu_executor_counters), summed for each pool.
 * An executor writes its own page; what it writes are claims, used for reports
 * only.
 */
#ifndef MEDIATOR_COUNTERS_H
#define MEDIATOR_COUNTERS_H

#include "usage.h"
#include "vgpu_control.h"

#define POOL_COUNT 26

struct mediator;

/* Of executors that are gone; memory_bytes and pinned_bytes stay 0. */
struct counters {
	struct vgpu_executor_counters gone[POOL_COUNT];
	uint64_t refusals[POOL_COUNT];	     /* of programs */
	uint64_t starts[POOL_COUNT];	     /* of executors */
	uint64_t deaths[POOL_COUNT];	     /* of executors that were not asked to end */
	uint64_t gpu_ns[POOL_COUNT];	     /* that tenants were charged */
	uint64_t quarantines_of[POOL_COUNT]; /* of tenants whose pool is known */
	uint64_t quarantines;
	struct usage_waits waits[POOL_COUNT]; /* of its tenants for GPUs */
	uint64_t gpu_before_ns[POOL_COUNT];   /* gpu_ns at the last usage_shares_take() */
	uint64_t gpu_lately_ns[POOL_COUNT];   /* between the two last ones */
	uint64_t grants;		      /* of the GPU, from one tenant to the next */
	uint32_t pools_seen;		      /* a bit for each pool that had an executor */
};

/* One executor's page, and the descriptor to give it. The descriptor may be closed at any time. */
struct counters_page {
	const volatile struct vgpu_executor_counters *values; /* NULL: none */
	int file;
};

/* 0, or -1 with errno. */
int counters_page_create(struct counters_page *ret_page);
/* Of an executor that an earlier mediator has started; 'file' becomes the page's. 0, or -1 with errno. */
int counters_page_adopt(struct counters_page *ret_page, int file);
void counters_page_destroy(struct counters_page *page);

/* Zeroes where there is no page, and no devices. */
struct vgpu_executor_counters counters_page_read(const struct counters_page *page);

/* All but what belongs to one process. */
void counters_add(struct vgpu_executor_counters *sum, const struct vgpu_executor_counters *values);

/* Adds a page of an executor that is gone to its pool. */
void counters_page_retire(struct counters *counters, uint32_t pool_id, const struct counters_page *page);

/* Executors that are there and gone; pool_id 0: all pools. */
struct vgpu_executor_counters counters_sum(const struct mediator *mediator, uint32_t pool_id);

/* Of programs, in all pools. */
uint64_t counters_refusals(const struct counters *counters);

/* Writes "Total processed" and a line for each pool (A, B and those seen) to the log. */
void counters_log(const struct mediator *mediator);

#endif
