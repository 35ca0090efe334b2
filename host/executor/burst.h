/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bursts: what was given to the GPU, in pieces whose end can be seen.
 *
 * A burst is a number of records and the streams that they touched. It is closed
 * with a mark in each of those streams and is over when all marks are reached, so
 * with several streams their overlap is counted once. Its size follows the time
 * that records take: 'burst_ns' is aimed at.
 */
#ifndef EXECUTOR_BURST_H
#define EXECUTOR_BURST_H

#include <stdbool.h>
#include <stdint.h>

#include "execute.h"

#define BURST_STREAMS_MAX 64
#define BURSTS_MAX	  64 /* a power of two */
#define BURST_RECORDS_MAX 256u

struct context;
struct executor;

struct burst_place {
	struct context *context;
	CUstream stream;
	CUevent mark; /* NULL: reached, or forgotten with its context */
};

struct burst {
	struct burst_place places[BURST_STREAMS_MAX];
	uint32_t place_count;
	uint32_t records;
	uint32_t work; /* uses of streams: at least the kernels among the records */
	uint64_t began_ns;
};

struct bursts {
	struct burst ring[BURSTS_MAX]; /* closed ones from 'first' to 'next', then the open one */
	uint32_t first;		       /* free running */
	uint32_t next;
	uint32_t records;	 /* in flight, the open burst's included */
	uint32_t records_wanted; /* in a burst */
	uint64_t record_ns;	 /* what a record takes: the longest of the last bursts, fading */
	uint64_t progress_ns;	 /* when the oldest one may have begun: the one before was over */
	uint64_t busy_since_ns;	 /* 0: nothing is in flight */
	uint64_t gpu_ns;	 /* of busy spans that are over */
};

/* A record of the open burst uses the stream of the context (NULL: its default). */
void burst_touch(struct bursts *bursts, struct context *context, CUstream stream);

/* Counts a record into the open burst. */
void burst_count(struct bursts *bursts, uint64_t now);

/* True: the open burst is as long as wanted. */
bool burst_is_full(const struct bursts *bursts);

/* Marks the streams of the open burst, if it has a record. */
void burst_close(struct executor *executor, struct bursts *bursts);

/* A burst of all streams there are: what was issued while nobody counted. */
void burst_close_all(struct executor *executor, struct bursts *bursts, uint64_t now);

/* Looks at the oldest ones; true: at least one is over. */
bool bursts_poll(struct executor *executor, struct bursts *bursts, uint64_t burst_ns);

/* Closed bursts that are not over. */
static inline uint32_t bursts_outstanding(const struct bursts *bursts)
{
	return bursts->next - bursts->first;
}

static inline bool bursts_are_idle(const struct bursts *bursts)
{
	return bursts->first == bursts->next && bursts->ring[bursts->next % BURSTS_MAX].records == 0;
}

/* Before a stream or a context is destroyed. */
void bursts_forget_stream(struct bursts *bursts, CUstream stream);
void bursts_forget_context(struct executor *executor, struct bursts *bursts, struct context *context);

uint64_t schedule_now(void);

#endif
