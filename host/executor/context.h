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
	CUgreenCtx green;      /* NULL: it is no green context */
	uint32_t owner;	       /* of a green context: the primary one's wire id, which outlives it */
	bool is_faulty;	       /* an error of the program has ended it */
	uint64_t own_bytes;    /* of device memory, charged for the context itself (overhead.h) */
	uint64_t module_bytes; /* for its modules */
	CUevent flush_event;   /* NULL: not made yet */
	CUstream left_stream;  /* behind the work of streams that were destroyed (context_work.h); NULL: not made yet */
	uint64_t legacy_uses;  /* of the default stream by the program */
	uint64_t legacy_done;  /* so many of them are over */
	uint64_t legacy_copied; /* the last of them that brought bytes of the program's memory */
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
 * What is made in a green context, but for streams, belongs to its primary context (API reference, cuCtxFromGreenCtx):
 * the wire id, and the context itself, whose children such things are.
 */
uint32_t context_owner_id(const struct executor *executor, uint32_t id);
struct context *context_owner(const struct executor *executor, struct context *context);

struct overhead_mark;

/*
 * Adds a context that the driver has made, with what 'known' says of it, whose wire id has been checked, and makes it
 * current. The mark is of before. A failure: the caller has the driver destroy it.
 */
CUresult context_add(struct executor *executor, const struct context *known, const struct overhead_mark *mark);

/* Forgets what ends with the context, before the driver destroys it, and then the context. */
void context_children_forget(struct executor *executor, struct context *context);
void context_remove(struct executor *executor, struct context *context);

/* No context is current. */
void context_leave(struct executor *executor);

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
