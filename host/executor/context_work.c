/* SPDX-License-Identifier: Apache-2.0 */
#include "context_work.h"

#include "capture.h"
#include "executor.h"

static CUresult left_await(struct executor *executor, struct context *keeper, CUevent mark)
{
	const struct driver *driver = &executor->driver;

	if (!context_enter(executor, keeper->id))
		return CUDA_ERROR_INVALID_CONTEXT;
	if (!keeper->left_stream) {
		CUresult result = driver->cuStreamCreate(&keeper->left_stream, CU_STREAM_NON_BLOCKING);

		if (result) {
			keeper->left_stream = NULL;
			return result;
		}
	}
	return driver->cuStreamWaitEvent(keeper->left_stream, mark, 0);
}

void context_stream_leave(struct executor *executor, uint32_t stream_id)
{
	const struct driver *driver = &executor->driver;
	const struct handle *stream = handles_find(&executor->handles, VGPU_KIND_STREAM, stream_id);
	uint32_t current = executor->contexts.current ? executor->contexts.current->id : 0;
	struct context *context = stream ? context_enter(executor, stream->context) : NULL;
	CUevent mark;

	/* A question would end a capture, whose stream has no work but the graph's. */
	if (context && !capture_check(executor, stream->object) &&
	    driver->cuStreamQuery(stream->object) == CUDA_ERROR_NOT_READY &&
	    !context_mark_take(executor, context, stream->object, &mark)) {
		/* Where nothing can be kept it is waited for here, which is rare. */
		if (left_await(executor, context_owner(executor, context), mark)) {
			context_enter(executor, context->id);
			driver->cuEventSynchronize(mark);
		}
		context_mark_give(executor, context, mark);
	}
	context_enter(executor, current);
}

/* Several times what the copy takes in an idle stream. */
#define SETTLE_NANOSECONDS 100000u

/* In the cache of its handle. */
enum { STREAM_UNKNOWN, STREAM_BLOCKING, STREAM_NON_BLOCKING };

/* Blocking streams wait for the default one by themselves. */
static bool is_blocking(struct executor *executor, struct handle *stream)
{
	const struct driver *driver = &executor->driver;
	unsigned int flags;

	if (stream->cache == STREAM_UNKNOWN && driver->cuStreamGetFlags &&
	    !driver->cuStreamGetFlags(stream->object, &flags))
		stream->cache = flags & CU_STREAM_NON_BLOCKING ? STREAM_NON_BLOCKING : STREAM_BLOCKING;
	return stream->cache != STREAM_NON_BLOCKING;
}

void context_copy_settle(struct executor *executor, struct handle *stream)
{
	struct context *context = executor->contexts.current;
	CUresult result;
	uint64_t until;

	if (context->legacy_done < context->legacy_copied) {
		/* A question about the default stream would end a capture. */
		if (is_blocking(executor, stream) || executor->captures.count)
			return;
		until = schedule_now() + SETTLE_NANOSECONDS;
		do
			result = executor->driver.cuStreamQuery(NULL);
		while (result == CUDA_ERROR_NOT_READY && schedule_now() < until);
		/* Later uses may be launches that wait to be put into a graph. */
		if (!result)
			context_legacy_note(context, context->legacy_copied);
	}
	context->legacy_copied = 0;
}

void context_left_forget(struct executor *executor, struct context *context)
{
	if (!context->left_stream || !context_enter(executor, context->id))
		return;
	gate_forget_stream(executor, context->left_stream);
	executor->driver.cuStreamDestroy_v2(context->left_stream);
	context->left_stream = NULL;
}
