/* SPDX-License-Identifier: Apache-2.0 */
#include "context.h"

#include <stdlib.h>

#include "capture.h"
#include "context_work.h"
#include "executor.h"
#include "executor_calls.h"
#include "green.h"
#include "link.h"
#include "log.h"
#include "overhead.h"

#define MARKS_FIRST 16

struct context *context_find(const struct executor *executor, uint32_t id)
{
	struct handle *handle = handles_find(&executor->handles, VGPU_KIND_CONTEXT, id);

	return handle ? (struct context *)(uintptr_t)handle->cache : NULL;
}

uint32_t context_owner_id(const struct executor *executor, uint32_t id)
{
	const struct context *context = id ? context_find(executor, id) : NULL;

	return context && context->owner ? context->owner : id;
}

struct context *context_owner(const struct executor *executor, struct context *context)
{
	struct context *owner = context && context->owner ? context_find(executor, context->owner) : NULL;

	return owner ? owner : context;
}

static void current_set(struct executor *executor, struct context *context)
{
	const struct driver *driver = &executor->driver;
	CUresult result = driver->cuCtxSetCurrent(context ? context->object : NULL);

	/* After a fault the driver may refuse the context; never leave another one current. */
	if (result && context) {
		context = NULL;
		driver->cuCtxSetCurrent(NULL);
	}
	executor->contexts.current = context;
	executor->contexts.enter_result = result;
}

struct context *context_enter(struct executor *executor, uint32_t id)
{
	struct context *current = executor->contexts.current;

	if (id == 0)
		executor->contexts.enter_result = CUDA_SUCCESS;
	if (current ? current->id != id : id != 0)
		current_set(executor, context_find(executor, id));
	return executor->contexts.current;
}

CUresult context_mark_take(struct executor *executor, struct context *context, CUstream stream, CUevent *ret_mark)
{
	const struct driver *driver = &executor->driver;
	CUevent mark;
	CUresult result = capture_check(executor, stream);

	if (result)
		return result;
	if (context->free_mark_count > 0) {
		mark = context->free_marks[--context->free_mark_count];
	} else {
		result = driver->cuEventCreate(&mark, CU_EVENT_DISABLE_TIMING);
		if (result)
			return result;
	}
	result = driver->cuEventRecord(mark, stream);
	if (result) {
		context_mark_give(executor, context, mark);
		return result;
	}
	*ret_mark = mark;
	return CUDA_SUCCESS;
}

void context_mark_give(struct executor *executor, struct context *context, CUevent mark)
{
	if (context->free_mark_count == context->free_mark_capacity) {
		size_t capacity = context->free_mark_capacity ? 2 * context->free_mark_capacity : MARKS_FIRST;
		CUevent *marks = realloc(context->free_marks, capacity * sizeof(*marks));

		if (!marks) {
			executor->driver.cuEventDestroy_v2(mark);
			return;
		}
		context->free_marks = marks;
		context->free_mark_capacity = capacity;
	}
	context->free_marks[context->free_mark_count++] = mark;
}

CUresult context_print_flush(struct executor *executor, struct context *context)
{
	const struct driver *driver = &executor->driver;

	if (!context->flush_event) {
		CUresult result = driver->cuEventCreate(&context->flush_event, CU_EVENT_DISABLE_TIMING);

		if (result) {
			context->flush_event = NULL;
			return result;
		}
	}
	/*
	 * An event that was never recorded is complete, and waiting for it writes printf out all the same. It
	 * takes 0.1 us where cuStreamSynchronize of an idle stream takes 1.2 us; cuStreamQuery writes nothing
	 * (measured with driver 580).
	 */
	return driver->cuEventSynchronize(context->flush_event);
}

/* Those of a green context are the primary one's to the driver, and would stay. */
static void marks_destroy(struct executor *executor, struct context *context)
{
	if (!context_enter(executor, context->id))
		return;
	for (size_t i = 0; i < context->free_mark_count; i++)
		executor->driver.cuEventDestroy_v2(context->free_marks[i]);
	if (context->flush_event)
		executor->driver.cuEventDestroy_v2(context->flush_event);
}

void context_leave(struct executor *executor)
{
	current_set(executor, NULL);
}

