/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contexts: which one is current in the driver, what ends with one, and marks.
 *
 * A mark is an event of ours recorded in a stream, to know later whether the
 * stream has come that far. Marks are reused; those of a context end with it.
 */
#ifndef EXECUTOR_CONTEXT_H
#define EXECUTOR_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "execute.h"

struct context {
	uint32_t id; /* wire id */
	CUcontext object;
	CUdevice device;
	bool is_primary;
	bool is_faulty;	       /* an error of the program has ended it */
	uint64_t own_bytes;    /* of device memory, charged for the context itself (overhead.h) */
	uint64_t module_bytes; /* for its modules */
	CUevent flush_event;   /* NULL: not made yet */
	CUevent *free_marks;
	size_t free_mark_count;
	size_t free_mark_capacity;
};

struct contexts {
	struct context *current; /* as the driver has it on the main thread; NULL: none */
	CUresult enter_result;	 /* why none is current, if the driver refused one */
};

/* NULL: no such context. */
struct context *context_find(const struct executor *executor, uint32_t id);

/*
 * Makes the context current in the driver, if it is not. With id 0 or an id that there is not, none is
 * current, so that a call which needs one fails as it would without us. NULL: none is current.
 */
struct context *context_enter(struct executor *executor, uint32_t id);

/* A mark behind everything issued in 'stream' so far; the context is current. */
CUresult context_mark_take(struct executor *executor, struct context *context, CUstream stream, CUevent *ret_mark);
/*
 * Has the driver write device printf of finished kernels out, for what has not been waited for by the
 * driver's own calls; the context is current. The error that the context has come to, if any.
 */
CUresult context_print_flush(struct executor *executor, struct context *context);
void context_mark_give(struct executor *executor, struct context *context, CUevent mark);

#endif
