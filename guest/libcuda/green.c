/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Green contexts: objects like those of other contexts, which belong to the
 * device's primary one as far as everything but their streams is concerned.
 */
#include "context.h"
#include "event.h"
#include "host_calls.h"

/* A CUgreenCtx is the object's address and so much: no handle of the other kind is taken for it. */
#define HANDLE_OFFSET 8

CUresult cuDevicePrimaryCtxRetain(CUcontext *pctx, CUdevice dev);
CUresult cuDevicePrimaryCtxRelease_v2(CUdevice dev);

static bool is_green(const struct object *context)
{
	return context && context->context;
}

struct object *context_find_green(CUgreenCtx handle)
{
	struct object *context = context_find((CUcontext)((uintptr_t)handle - HANDLE_OFFSET));

	return is_green(context) ? context : NULL;
}

CUgreenCtx context_green_handle(struct object *context)
{
	return is_green(context) ? (CUgreenCtx)((char *)context + HANDLE_OFFSET) : NULL;
}

API(cuGreenCtxCreate, CUgreenCtx *ctx, CUdevResourceDesc description, CUdevice dev, unsigned int flags)
{
	struct object *context, *primary;
	CUcontext retained;
	uint32_t current;
	CUresult result = call_begin(CALL_NEEDS_INIT, &current);

	if (result)
		return result;
	if (!ctx || !description || flags != CU_GREEN_CTX_DEFAULT_STREAM)
		return CUDA_ERROR_INVALID_VALUE;
	primary = context_primary(dev);
	if (!primary)
		return CUDA_ERROR_INVALID_DEVICE;
	result = cuDevicePrimaryCtxRetain(&retained, dev);
	if (result)
		return result;
	context = object_mint(VGPU_KIND_CONTEXT, 0);
	if (!context) {
		result = CUDA_ERROR_OUT_OF_MEMORY;
		goto release_primary;
	}
	result = host_cuGreenCtxCreate(current, context->id, primary->id, (uintptr_t)description, dev, flags);
	if (result) {
		object_release(context);
		goto release_primary;
	}
	context->context = primary->id;
	context_begin(context, dev, (unsigned int)primary->words[CONTEXT_FLAGS]);
	context->words[CONTEXT_ACTIVE] = context->words[CONTEXT_LIFE];
	context->words[CONTEXT_REFERENCES] = 1;
	*ctx = context_green_handle(context);
	return CUDA_SUCCESS;
release_primary:
	(void)cuDevicePrimaryCtxRelease_v2(dev);
	return result;
}

/* As call_begin(), of a call about a green context. */
static CUresult green_call_begin(CUgreenCtx ctx, uint32_t *ret_current, struct object **ret_context)
{
	CUresult result = call_begin(CALL_NEEDS_INIT, ret_current);

	if (result)
		return result;
	*ret_context = context_find_green(ctx);
	return *ret_context ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

API(cuGreenCtxDestroy, CUgreenCtx ctx)
{
	struct object *context;
	CUresult released;
	CUdevice device;
	uint32_t current;
	CUresult result = green_call_begin(ctx, &current, &context);

	if (result)
		return result;
	device = (CUdevice)context->words[CONTEXT_DEVICE];
	context_end(context);
	result = host_cuGreenCtxDestroy(0, context->id);
	object_release(context);
	released = cuDevicePrimaryCtxRelease_v2(device);
	return result ? result : released;
}

/* What a thread that has it current must see. */
API(cuCtxFromGreenCtx, CUcontext *pctx, CUgreenCtx ctx)
{
	struct object *context;
	uint32_t current;
	CUresult result = call_begin(CALL_NEEDS_INIT, &current);

	if (result)
		return result;
	if (!pctx)
		return CUDA_ERROR_INVALID_VALUE;
	context = context_find_green(ctx);
	if (!context)
		return CUDA_ERROR_INVALID_CONTEXT;
	*pctx = (CUcontext)context;
	return CUDA_SUCCESS;
}

API(cuGreenCtxGetId, CUgreenCtx ctx, unsigned long long *id)
{
	struct object *context;
	uint32_t current;
	CUresult result = green_call_begin(ctx, &current, &context);

	if (result)
		return result;
	if (!id)
		return CUDA_ERROR_INVALID_VALUE;
	*id = context->words[CONTEXT_LIFE];
	return CUDA_SUCCESS;
}

API(cuGreenCtxStreamCreate, CUstream *stream, CUgreenCtx ctx, unsigned int flags, int priority)
{
	struct object *context;
	struct object *object;
	uint32_t current;
	CUresult result = green_call_begin(ctx, &current, &context);

	if (result)
		return result;
	if (!stream || flags != CU_STREAM_NON_BLOCKING)
		return CUDA_ERROR_INVALID_VALUE;
	object = object_mint(VGPU_KIND_STREAM, context->id);
	if (!object)
		return CUDA_ERROR_OUT_OF_MEMORY;
	result = host_cuGreenCtxStreamCreate(current, object->id, context->id, flags, priority);
	if (result)
		object_release(object);
	else
		*stream = (CUstream)object;
	return result;
}

typedef CUresult event_call(uint32_t current, uint32_t context, uint32_t event);

static CUresult event_pass(CUgreenCtx ctx, CUevent event, event_call *call)
{
	struct object *context;
	uint32_t current, id;
	CUresult result = green_call_begin(ctx, &current, &context);

	if (result)
		return result;
	result = event_id_escaping(event, &id);
	return result ? result : call(current, context->id, id);
}

API(cuGreenCtxRecordEvent, CUgreenCtx ctx, CUevent event)
{
	return event_pass(ctx, event, host_cuGreenCtxRecordEvent);
}

API(cuGreenCtxWaitEvent, CUgreenCtx ctx, CUevent event)
{
	return event_pass(ctx, event, host_cuGreenCtxWaitEvent);
}