void context_children_forget(struct executor *executor, struct context *context)
{
	/* What others have in flight is marked while nothing of it is gone. */
	gate_settle(executor);
	pending_forget_context(executor, context);
	copy_forget_context(executor, context);
	pinned_forget_context(executor, context);
	memory_wait_forget_context(executor, context);
	sparse_forget_context(executor, context);
	account_forget_context(executor, context->id);
	context_left_forget(executor, context);
	gate_forget_context(executor, context);
	link_forget_context(executor, context->id);
	program_copies_forget_context(executor, context);
	graph_holds_forget_context(executor, context);
	overhead_forget_modules(executor, context);
	handles_forget_context(&executor->handles, context->id);
	captures_forget_streams(executor);
	if (context->green)
		marks_destroy(executor, context);
	free(context->free_marks);
	context->free_marks = NULL;
	context->flush_event = NULL;
	context->free_mark_count = 0;
	context->free_mark_capacity = 0;
}

void context_remove(struct executor *executor, struct context *context)
{
	if (executor->contexts.current == context)
		executor->contexts.current = NULL;
	handles_forget(&executor->handles, context->id);
	overhead_forget_context(executor, context);
	account_context_remove(executor, context->device);
	free(context);
}

CUresult context_add(struct executor *executor, const struct context *known, const struct overhead_mark *mark)
{
	struct context *context = calloc(1, sizeof(*context));
	CUresult result;

	if (!context)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*context = *known;
	context->device = mark->device;
	handles_mint(&executor->handles, context->id, 0, context->object)->cache = (uintptr_t)context;
	account_context_add(executor, context->device);
	if (!context_enter(executor, context->id))
		return CUDA_SUCCESS;
	result = overhead_context_end(executor, context, mark);
	if (result) {
		current_set(executor, NULL);
		context_remove(executor, context);
		return result;
	}
	copy_windows_register(executor);
	return CUDA_SUCCESS;
}

