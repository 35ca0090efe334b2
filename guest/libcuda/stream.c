/* SPDX-License-Identifier: Apache-2.0 */
/* Which stream a handle means, and questions about streams that the host is not needed for. */
#include "context.h"
#include "session.h"

CUresult stream_id(CUstream stream, bool per_thread_default, uint32_t *ret_id)
{
	if (stream == CU_STREAM_PER_THREAD || (!stream && per_thread_default))
		return context_thread_stream(ret_id);
	if (!stream || stream == CU_STREAM_LEGACY) {
		*ret_id = 0;
		return CUDA_SUCCESS;
	}
	return object_id(stream, VGPU_KIND_STREAM, ret_id);
}

/* The context that a stream belongs to; a default stream belongs to the current one. */
static CUresult stream_context(CUstream stream, struct object **ret_context)
{
	uint32_t unused;
	struct object *object;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &unused);

	if (result)
		return result;
	if (!stream || stream == CU_STREAM_LEGACY || stream == CU_STREAM_PER_THREAD) {
		*ret_context = thread_state.current;
		return CUDA_SUCCESS;
	}
	object = object_find(stream, VGPU_KIND_STREAM);
	*ret_context = object ? context_by_id(object->context) : NULL;
	return *ret_context ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

API(cuStreamGetCtx, CUstream stream, CUcontext *pctx)
{
	struct object *context;
	CUresult result = stream_context(stream, &context);

	if (result)
		return result;
	if (!pctx)
		return CUDA_ERROR_INVALID_VALUE;
	*pctx = (CUcontext)context;
	return CUDA_SUCCESS;
}

API(cuStreamGetCtx_ptsz, CUstream stream, CUcontext *pctx)
{
	return cuStreamGetCtx(stream, pctx);
}

API(cuStreamGetCtx_v2, CUstream stream, CUcontext *pctx, CUgreenCtx *green)
{
	struct object *context;
	CUresult result = stream_context(stream, &context);

	if (result)
		return result;
	if (!pctx || !green)
		return CUDA_ERROR_INVALID_VALUE;
	*green = context_green_handle(context);
	*pctx = (CUcontext)(*green ? context_primary((CUdevice)context->words[CONTEXT_DEVICE]) : context);
	return CUDA_SUCCESS;
}

API(cuStreamGetCtx_v2_ptsz, CUstream stream, CUcontext *pctx, CUgreenCtx *green)
{
	return cuStreamGetCtx_v2(stream, pctx, green);
}

API(cuStreamGetGreenCtx, CUstream stream, CUgreenCtx *green)
{
	struct object *context;
	CUresult result = stream_context(stream, &context);

	if (result)
		return result;
	if (!green)
		return CUDA_ERROR_INVALID_VALUE;
	*green = context_green_handle(context);
	return CUDA_SUCCESS;
}

API(cuStreamGetDevice, CUstream stream, CUdevice *device)
{
	struct object *context;
	CUresult result = stream_context(stream, &context);

	if (result)
		return result;
	if (!device)
		return CUDA_ERROR_INVALID_VALUE;
	*device = (CUdevice)context->words[CONTEXT_DEVICE];
	return CUDA_SUCCESS;
}

API(cuStreamGetDevice_ptsz, CUstream stream, CUdevice *device)
{
	return cuStreamGetDevice(stream, device);
}
