/* SPDX-License-Identifier: Apache-2.0 */
#include "green.h"

#include "context_work.h"
#include "executor.h"
#include "executor_calls.h"
#include "overhead.h"

static bool is_there(const struct driver *driver)
{
	return driver->cuGreenCtxCreate && driver->cuGreenCtxDestroy && driver->cuCtxFromGreenCtx;
}

/* NULL: there is no such green context. */
static struct context *green_find(const struct executor *executor, uint32_t id)
{
	struct context *context = context_find(executor, id);

	return context && context->green ? context : NULL;
}

CUresult execute_cuGreenCtxCreate(struct executor *executor, const struct request *request,
				  const struct wire_cuGreenCtxCreate *arguments)
{
	const struct driver *driver = &executor->driver;
	const struct context *primary = context_find(executor, arguments->primary);
	struct context known = {.id = arguments->ctx, .owner = arguments->primary};
	CUdevResourceDesc description = NULL;
	struct overhead_mark mark;
	CUresult result;

	(void)request;
	if (!is_there(driver))
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!primary || !primary->is_primary || primary->device != arguments->dev)
		return CUDA_ERROR_INVALID_CONTEXT;
	result = execute_check_mint(executor, VGPU_KIND_CONTEXT, arguments->ctx);
	if (!result)
		result = green_description_find(executor, arguments->description, &description);
	if (result)
		return result;
	overhead_context_begin(executor, arguments->dev, &mark);
	result = driver->cuGreenCtxCreate(&known.green, description, arguments->dev, arguments->flags);
	if (result)
		return result;
	result = driver->cuCtxFromGreenCtx(&known.object, known.green);
	if (!result)
		result = context_add(executor, &known, &mark);
	if (result)
		driver->cuGreenCtxDestroy(known.green);
	return result;
}

/* A stream may name its work's place after the driver has ended it with its context: none does. */
static void streams_end(struct executor *executor, const struct context *context)
{
	struct handle *handle;
	uint32_t index = 0;

	while ((handle = handles_next(&executor->handles, VGPU_KIND_STREAM, &index))) {
		if (handle->context != context->id)
			continue;
		context_stream_leave(executor, VGPU_ID(VGPU_KIND_STREAM, index - 1));
		if (executor->driver.cuStreamDestroy_v2(handle->object) == CUDA_SUCCESS)
			execute_forget(executor, VGPU_ID(VGPU_KIND_STREAM, index - 1));
	}
}

static CUresult green_end(struct executor *executor, struct context *context)
{
	CUresult result;

	/* Streams that are gone take no marks any more: their work would end uncounted. */
	pending_settle(executor);
	gate_settle(executor);
	streams_end(executor, context);
	context_children_forget(executor, context);
	context_leave(executor);
	result = executor->driver.cuGreenCtxDestroy(context->green);
	context_remove(executor, context);
	return result;
}

CUresult execute_cuGreenCtxDestroy(struct executor *executor, const struct request *request,
				   const struct wire_cuGreenCtxDestroy *arguments)
{
	struct context *context = green_find(executor, arguments->ctx);

	(void)request;
	return context ? green_end(executor, context) : CUDA_ERROR_INVALID_CONTEXT;
}

void green_contexts_end(struct executor *executor, const struct context *primary)
{
	struct handle *handle;
	uint32_t index = 0;

	while ((handle = handles_next(&executor->handles, VGPU_KIND_CONTEXT, &index))) {
		struct context *context = (struct context *)(uintptr_t)handle->cache;

		if (context->owner == primary->id)
			(void)green_end(executor, context);
	}
}

CUresult execute_cuGreenCtxStreamCreate(struct executor *executor, const struct request *request,
					const struct wire_cuGreenCtxStreamCreate *arguments)
{
	const struct context *context = green_find(executor, arguments->ctx);
	CUstream stream = NULL;
	CUresult result;

	(void)request;
	if (!context)
		return CUDA_ERROR_INVALID_CONTEXT;
	if (!executor->driver.cuGreenCtxStreamCreate)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = execute_check_mint(executor, VGPU_KIND_STREAM, arguments->stream);
	if (!result)
		result = executor->driver.cuGreenCtxStreamCreate(&stream, context->green, arguments->flags,
								 arguments->priority);
	if (!result)
		execute_mint(executor, arguments->stream, context->id, stream);
	return result;
}

static CUresult green_event_call(struct executor *executor, uint32_t context_id, uint32_t event_id,
				 CUresult (*call)(CUgreenCtx context, CUevent event))
{
	const struct context *context = green_find(executor, context_id);
	void *event;
	CUresult result =
		context ? execute_find(executor, VGPU_KIND_EVENT, event_id, &event) : CUDA_ERROR_INVALID_CONTEXT;

	if (result)
		return result;
	return call ? call(context->green, event) : CUDA_ERROR_NOT_SUPPORTED;
}

CUresult execute_cuGreenCtxRecordEvent(struct executor *executor, const struct request *request,
				       const struct wire_cuGreenCtxRecordEvent *arguments)
{
	(void)request;
	pending_settle_event(executor, arguments->event);
	return green_event_call(executor, arguments->ctx, arguments->event, executor->driver.cuGreenCtxRecordEvent);
}

CUresult execute_cuGreenCtxWaitEvent(struct executor *executor, const struct request *request,
				     const struct wire_cuGreenCtxWaitEvent *arguments)
{
	(void)request;
	return green_event_call(executor, arguments->ctx, arguments->event, executor->driver.cuGreenCtxWaitEvent);
}
