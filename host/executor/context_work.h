/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The work of a context that no stream of the program's names: what was left in streams that were destroyed, and
 * what may be in the legacy default stream.
 *
 * A stream that is destroyed with work in it is waited for, through a mark, by a stream of ours, which so stands for
 * all of them; and so is one that is captured, for it takes no marks as long as that goes on.
 *
 * The default stream has no handle, and a mark in it is work of the program to the driver: blocking streams wait for
 * it and it waits for them (API reference, stream synchronization behavior). So it takes one only if the program may
 * have work there.
 */
#ifndef EXECUTOR_CONTEXT_WORK_H
#define EXECUTOR_CONTEXT_WORK_H

#include <stdbool.h>
#include <stdint.h>

#include "context.h"
#include "handles.h"

/* Before a stream is destroyed or captured: its context (of a green one the primary one) keeps what is in it. */
void context_stream_leave(struct executor *executor, uint32_t stream_id);

/* Ends the stream of ours, before its context is. */
void context_left_forget(struct executor *executor, struct context *context);

/* The program uses the default stream. */
static inline void context_legacy_use(struct context *context)
{
	if (context)
		context->legacy_uses++;
}

static inline bool context_legacy_has_work(const struct context *context)
{
	return context->legacy_uses != context->legacy_done;
}

/*
 * The program has copied its memory to the device there, last of all. Natively such a copy has been made when it
 * returns, or is about to be: a copy of 64 KiB or less is asynchronous by the documentation (API synchronization
 * behavior), but takes its call 5.7 us, measured, in which an idle stream has it done. Ours returns sooner, so what is
 * executed next in another stream could be sooner than the copy.
 */
static inline void context_legacy_copy(struct context *context)
{
	if (context)
		context->legacy_copied = context->legacy_uses;
}

/* Before something is issued to another stream: lets such a copy be done, if its stream is not busy with other things.
 */
void context_copy_settle(struct executor *executor, struct handle *stream);

/* So many uses of it are over. */
static inline void context_legacy_note(struct context *context, uint64_t uses)
{
	if (uses > context->legacy_done)
		context->legacy_done = uses;
}

#endif
