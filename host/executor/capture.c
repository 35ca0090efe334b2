/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stream capture.
 *
 * Every capture is relaxed for the driver, whatever the program asked for: the
 * executor's one thread serves all threads of the guest, so that the driver could
 * not tell whose call a stricter mode is to refuse, and its own queries of events
 * would end the capture.
 */
#include "capture.h"

#include "executor.h"
#include "executor_calls.h"

CUresult capture_check(struct executor *executor, CUstream stream)
{
	CUstreamCaptureStatus status;
	CUresult result;

	if (!executor->captures_open)
		return CUDA_SUCCESS;
	result = executor->driver.cuStreamIsCapturing(stream, &status);
	if (result)
		return result;
	return status == CU_STREAM_CAPTURE_STATUS_NONE ? CUDA_SUCCESS : CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
}

CUresult execute_cuStreamBeginCapture_v2(struct executor *executor, const struct request *request,
					 const struct wire_cuStreamBeginCapture_v2 *arguments)
{
	const struct driver *driver = &executor->driver;
	CUstream stream;
	CUresult result = execute_find_stream(executor, arguments->hStream, &stream);

	(void)request;
	if (result)
		return result;
	if (!driver->cuStreamBeginCapture_v2 || !driver->cuStreamEndCapture || !driver->cuStreamIsCapturing)
		return CUDA_ERROR_NOT_SUPPORTED;
	/* Waits that others have begun are marked while the stream still takes marks. */
	pending_settle(executor);
	if (request->context && !context_enter(executor, request->context))
		return CUDA_ERROR_INVALID_CONTEXT;
	result = driver->cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED);
	if (!result)
		executor->captures_open++;
	return result;
}

CUresult execute_cuStreamEndCapture(struct executor *executor, const struct request *request,
				    const struct wire_cuStreamEndCapture *arguments)
{
	CUgraph graph = NULL;
	CUstream stream;
	CUresult result = execute_find_stream(executor, arguments->hStream, &stream);

	if (!result)
		result = execute_check_mint(executor, VGPU_KIND_GRAPH, arguments->phGraph);
	if (result)
		return result;
	if (!executor->captures_open)
		return CUDA_ERROR_ILLEGAL_STATE;
	result = executor->driver.cuStreamEndCapture(stream, &graph);
	if (result != CUDA_ERROR_ILLEGAL_STATE && result != CUDA_ERROR_STREAM_CAPTURE_UNMATCHED)
		executor->captures_open--;
	if (!result)
		execute_mint(executor, arguments->phGraph, request->context, graph);
	return result;
}

CUresult execute_cuStreamGetCaptureInfo(struct executor *executor, const struct request *request,
					const struct wire_cuStreamGetCaptureInfo *arguments,
					struct wire_cuStreamGetCaptureInfo_reply *reply)
{
	CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
	cuuint64_t id = 0;
	CUstream stream;
	CUresult result = execute_find_stream(executor, arguments->hStream, &stream);

	(void)request;
	if (result)
		return result;
	if (!executor->driver.cuStreamGetCaptureInfo)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = executor->driver.cuStreamGetCaptureInfo(stream, &status, &id);
	if (result)
		return result;
	reply->captureStatus_out = (uint32_t)status;
	reply->id_out = id;
	return CUDA_SUCCESS;
}
