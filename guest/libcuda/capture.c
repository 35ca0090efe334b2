/* SPDX-License-Identifier: Apache-2.0 */
#include "capture.h"

#include <stdlib.h>

#include "context.h"
#include "graph_node.h"
#include "host_calls.h"
#include "lock.h"
#include "session.h"

uint32_t captures_open;

/* Streams that captures began in, to notice that one was destroyed; of more than that it is not noticed. */
#define ORIGINS_MAX 64
static struct lock origins_lock;
static uint32_t origins[ORIGINS_MAX]; /* wire ids, 0: a free place */

static bool origin_replace(uint32_t from, uint32_t to)
{
	bool found = false;

	lock_take(&origins_lock);
	for (size_t i = 0; i < ORIGINS_MAX && !found; i++) {
		found = origins[i] == from;
		if (found)
			origins[i] = to;
	}
	lock_release(&origins_lock);
	return found;
}

/* Before the host captures: no thread may think that nothing is captured while something is. */
static void capture_open(uint32_t stream)
{
	__atomic_add_fetch(&captures_open, 1, __ATOMIC_ACQ_REL);
	(void)origin_replace(0, stream);
}

static void capture_close(uint32_t stream)
{
	(void)origin_replace(stream, 0);
	__atomic_sub_fetch(&captures_open, 1, __ATOMIC_ACQ_REL);
}

/* A capture ends with its stream. */
static void captures_sweep(void)
{
	lock_take(&origins_lock);
	for (size_t i = 0; i < ORIGINS_MAX; i++) {
		if (!origins[i] || object_by_id(origins[i]))
			continue;
		origins[i] = 0;
		__atomic_sub_fetch(&captures_open, 1, __ATOMIC_ACQ_REL);
	}
	lock_release(&origins_lock);
}

CUresult capture_refuse_open(uint32_t context, uint32_t stream)
{
	uint32_t status;
	uint64_t id;
	CUresult result;

	captures_sweep();
	result = host_cuStreamGetCaptureInfo(context, stream, &status, &id);

	/*
	 * To ask is not to use the default stream beside a capture that excludes that (API reference,
	 * cuStreamIsCapturing), but the caller is about to, which ends the capture.
	 */
	if (result == CUDA_ERROR_STREAM_CAPTURE_IMPLICIT)
		(void)host_cuStreamQuery(context, stream);
	if (result)
		return result;
	return status == CU_STREAM_CAPTURE_STATUS_NONE ? CUDA_SUCCESS : CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
}

CUresult capture_settle_open(uint32_t context, uint32_t stream)
{
	uint32_t status;
	uint64_t id;

	captures_sweep();
	/* Its own result is nobody's: it only comes after what was posted before. */
	(void)host_cuStreamGetCaptureInfo(context, stream, &status, &id);
	return call_begin(CALL_NEEDS_CONTEXT, &context);
}

static CUresult capture_call_begin(CUstream stream, bool per_thread_default, uint32_t *ret_context,
				   uint32_t *ret_stream)
{
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, ret_context);

	return result ? result : stream_id(stream, per_thread_default, ret_stream);
}

static CUresult capture_begin(CUstream stream, CUstreamCaptureMode mode, bool per_thread_default)
{
	uint32_t context, id;
	CUresult result = capture_call_begin(stream, per_thread_default, &context, &id);

	if (result)
		return result;
	if (mode > CU_STREAM_CAPTURE_MODE_RELAXED)
		return CUDA_ERROR_INVALID_VALUE;
	capture_open(id);
	result = host_cuStreamBeginCapture_v2(context, id, (uint32_t)mode);
	if (result)
		capture_close(id);
	return result;
}

API(cuStreamBeginCapture_v2, CUstream stream, CUstreamCaptureMode mode)
{
	return capture_begin(stream, mode, false);
}

API(cuStreamBeginCapture_v2_ptsz, CUstream stream, CUstreamCaptureMode mode)
{
	return capture_begin(stream, mode, true);
}

