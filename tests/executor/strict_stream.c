/* SPDX-License-Identifier: Apache-2.0 */
/* Streams and events. */
#include "strict_driver.h"

EXPORT(cuStreamCreate, CUstream *stream, unsigned int flags)
{
	CUresult result = strict_context_check();

	if (result)
		return result;
	return flags > 1 ? CUDA_ERROR_INVALID_VALUE : strict_make(STREAM, NULL, stream);
}

EXPORT(cuStreamDestroy_v2, CUstream stream)
{
	/* The default stream, which real drivers refuse. */
	if (!stream)
		return CUDA_ERROR_INVALID_HANDLE;
	strict_live(stream, STREAM)->kind = FREE;
	return CUDA_SUCCESS;
}

EXPORT(cuStreamQuery, CUstream stream)
{
	struct object *object = strict_stream_of(stream);
	CUresult result = strict_context_check();

	if (result)
		return result;
	return object->busy_until_ns > strict_now_ns() ? CUDA_ERROR_NOT_READY : CUDA_SUCCESS;
}

EXPORT(cuStreamSynchronize, CUstream stream)
{
	struct object *object = strict_stream_of(stream);
	CUresult result = strict_context_check();

	if (!result)
		strict_wait_until(object->busy_until_ns);
	return result;
}

uint64_t strict_capture_of(CUstream stream)
{
	return stream ? strict_graphs_capture(stream, strict_stream_of(stream)->capture) : 0;
}

EXPORT(cuStreamWaitEvent, CUstream stream, CUevent event, unsigned int flags)
{
	struct object *object = strict_stream_of(stream);

	/* It joins the capture that the event was recorded in. */
	if (strict_live(event, EVENT)->capture)
		object->capture = strict_live(event, EVENT)->capture;
	else if (object->busy_until_ns < strict_live(event, EVENT)->busy_until_ns)
		object->busy_until_ns = strict_live(event, EVENT)->busy_until_ns;
	return flags > 1 ? CUDA_ERROR_INVALID_VALUE : strict_context_check();
}

EXPORT(cuEventCreate, CUevent *event, unsigned int flags)
{
	CUresult result = strict_context_check();

	if (result)
		return result;
	return flags > 7 ? CUDA_ERROR_INVALID_VALUE : strict_make(EVENT, NULL, event);
}

EXPORT(cuEventRecord, CUevent event, CUstream stream)
{
	struct object *marked = strict_stream_of(stream);

	/* "must be from the same CUDA context" (API reference) */
	if (stream && strict_live(event, EVENT)->context != marked->context)
		return CUDA_ERROR_INVALID_HANDLE;
	strict_live(event, EVENT)->busy_until_ns = marked->busy_until_ns;
	strict_live(event, EVENT)->capture = strict_capture_of(stream);
	return strict_context_check();
}

EXPORT(cuEventQuery, CUevent event)
{
	struct object *object = strict_live(event, EVENT);
	CUresult result = object->context ? object->context->error : CUDA_SUCCESS;

	if (result)
		return result;
	return object->busy_until_ns > strict_now_ns() ? CUDA_ERROR_NOT_READY : CUDA_SUCCESS;
}

EXPORT(cuEventSynchronize, CUevent event)
{
	struct object *object = strict_live(event, EVENT);

	strict_wait_until(object->busy_until_ns);
	return object->context ? object->context->error : CUDA_SUCCESS;
}

EXPORT(cuEventDestroy_v2, CUevent event)
{
	strict_live(event, EVENT)->kind = FREE;
	return CUDA_SUCCESS;
}

EXPORT(cuEventElapsedTime, float *milliseconds, CUevent start, CUevent end)
{
	*milliseconds =
		(float)(strict_live(end, EVENT)->busy_until_ns - strict_live(start, EVENT)->busy_until_ns) / 1e6f;
	return CUDA_SUCCESS;
}
