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
#include "graph.h"

/* In a stream's cache: a capture of it was begun, which makes a graph; else the id of the graph that it goes into. */
#define CAPTURE_ORIGIN (1ull << 32)

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

CUresult capture_find(struct executor *executor, CUstream stream, uint64_t *ret_capture)
{
	CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
	cuuint64_t id = 0;
	CUresult result;

	*ret_capture = 0;
	if (!executor->captures_open)
		return CUDA_SUCCESS;
	if (!executor->driver.cuStreamGetCaptureInfo)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = executor->driver.cuStreamGetCaptureInfo(stream, &status, &id);
	if (!result && status == CU_STREAM_CAPTURE_STATUS_INVALIDATED)
		result = CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	if (!result && status == CU_STREAM_CAPTURE_STATUS_ACTIVE)
		*ret_capture = id;
	return result;
}

/* Before a capture: waits that others have begun are marked while the stream still takes marks. */
static CUresult begin_prepare(struct executor *executor, const struct request *request)
{
	const struct driver *driver = &executor->driver;

	if (!driver->cuStreamEndCapture || !driver->cuStreamIsCapturing)
		return CUDA_ERROR_NOT_SUPPORTED;
	pending_settle(executor);
	gate_settle(executor);
	return request->context && !context_enter(executor, request->context) ? CUDA_ERROR_INVALID_CONTEXT
									      : CUDA_SUCCESS;
}

CUresult execute_cuStreamBeginCapture_v2(struct executor *executor, const struct request *request,
					 const struct wire_cuStreamBeginCapture_v2 *arguments)
{
	struct handle *handle;
	CUstream stream;
	CUresult result = execute_find_stream(executor, arguments->hStream, &stream);

	if (!result)
		result = begin_prepare(executor, request);
	if (result)
		return result;
	if (!executor->driver.cuStreamBeginCapture_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = executor->driver.cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED);
	if (result)
		return result;
	executor->captures_open++;
	handle = handles_find(&executor->handles, VGPU_KIND_STREAM, arguments->hStream);
	if (handle)
		handle->cache = CAPTURE_ORIGIN;
	return CUDA_SUCCESS;
}

/*
 * A capture into a graph that there is. The stream's cache is the graph's id until the capture ends, the
 * graph's is the stream's: so long the graph is not destroyed, nor any of its nodes.
 */
CUresult execute_cuStreamBeginCaptureToGraph(struct executor *executor, const struct request *request,
					     const struct wire_cuStreamBeginCaptureToGraph *arguments, const void *tail)
{
	struct handle *graph = handles_find(&executor->handles, VGPU_KIND_GRAPH, arguments->hGraph);
	struct handle *stream = handles_find(&executor->handles, VGPU_KIND_STREAM, arguments->hStream);
	struct graph_edges edges;
	CUstream found;
	CUresult result = execute_find_stream(executor, arguments->hStream, &found);

	if (!result && !stream)
		result = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED; /* the default stream */
	if (!result && !graph)
		result = CUDA_ERROR_INVALID_HANDLE;
	if (!result && graph->owner)
		result = CUDA_ERROR_NOT_SUPPORTED; /* it would end with the node that it is embedded in */
	if (!result && (graph->cache || stream->cache))
		result = CUDA_ERROR_ILLEGAL_STATE;
	if (!result)
		result = begin_prepare(executor, request);
	if (result)
		return result;
	if (!executor->driver.cuStreamBeginCaptureToGraph)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = graph_edges_read(executor, arguments->hGraph, tail, arguments->edges_bytes, &edges);
	if (!result)
		result = executor->driver.cuStreamBeginCaptureToGraph(found, graph->object, edges.from, edges.data,
								      edges.count, CU_STREAM_CAPTURE_MODE_RELAXED);
	graph_edges_end(&edges);
	if (result)
		return result;
	executor->captures_open++;
	graph->cache = arguments->hStream;
	stream->cache = arguments->hGraph;
	return CUDA_SUCCESS;
}

/* The graph that the capture of a stream went into is free again. */
static void target_release(struct executor *executor, uint32_t stream_id)
{
	struct handle *stream = handles_find(&executor->handles, VGPU_KIND_STREAM, stream_id);
	struct handle *graph =
		stream ? handles_find(&executor->handles, VGPU_KIND_GRAPH, (uint32_t)stream->cache) : NULL;

	if (stream)
		stream->cache = 0;
	if (graph)
		graph->cache = 0;
}