API(cuStreamBeginCapture, CUstream stream)
{
	return capture_begin(stream, CU_STREAM_CAPTURE_MODE_GLOBAL, false);
}

API(cuStreamBeginCapture_ptsz, CUstream stream)
{
	return capture_begin(stream, CU_STREAM_CAPTURE_MODE_GLOBAL, true);
}

static CUresult capture_begin_to(uint32_t context, uint32_t stream, struct object *object, const CUgraphNode *from,
				 const CUgraphEdgeData *data, size_t count)
{
	struct graph *graph = graph_of(object);
	struct vgpu_graph_edge *wire = malloc((count ? count : 1) * sizeof(*wire));
	CUresult result = CUDA_ERROR_OUT_OF_MEMORY;

	if (graph && wire)
		result = graph_edges_write(object, from, data, count, 0, wire);
	if (!result)
		result = host_cuStreamBeginCaptureToGraph(context, stream, object->id, wire,
							  (uint32_t)(count * sizeof(*wire)));
	if (!result) {
		graph->is_captured_to = true;
		graph->is_known = false;
	}
	free(wire);
	return result;
}

static CUresult capture_to_graph(CUstream stream, CUgraph graph, const CUgraphNode *from, const CUgraphEdgeData *data,
				 size_t count, CUstreamCaptureMode mode, bool per_thread_default)
{
	struct object *object;
	uint32_t context, id;
	CUresult result = capture_call_begin(stream, per_thread_default, &context, &id);

	if (result)
		return result;
	if (mode > CU_STREAM_CAPTURE_MODE_RELAXED || (count && !from))
		return CUDA_ERROR_INVALID_VALUE;
	if (!id)
		return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
	object = object_find(graph, VGPU_KIND_GRAPH);
	if (!object)
		return CUDA_ERROR_INVALID_VALUE;
	if (count > VGPU_GRAPH_EDGES_MAX)
		return CUDA_ERROR_NOT_SUPPORTED;
	capture_open(id);
	graphs_lock();
	result = capture_begin_to(context, id, object, from, data, count);
	graphs_unlock();
	if (result)
		capture_close(id);
	return result;
}

API(cuStreamBeginCaptureToGraph, CUstream stream, CUgraph graph, const CUgraphNode *dependencies,
    const CUgraphEdgeData *data, size_t count, CUstreamCaptureMode mode)
{
	return capture_to_graph(stream, graph, dependencies, data, count, mode, false);
}

API(cuStreamBeginCaptureToGraph_ptsz, CUstream stream, CUgraph graph, const CUgraphNode *dependencies,
    const CUgraphEdgeData *data, size_t count, CUstreamCaptureMode mode)
{
	return capture_to_graph(stream, graph, dependencies, data, count, mode, true);
}

/* The capture of a stream, and the object of the graph that it goes into; NULL: that has none yet. */
static CUresult capture_find(uint32_t context, uint32_t stream, CUstreamCaptureStatus *ret_status,
			     struct object **ret_graph)
{
	uint32_t status = CU_STREAM_CAPTURE_STATUS_NONE, graph = 0, missing, bytes, none = 0;
	uint64_t number;
	CUresult result = host_cuStreamGetCaptureInfo_v3(context, stream, 0, &none, 0, &status, &number, &graph,
							 &missing, &none, 0, &bytes);

	/* No graph has an object then. */
	if (result == CUDA_ERROR_NOT_SUPPORTED)
		result = host_cuStreamGetCaptureInfo(context, stream, &status, &number);
	*ret_status = (CUstreamCaptureStatus)status;
	*ret_graph = graph ? object_by_id(graph) : NULL;
	return result;
}

static bool is_capturing(uint32_t context, uint32_t stream)
{
	uint32_t status;
	uint64_t id;

	return !host_cuStreamGetCaptureInfo(context, stream, &status, &id) && status != CU_STREAM_CAPTURE_STATUS_NONE;
}

