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

#include <stdlib.h>
#include <string.h>

#include "context_work.h"
#include "executor.h"
#include "executor_calls.h"
#include "graph.h"

/* Of one guest: each has a stream of its own. */
#define CAPTURES_FIRST 16

struct capture *capture_by_number(const struct executor *executor, uint64_t number)
{
	for (size_t i = 0; i < executor->captures.count; i++)
		if (executor->captures.list[i].number == number)
			return &executor->captures.list[i];
	return NULL;
}

struct capture *capture_by_origin(const struct executor *executor, uint32_t stream_id)
{
	for (size_t i = 0; i < executor->captures.count; i++)
		if (executor->captures.list[i].origin == stream_id)
			return &executor->captures.list[i];
	return NULL;
}

CUresult capture_check(struct executor *executor, CUstream stream)
{
	CUstreamCaptureStatus status;
	CUresult result;

	if (!executor->captures.count)
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
	if (!executor->captures.count)
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

static bool captures_reserve(struct captures *captures)
{
	size_t capacity = captures->capacity ? 2 * captures->capacity : CAPTURES_FIRST;
	struct capture *list;

	if (captures->count < captures->capacity)
		return true;
	list = realloc(captures->list, capacity * sizeof(*list));
	if (!list)
		return false;
	captures->list = list;
	captures->capacity = capacity;
	return true;
}

/*
 * Before a capture: waits that others have begun are marked while the stream still takes marks, and what is in it and
 * is not counted, for nobody else was there, is left to a stream that does.
 */
static CUresult begin_prepare(struct executor *executor, const struct request *request, uint32_t stream_id)
{
	const struct driver *driver = &executor->driver;

	if (!driver->cuStreamEndCapture || !driver->cuStreamIsCapturing)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!captures_reserve(&executor->captures))
		return CUDA_ERROR_OUT_OF_MEMORY;
	pending_settle(executor);
	gate_settle(executor);
	context_stream_leave(executor, stream_id);
	return request->context && !context_enter(executor, request->context) ? CUDA_ERROR_INVALID_CONTEXT
									      : CUDA_SUCCESS;
}

/* 'graph' is the id of the one that it goes into, 0: it makes one. */
static void capture_add(struct executor *executor, uint32_t origin, CUstream stream, uint32_t graph)
{
	struct capture *capture = &executor->captures.list[executor->captures.count++];

	*capture = (struct capture){.origin = origin, .graph = graph, .makes_graph = !graph};
	/* Without a number nothing can be found out about it but by its stream. */
	(void)capture_find(executor, stream, &capture->number);
}

CUresult execute_cuStreamBeginCapture_v2(struct executor *executor, const struct request *request,
					 const struct wire_cuStreamBeginCapture_v2 *arguments)
{
	CUstream stream;
	CUresult result = execute_find_stream(executor, arguments->hStream, &stream);

	if (!result)
		result = begin_prepare(executor, request, arguments->hStream);
	if (result)
		return result;
	if (!executor->driver.cuStreamBeginCapture_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = executor->driver.cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED);
	if (!result)
		capture_add(executor, arguments->hStream, stream, 0);
	return result;
}

/*
 * A capture into a graph that there is. The graph's cache is the stream's id until the capture ends: so long the
 * graph is not destroyed, nor any of its nodes.
 */
CUresult execute_cuStreamBeginCaptureToGraph(struct executor *executor, const struct request *request,
					     const struct wire_cuStreamBeginCaptureToGraph *arguments, const void *tail)
{
	struct handle *graph = handles_find(&executor->handles, VGPU_KIND_GRAPH, arguments->hGraph);
	struct graph_edges edges;
	CUstream stream;
	CUresult result = execute_find_stream(executor, arguments->hStream, &stream);

	if (!result && !arguments->hStream)
		result = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED; /* the default stream */
	if (!result && !graph)
		result = CUDA_ERROR_INVALID_HANDLE;
	if (!result && (graph->cache || capture_by_origin(executor, arguments->hStream)))
		result = CUDA_ERROR_ILLEGAL_STATE;
	if (!result)
		result = begin_prepare(executor, request, arguments->hStream);
	if (result)
		return result;
	if (!executor->driver.cuStreamBeginCaptureToGraph)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = graph_edges_read(executor, arguments->hGraph, tail, arguments->edges_bytes, &edges);
	if (!result)
		result = executor->driver.cuStreamBeginCaptureToGraph(stream, graph->object, edges.from, edges.data,
								      edges.count, CU_STREAM_CAPTURE_MODE_RELAXED);
	graph_edges_end(&edges);
	if (result)
		return result;
	graph->cache = arguments->hStream;
	capture_add(executor, arguments->hStream, stream, arguments->hGraph);
	return CUDA_SUCCESS;
}

/* 'unknown': the answer where the driver gives none. */
static bool is_capturing(const struct executor *executor, CUstream stream, bool unknown)
{
	CUstreamCaptureStatus status;

	if (executor->driver.cuStreamIsCapturing(stream, &status))
		return unknown;
	return status != CU_STREAM_CAPTURE_STATUS_NONE;
}

