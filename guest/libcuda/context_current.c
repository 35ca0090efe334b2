/* SPDX-License-Identifier: Apache-2.0 */
/* The calling thread's current context, and questions about it. */
#include "context.h"
#include "device.h"
#include "host_calls.h"
#include "mirror.h"
#include "rest.h"
#include "session.h"

API(cuCtxPushCurrent_v2, CUcontext ctx)
{
	struct object *context;

	if (!session_ready())
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!ctx)
		return CUDA_ERROR_INVALID_VALUE;
	context = context_find(ctx);
	return context ? context_stack_push(context) : CUDA_ERROR_INVALID_CONTEXT;
}

API(cuCtxPushCurrent, CUcontext ctx)
{
	return cuCtxPushCurrent_v2(ctx);
}

API(cuCtxPopCurrent_v2, CUcontext *pctx)
{
	struct object *former;

	if (!session_ready())
		return CUDA_ERROR_NOT_INITIALIZED;
	former = context_stack_pop();
	if (!former)
		return CUDA_ERROR_INVALID_CONTEXT;
	if (pctx)
		*pctx = (CUcontext)former;
	return CUDA_SUCCESS;
}

API(cuCtxPopCurrent, CUcontext *pctx)
{
	return cuCtxPopCurrent_v2(pctx);
}

API(cuCtxSetCurrent, CUcontext ctx)
{
	struct object *context = NULL;

	if (!session_ready())
		return CUDA_ERROR_NOT_INITIALIZED;
	if (ctx) {
		context = context_find(ctx);
		if (!context)
			return CUDA_ERROR_INVALID_CONTEXT;
	}
	return context_stack_set(context);
}

API(cuCtxGetCurrent, CUcontext *pctx)
{
	if (!session_ready())
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!pctx)
		return CUDA_ERROR_INVALID_VALUE;
	*pctx = (CUcontext)thread_state.current;
	return CUDA_SUCCESS;
}

/* A question about a context; NULL is the current one. */
static CUresult question_begin(CUcontext ctx, const void *answer, struct object **ret_context)
{
	if (!session_ready())
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!answer)
		return CUDA_ERROR_INVALID_VALUE;
	return context_of(ctx, ret_context);
}

API(cuCtxGetDevice_v2, CUdevice *device, CUcontext ctx)
{
	struct object *context;
	CUresult result = question_begin(ctx, device, &context);

	if (!result)
		*device = (CUdevice)context->words[CONTEXT_DEVICE];
	return result;
}

API(cuCtxGetDevice, CUdevice *device)
{
	return cuCtxGetDevice_v2(device, NULL);
}

/* Nothing limits the multiprocessors of a context: it has all, which the driver says too (measured, 580.159.04). */
API(cuCtxGetExecAffinity, CUexecAffinityParam *affinity, CUexecAffinityType type)
{
	CUdevice device;
	int processors;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	if (!affinity || type != CU_EXEC_AFFINITY_TYPE_SM_COUNT)
		return CUDA_ERROR_INVALID_VALUE;
	result = cuCtxGetDevice(&device);
	if (!result)
		result = device_attribute(device, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, &processors);
	if (result)
		return result;
	*affinity = (CUexecAffinityParam){.type = type, .param.smCount.val = (unsigned int)processors};
	return CUDA_SUCCESS;
}

API(cuCtxGetId, CUcontext ctx, unsigned long long *id)
{
	struct object *context;
	CUresult result = question_begin(ctx, id, &context);

	if (!result)
		*id = context->words[CONTEXT_LIFE];
	return result;
}

API(cuCtxGetFlags, unsigned int *flags)
{
	struct object *context;
	CUresult result = question_begin(NULL, flags, &context);

	if (!result)
		*flags = (unsigned int)context->words[CONTEXT_FLAGS];
	return result;
}

API(cuCtxSetFlags, unsigned int flags)
{
	struct object *context;
	uint32_t id;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &id);

	if (result)
		return result;
	context = context_current();
	result = host_cuCtxSetFlags(id, flags);
	if (!result)
		context->words[CONTEXT_FLAGS] = flags;
	return result;
}

API(cuCtxGetApiVersion, CUcontext ctx, unsigned int *version)
{
	struct object *context;
	uint32_t value;
	CUresult result = question_begin(ctx, version, &context);

	if (result)
		return result;
	if (!context->words[CONTEXT_VERSION]) {
		result = host_cuCtxGetApiVersion(0, context->id, &value);
		if (result)
			return result;
		context->words[CONTEXT_VERSION] = value;
	}
	*version = (unsigned int)context->words[CONTEXT_VERSION];
	return CUDA_SUCCESS;
}

static CUresult context_synchronize(uint32_t id)
{
	uint64_t begun = rest_begin();
	uint64_t works = mirrors_exist() ? mirror_works() : 0;
	CUresult result = host_cuCtxSynchronize(id);

	if (result)
		return result;
	rest_note(id, begun);
	if (mirrors_exist())
		mirror_synchronized(id, 0, true, works);
	return CUDA_SUCCESS;
}

API(cuCtxSynchronize, void)
{
	uint32_t id;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &id);

	return result ? result : context_synchronize(id);
}

API(cuCtxSynchronize_v2, CUcontext ctx)
{
	struct object *context;
	uint32_t id;
	CUresult result;

	if (!ctx)
		return cuCtxSynchronize();
	result = call_begin(CALL_NEEDS_INIT, &id);
	if (result)
		return result;
	context = context_find(ctx);
	if (!context)
		return CUDA_ERROR_INVALID_CONTEXT;
	return context->words[CONTEXT_ACTIVE] ? context_synchronize(context->id) : CUDA_ERROR_CONTEXT_IS_DESTROYED;
}