/* Under the lock: the capture is over; a graph that it was to make is gone if it has ended badly. */
static void graph_settle(struct object *object, CUresult result)
{
	struct graph *graph = object->detail;

	graph->is_captured_to = false;
	graph_answers_end(graph);
	if (!result || !graph->is_of_capture) {
		graph->is_of_capture = false;
		return;
	}
	graph_forget(object);
	object_release(object);
}

static CUresult capture_end(CUstream stream, CUgraph *graph, bool per_thread_default)
{
	CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
	struct object *object, *target = NULL;
	uint32_t context, id;
	CUresult result = capture_call_begin(stream, per_thread_default, &context, &id);

	if (result)
		return result;
	(void)capture_find(context, id, &status, &target);
	/* Only who has named the graph himself need not be told which it is. */
	if (!graph && (!target || ((const struct graph *)target->detail)->is_of_capture))
		return CUDA_ERROR_INVALID_VALUE;
	if (graph)
		*graph = NULL;
	object = target ? target : object_mint(VGPU_KIND_GRAPH, context);
	if (!object)
		return CUDA_ERROR_OUT_OF_MEMORY;
	result = host_cuStreamEndCapture(context, id, object->id);
	/* Whether the capture is over is not in the error. */
	if (!result || (status != CU_STREAM_CAPTURE_STATUS_NONE && !is_capturing(context, id))) {
		capture_close(id);
		if (target) {
			graphs_lock();
			graph_settle(target, result);
			graphs_unlock();
		}
	}
	if (!result && graph)
		*graph = (CUgraph)object;
	else if (result && !target)
		object_release(object);
	return result;
}

API(cuStreamEndCapture, CUstream stream, CUgraph *graph)
{
	return capture_end(stream, graph, false);
}

API(cuStreamEndCapture_ptsz, CUstream stream, CUgraph *graph)
{
	return capture_end(stream, graph, true);
}

CUresult capture_info(CUstream stream, CUstreamCaptureStatus *status, cuuint64_t *capture, bool per_thread_default)
{
	uint32_t context, id, host_status = CU_STREAM_CAPTURE_STATUS_NONE;
	uint64_t host_capture = 0;
	CUresult result = capture_call_begin(stream, per_thread_default, &context, &id);

	if (result)
		return result;
	if (!status)
		return CUDA_ERROR_INVALID_VALUE;
	if (__atomic_load_n(&captures_open, __ATOMIC_ACQUIRE))
		result = host_cuStreamGetCaptureInfo(context, id, &host_status, &host_capture);
	if (result)
		return result;
	*status = (CUstreamCaptureStatus)host_status;
	if (capture && host_status == CU_STREAM_CAPTURE_STATUS_ACTIVE)
		*capture = host_capture;
	return CUDA_SUCCESS;
}

API(cuStreamIsCapturing, CUstream stream, CUstreamCaptureStatus *status)
{
	return capture_info(stream, status, NULL, false);
}

API(cuStreamIsCapturing_ptsz, CUstream stream, CUstreamCaptureStatus *status)
{
	return capture_info(stream, status, NULL, true);
}

API(cuStreamGetCaptureInfo, CUstream stream, CUstreamCaptureStatus *status, cuuint64_t *id)
{
	return capture_info(stream, status, id, false);
}

API(cuStreamGetCaptureInfo_ptsz, CUstream stream, CUstreamCaptureStatus *status, cuuint64_t *id)
{
	return capture_info(stream, status, id, true);
}

API(cuThreadExchangeStreamCaptureMode, CUstreamCaptureMode *mode)
{
	CUstreamCaptureMode wanted;

	if (!session_ready())
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!mode || *mode > CU_STREAM_CAPTURE_MODE_RELAXED)
		return CUDA_ERROR_INVALID_VALUE;
	wanted = *mode;
	*mode = (CUstreamCaptureMode)thread_state.capture_mode;
	thread_state.capture_mode = (uint32_t)wanted;
	return CUDA_SUCCESS;
}
