/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tenants have used and use now, for operators. What comes from executors are claims; the GPU time charged, the
 * waits and the counts of starts, ends and refusals are the mediator's own.
 */
#ifndef MEDIATOR_USAGE_H
#define MEDIATOR_USAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "log.h"
#include "vgpu_control.h"

#define USAGE_WAIT_BUCKETS 12

struct counters_page;
struct mediator;
struct tenant;

/* Upper ends of the buckets, in seconds; what is longer is in the count alone. */
extern const double usage_wait_bounds[USAGE_WAIT_BUCKETS];

struct usage_waits {
	uint64_t buckets[USAGE_WAIT_BUCKETS]; /* not cumulative */
	uint64_t count;
	uint64_t sum_ns;
};

struct usage_sums {
	struct vgpu_executor_counters counters;
	uint64_t delays; /* for rates */
	uint64_t delay_ns;
};

/* Part of a tenant. */
struct usage {
	struct usage_sums gone; /* of executors that are gone */
	struct usage_waits waits;
	struct log_limit slow_log;
	uint64_t starts;	 /* of executors */
	uint64_t deaths;	 /* of executors that were not asked to end */
	uint64_t refusals;	 /* of programs */
	uint64_t used_before_ns; /* at the last usage_shares_take() */
	double share;		 /* since the one before; NaN: nobody was charged */
};

/* A moment of a tenant. */
struct usage_view {
	struct usage_sums sums;
	uint64_t memory_bytes;
	uint64_t pinned_bytes;
	uint64_t handles;
	uint64_t in_flight; /* records given to the GPU */
	uint64_t used_ns;   /* GPU time charged, while others were there */
	bool is_waiting;    /* for the GPU */
	bool has_gpu;
	double entitlement; /* its weight in those of its class that are on its GPU; 0: it has no programs */
};

void usage_init(struct usage *usage);

/* An executor is gone. */
void usage_retire(struct usage *usage, const struct counters_page *page);

/* The tenant waited so long until it was given the GPU. */
void usage_wait_note(struct tenant *tenant, unsigned gpu, uint64_t wait_ns);

/* Seconds below which that part of the waits was, by linear interpolation in its bucket; 0: there was none. */
double usage_wait_quantile(const struct usage_waits *waits, double part);

/* Takes each tenant's and each pool's part of the GPU time that was charged since the last call; on each heartbeat. */
void usage_shares_take(struct mediator *mediator);

struct usage_view usage_look(const struct mediator *mediator, const struct tenant *tenant);

#endif