/* Coredumps are files that the driver would write here. */
static CUresult flags_check(uint32_t flags)
{
	const uint32_t known = CU_CTX_SCHED_MASK | CU_CTX_MAP_HOST | CU_CTX_LMEM_RESIZE_TO_MAX | CU_CTX_SYNC_MEMOPS;

	return flags & ~known ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

/* The device's primary context, if it is retained; NULL: it is not. */
static struct context *primary_find(const struct executor *executor, CUdevice device)
{
	struct handle *handle;
	uint32_t index = 0;

	while ((handle = handles_next(&executor->handles, VGPU_KIND_CONTEXT, &index))) {
		struct context *context = (struct context *)(uintptr_t)handle->cache;

		if (context->is_primary && context->device == device)
			return context;
	}
	return NULL;
}

CUresult execute_cuDevicePrimaryCtxRetain(struct executor *executor, const struct request *request,
					  const struct wire_cuDevicePrimaryCtxRetain *arguments)
{
	const struct driver *driver = &executor->driver;
	struct overhead_mark mark;
	CUcontext object = NULL;
	CUresult result;

	(void)request;
	result = execute_check_mint(executor, VGPU_KIND_CONTEXT, arguments->pctx);
	if (!result)
		result = flags_check(arguments->flags);
	/* With a second reference a release would forget what is still there. */
	if (!result && primary_find(executor, arguments->dev))
		result = CUDA_ERROR_INVALID_CONTEXT;
	if (result)
		return result;
	overhead_context_begin(executor, arguments->dev, &mark);
	if (arguments->flags) {
		result = driver->cuDevicePrimaryCtxSetFlags_v2(arguments->dev, arguments->flags);
		if (result)
			return result;
	}
	result = driver->cuDevicePrimaryCtxRetain(&object, arguments->dev);
	if (result)
		return result;
	result = context_add(executor, &(struct context){.id = arguments->pctx, .object = object, .is_primary = true},
			     &mark);
	if (result)
		driver->cuDevicePrimaryCtxRelease_v2(arguments->dev);
	return result;
}

CUresult execute_cuDevicePrimaryCtxRelease_v2(struct executor *executor, const struct request *request,
					      const struct wire_cuDevicePrimaryCtxRelease_v2 *arguments)
{
	struct context *context = context_find(executor, arguments->ctx);
	CUresult result;

	(void)request;
	if (!context || !context->is_primary || context->device != arguments->dev)
		return CUDA_ERROR_INVALID_CONTEXT;
	green_contexts_end(executor, context);
	context_children_forget(executor, context);
	/* Not the one that is about to be destroyed. */
	current_set(executor, NULL);
	result = executor->driver.cuDevicePrimaryCtxRelease_v2(context->device);
	print_forward(executor);
	context_remove(executor, context);
	return result;
}

CUresult execute_cuDevicePrimaryCtxReset_v2(struct executor *executor, const struct request *request,
					    const struct wire_cuDevicePrimaryCtxReset_v2 *arguments)
{
	struct context *context = primary_find(executor, arguments->dev);
	CUresult result;

	(void)request;
	if (context) {
		green_contexts_end(executor, context);
		context_children_forget(executor, context);
	}
	current_set(executor, NULL);
	result = executor->driver.cuDevicePrimaryCtxReset_v2(arguments->dev);
	print_forward(executor);
	return result;
}

CUresult execute_cuDevicePrimaryCtxSetFlags_v2(struct executor *executor, const struct request *request,
					       const struct wire_cuDevicePrimaryCtxSetFlags_v2 *arguments)
{
	CUresult result = flags_check(arguments->flags);

	(void)request;
	return result ? result : executor->driver.cuDevicePrimaryCtxSetFlags_v2(arguments->dev, arguments->flags);
}

CUresult execute_cuCtxCreate_v2(struct executor *executor, const struct request *request,
				const struct wire_cuCtxCreate_v2 *arguments)
{
	const struct driver *driver = &executor->driver;
	struct overhead_mark mark;
	CUcontext object = NULL;
	CUresult result;

	(void)request;
	result = execute_check_mint(executor, VGPU_KIND_CONTEXT, arguments->pctx);
	if (!result)
		result = flags_check(arguments->flags);
	if (result)
		return result;
	overhead_context_begin(executor, arguments->dev, &mark);
	result = driver->cuCtxCreate_v2(&object, arguments->flags, arguments->dev);
	if (result)
		return result;
	/* The driver has pushed it; what was current before is no longer. */
	executor->contexts.current = NULL;
	result = context_add(executor, &(struct context){.id = arguments->pctx, .object = object}, &mark);
	if (result)
		driver->cuCtxDestroy_v2(object);
	return result;
}

CUresult execute_cuCtxDestroy_v2(struct executor *executor, const struct request *request,
				 const struct wire_cuCtxDestroy_v2 *arguments)
{
	struct context *context = context_find(executor, arguments->ctx);
	CUresult result;

	(void)request;
	if (!context)
		return CUDA_ERROR_INVALID_CONTEXT;
	if (context->is_primary || context->green)
		return CUDA_ERROR_INVALID_CONTEXT;
	context_children_forget(executor, context);
	result = executor->driver.cuCtxDestroy_v2(context->object);
	print_forward(executor);
	context_remove(executor, context);
	current_set(executor, NULL);
	return result;
}

/* The driver takes memory for stacks, heap and printf at once or at the next launch (overhead_use_begin). */
CUresult execute_cuCtxSetLimit(struct executor *executor, const struct request *request,
			       const struct wire_cuCtxSetLimit *arguments)
{
	const struct driver *driver = &executor->driver;
	struct overhead_mark mark;
	size_t before = 0;
	CUresult result;

	(void)request;
	if (!driver->cuCtxSetLimit || !driver->cuCtxGetLimit)
		return CUDA_ERROR_NOT_SUPPORTED;
	overhead_module_begin(executor, &mark);
	result = driver->cuCtxGetLimit(&before, arguments->limit);
	if (!result)
		result = driver->cuCtxSetLimit(arguments->limit, arguments->value);
	if (result)
		return result;
	result = overhead_module_end(executor, &mark);
	if (result)
		driver->cuCtxSetLimit(arguments->limit, before);
	else
		overhead_module_gone(executor, &mark);
	return result;
}

CUresult execute_cuCtxSynchronize(struct executor *executor, const struct request *request)
{
	return pending_add_context(executor, request);
}

CUresult execute_cuCtxSetFlags(struct executor *executor, const struct request *request,
			       const struct wire_cuCtxSetFlags *arguments)
{
	CUresult result = flags_check(arguments->flags);

	(void)request;
	if (result)
		return result;
	return executor->driver.cuCtxSetFlags ? executor->driver.cuCtxSetFlags(arguments->flags)
					      : CUDA_ERROR_NOT_SUPPORTED;
}