/* 0: the capture of the stream makes a graph. */
static uint32_t target_find(const struct executor *executor, uint32_t stream_id)
{
	const struct handle *stream = handles_find(&executor->handles, VGPU_KIND_STREAM, stream_id);

	return stream ? (uint32_t)stream->cache : 0;
}

static bool is_origin(const struct executor *executor, uint32_t stream_id)
{
	const struct handle *stream = handles_find(&executor->handles, VGPU_KIND_STREAM, stream_id);

	return stream && stream->cache;
}

/* 'unknown': the answer where the driver gives none. */
static bool is_capturing(const struct executor *executor, CUstream stream, bool unknown)
{
	CUstreamCaptureStatus status;

	if (executor->driver.cuStreamIsCapturing(stream, &status))
		return unknown;
	return status != CU_STREAM_CAPTURE_STATUS_NONE;
}

/* The capture is over; what it allocated is of the graph, 0: of none. */
static void capture_settle(struct executor *executor, uint32_t stream_id, uint64_t capture, uint32_t graph)
{
	executor->captures_open--;
	target_release(executor, stream_id);
	if (capture)
		graph_memory_capture_end(executor, capture, graph);
	if (!executor->captures_open)
		graph_memory_captures_forget(executor);
}

/* A graph of its own gets the new id; one that the capture went into keeps what it has. */
CUresult execute_cuStreamEndCapture(struct executor *executor, const struct request *request,
				    const struct wire_cuStreamEndCapture *arguments)
{
	uint32_t target = target_find(executor, arguments->hStream);
	uint64_t capture = 0;
	CUgraph graph = NULL;
	CUstream stream;
	CUresult result = execute_find_stream(executor, arguments->hStream, &stream);

	if (!result && !target)
		result = execute_check_mint(executor, VGPU_KIND_GRAPH, arguments->phGraph);
	if (result)
		return result;
	if (!executor->captures_open || !is_capturing(executor, stream, false))
		return CUDA_ERROR_ILLEGAL_STATE;
	/* Of one that is invalid there is no number, and no graph will come. */
	(void)capture_find(executor, stream, &capture);
	result = executor->driver.cuStreamEndCapture(stream, &graph);
	/* Not what the error is, but whether the capture is over. */
	if (result && is_capturing(executor, stream, true))
		return result;
	if (!result && !target)
		execute_mint(executor, arguments->phGraph, request->context, graph);
	capture_settle(executor, arguments->hStream, capture, result ? 0 : target ? target : arguments->phGraph);
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

/* What it would have made is nobody's. */
static void capture_abandon(struct executor *executor, uint32_t stream_id, CUstream stream)
{
	uint32_t target = target_find(executor, stream_id);
	uint64_t capture = 0;
	CUgraph graph = NULL;
	CUresult result;

	(void)capture_find(executor, stream, &capture);
	result = executor->driver.cuStreamEndCapture(stream, &graph);
	if (result && is_capturing(executor, stream, true))
		return;
	capture_settle(executor, stream_id, capture, result ? 0 : target);
	if (!target && !result && graph)
		executor->driver.cuGraphDestroy(graph);
}

CUresult execute_cuStreamDestroy_v2(struct executor *executor, const struct request *request,
				    const struct wire_cuStreamDestroy_v2 *arguments)
{
	CUstream stream;
	CUresult result = execute_find_stream(executor, arguments->hStream, &stream);

	(void)request;
	if (result)
		return result;
	/* A stream that is gone, or captured, takes no marks any more: its work would end uncounted. */
	gate_settle(executor);
	/* One that a capture only reached may end before it. */
	if (is_origin(executor, arguments->hStream) && is_capturing(executor, stream, false))
		capture_abandon(executor, arguments->hStream, stream);
	result = executor->driver.cuStreamDestroy_v2(stream);
	if (!result)
		execute_forget(executor, arguments->hStream);
	return result;
}

CUresult execute_cuStreamWaitEvent(struct executor *executor, const struct request *request,
				   const struct wire_cuStreamWaitEvent *arguments)
{
	CUstream stream;
	void *event;
	CUresult result = execute_find_stream(executor, arguments->hStream, &stream);

	(void)request;
	if (!result)
		result = execute_find(executor, VGPU_KIND_EVENT, arguments->hEvent, &event);
	if (result)
		return result;
	/* It may make the stream a part of a capture. */
	if (executor->captures_open)
		gate_settle(executor);
	return executor->driver.cuStreamWaitEvent(stream, event, arguments->Flags);
}
