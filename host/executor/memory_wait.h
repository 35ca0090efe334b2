/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocations at the tenant's limit that wait for memory which streams are on their way to free: on a GPU the driver
 * would give it to them, behind the work that still uses it. Marks (context.h) behind the frees say how far the
 * streams are. The request is executed again when one is reached.
 */
#ifndef EXECUTOR_MEMORY_WAIT_H
#define EXECUTOR_MEMORY_WAIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "execute.h"
#include "latency.h"

#define MEMORY_MARKS_MAX 64
#define MEMORY_WAITS_MAX 16
/* Of a request that may wait. */
#define MEMORY_WAIT_PAYLOAD_BYTES 128

struct context;

struct memory_mark {
	struct context *context;
	CUevent mark;
};

struct memory_wait {
	struct request request;
	struct latency_mark mark;
	uint64_t since_ns;
	_Alignas(8) uint8_t payload[MEMORY_WAIT_PAYLOAD_BYTES];
};

struct memory_waits {
	struct memory_mark marks[MEMORY_MARKS_MAX]; /* behind the last frees; older ones are left out */
	size_t mark_count;
	struct memory_wait waits[MEMORY_WAITS_MAX];
	size_t count;
	bool is_refused; /* the limit has refused something since it was last asked */
};

/* Memory of a pool was freed in the stream, of which the context is current afterwards. */
void memory_wait_note_free(struct executor *executor, uint32_t stream_id);

/* After a request that had no memory. True: it waits, and will be answered. */
bool memory_wait_defer(struct executor *executor, const struct request *request);

/* In each round of the loop; true: a request was answered. */
bool memory_wait_poll(struct executor *executor);

/* Before the context ends. */
void memory_wait_forget_context(struct executor *executor, struct context *context);

#endif