/* The graph of a capture that has ended is as any other; one that it did not come to make is gone. */
static void graph_settle(struct executor *executor, const struct capture *capture, CUresult result)
{
	struct handle *graph = handles_find(&executor->handles, VGPU_KIND_GRAPH, capture->graph);

	if (!graph)
		return;
	graph->cache = 0;
	if (result && capture->makes_graph)
		execute_forget(executor, capture->graph);
}

void captures_forget_streams(struct executor *executor)
{
	struct captures *captures = &executor->captures;

	for (size_t i = captures->count; i-- > 0;) {
		struct capture capture = captures->list[i];

		if (handles_find(&executor->handles, VGPU_KIND_STREAM, capture.origin))
			continue;
		captures->list[i] = captures->list[--captures->count];
		graph_settle(executor, &capture, CUDA_ERROR_CONTEXT_IS_DESTROYED);
		if (capture.number) {
			graph_memory_capture_end(executor, capture.number, 0);
			graph_hold_capture_end(executor, capture.number, 0);
		}
	}
}

/*
 * Ends a capture of the stream for the driver, and what is kept of it here; 'wanted' is the id of the graph that it
 * makes, 0: nobody wants it. *ret_ended false: the capture goes on.
 */
static CUresult capture_finish(struct executor *executor, const struct request *request, uint32_t stream_id,
			       CUstream stream, uint32_t wanted, bool *ret_ended)
{
	const struct driver *driver = &executor->driver;
	struct capture *found = capture_by_origin(executor, stream_id);
	struct capture capture = found ? *found : (struct capture){.makes_graph = true};
	bool has_id = capture.graph != 0;
	CUgraph graph = NULL;
	CUresult result = driver->cuStreamEndCapture(stream, &graph);

	/* Not what the error is, but whether the capture is over. */
	*ret_ended = !result || !is_capturing(executor, stream, true);
	if (!*ret_ended)
		return result;
	if (found)
		*found = executor->captures.list[--executor->captures.count];
	graph_settle(executor, &capture, result);
	if (!result && !has_id) {
		if (wanted)
			execute_mint(executor, wanted, request->context, graph);
		else if (driver->cuGraphDestroy)
			driver->cuGraphDestroy(graph);
		capture.graph = wanted;
	}
	if (capture.number) {
		graph_memory_capture_end(executor, capture.number, result ? 0 : capture.graph);
		graph_hold_capture_end(executor, capture.number, result ? 0 : capture.graph);
	}
	if (!executor->captures.count)
		graph_memory_captures_forget(executor);
	return result;
}

/* A graph that has an id keeps it, another one gets the new one. */
CUresult execute_cuStreamEndCapture(struct executor *executor, const struct request *request,
				    const struct wire_cuStreamEndCapture *arguments)
{
	const struct capture *capture = capture_by_origin(executor, arguments->hStream);
	bool is_over;
	CUstream stream;
	CUresult result = execute_find_stream(executor, arguments->hStream, &stream);

	if (!result && !(capture && capture->graph))
		result = execute_check_mint(executor, VGPU_KIND_GRAPH, arguments->phGraph);
	if (result)
		return result;
	if (!executor->captures.count || !is_capturing(executor, stream, false))
		return CUDA_ERROR_ILLEGAL_STATE;
	return capture_finish(executor, request, arguments->hStream, stream, arguments->phGraph, &is_over);
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

/* A graph of its own that the capture of a stream makes, and that has an id, is nobody's with the stream. */
static void capture_abandon(struct executor *executor, const struct request *request, uint32_t stream_id,
			    CUstream stream)
{
	struct capture capture = *capture_by_origin(executor, stream_id);
	const struct handle *graph;
	bool is_over;
	CUresult result = capture_finish(executor, request, stream_id, stream, 0, &is_over);

	if (result || !capture.graph || !capture.makes_graph)
		return;
	graph = handles_find(&executor->handles, VGPU_KIND_GRAPH, capture.graph);
	if (graph && executor->driver.cuGraphDestroy && !executor->driver.cuGraphDestroy(graph->object))
		execute_forget(executor, capture.graph);
}

CUresult execute_cuStreamDestroy_v2(struct executor *executor, const struct request *request,
				    const struct wire_cuStreamDestroy_v2 *arguments)
{
	CUstream stream;
	CUresult result = execute_find_stream(executor, arguments->hStream, &stream);

	if (result)
		return result;
	/* A stream that is gone, or captured, takes no marks any more: its work would end uncounted. */
	gate_settle(executor);
	/* One that a capture only reached may end before it. */
	if (capture_by_origin(executor, arguments->hStream) && is_capturing(executor, stream, false))
		capture_abandon(executor, request, arguments->hStream, stream);
	context_stream_leave(executor, arguments->hStream);
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
	if (arguments->Flags & CU_EVENT_WAIT_EXTERNAL) {
		result = graph_hold_captured(executor, stream, arguments->hEvent);
		if (result)
			return result;
	}
	/* It may make the stream a part of a capture. */
	if (executor->captures.count) {
		gate_settle(executor);
		context_stream_leave(executor, arguments->hStream);
	}
	return executor->driver.cuStreamWaitEvent(stream, event, arguments->Flags);
}
