/* SPDX-License-Identifier: Apache-2.0 */
/* cuStreamBeginCapture, cuStreamEndCapture and what may be asked about a capture. */
#include <stdlib.h>

#include "capture.h"
#include "driver.h"
#include "entry.h"

static CUresult stream_get(CUstream handle, struct stream **ret_stream)
{
	struct context *context;
	CUresult result = context_current(&context);

	return result ? result : stream_acquire(context, handle, ret_stream);
}

/* No call is refused for the mode of a capture: each does what it would in the relaxed mode. */
ENTRY_STREAM(cuStreamBeginCapture_v2, (CUstream stream, CUstreamCaptureMode mode), (stream, mode))
{
	struct stream *target;
	CUresult result = stream_get(stream, &target);

	if (result)
		return result;
	result =
		mode > CU_STREAM_CAPTURE_MODE_RELAXED ? CUDA_ERROR_INVALID_VALUE : capture_begin(target, NULL, NULL, 0);
	stream_release(target);
	return result;
}

static CUresult begin_to_graph(struct stream *stream, CUgraph handle, const CUgraphNode *dependencies,
			       const CUgraphEdgeData *edges, size_t count)
{
	size_t *indices = calloc(count ? count : 1, sizeof(*indices));
	uint64_t *keys = calloc(count ? count : 1, sizeof(*keys));
	struct graph *graph;
	CUresult result = indices && keys ? graph_acquire(handle, &graph) : CUDA_ERROR_OUT_OF_MEMORY;

	if (result)
		goto end;
	graphs_lock();
	result = graph_nodes_find(graph, dependencies, edges, count, indices);
	for (size_t place = 0; !result && place < count; place++)
		keys[place] = graph->body->nodes[indices[place]].key;
	if (!result)
		result = capture_begin(stream, graph, keys, count);
	graphs_unlock();
	object_release(&graph->object);
end:
	free(indices);
	free(keys);
	return result;
}

ENTRY_STREAM(cuStreamBeginCaptureToGraph,
	     (CUstream stream, CUgraph graph, const CUgraphNode *dependencies, const CUgraphEdgeData *edges,
	      size_t count, CUstreamCaptureMode mode),
	     (stream, graph, dependencies, edges, count, mode))
{
	struct stream *target;
	CUresult result = stream_get(stream, &target);

	if (result)
		return result;
	result = mode > CU_STREAM_CAPTURE_MODE_RELAXED || (count && !dependencies)
			 ? CUDA_ERROR_INVALID_VALUE
			 : begin_to_graph(target, graph, dependencies, edges, count);
	stream_release(target);
	return result;
}

ENTRY_STREAM(cuStreamEndCapture, (CUstream stream, CUgraph *ret_graph), (stream, ret_graph))
{
	struct stream *target;
	CUresult result = stream_get(stream, &target);

	if (result)
		return result;
	if (ret_graph) {
		*ret_graph = NULL;
		result = capture_end(target, ret_graph);
	} else {
		result = CUDA_ERROR_INVALID_VALUE;
	}
	stream_release(target);
	return result;
}

ENTRY_STREAM(cuStreamGetCaptureInfo, (CUstream stream, CUstreamCaptureStatus *ret_status, cuuint64_t *ret_id),
	     (stream, ret_status, ret_id))
{
	CUstreamCaptureStatus status;
	struct stream *target;
	uint64_t id;
	CUresult result = stream_get(stream, &target);

	if (result)
		return result;
	result = ret_status ? capture_status(target, &status, &id) : CUDA_ERROR_INVALID_VALUE;
	stream_release(target);
	if (result)
		return result;
	*ret_status = status;
	if (ret_id && status == CU_STREAM_CAPTURE_STATUS_ACTIVE)
		*ret_id = id;
	return CUDA_SUCCESS;
}

ENTRY_STREAM(cuStreamIsCapturing, (CUstream stream, CUstreamCaptureStatus *ret_status), (stream, ret_status))
{
	return cuStreamGetCaptureInfo_on(stream, ret_status, NULL);
}

ENTRY_STREAM(cuStreamGetCaptureInfo_v3,
	     (CUstream stream, CUstreamCaptureStatus *ret_status, cuuint64_t *ret_id, CUgraph *ret_graph,
	      const CUgraphNode **ret_dependencies, const CUgraphEdgeData **ret_edges, size_t *ret_count),
	     (stream, ret_status, ret_id, ret_graph, ret_dependencies, ret_edges, ret_count))
{
	const CUgraphNode *dependencies;
	const CUgraphEdgeData *edges;
	struct stream *target;
	size_t count;
	CUgraph graph;
	CUresult result = cuStreamGetCaptureInfo_on(stream, ret_status, ret_id);

	if (result || *ret_status != CU_STREAM_CAPTURE_STATUS_ACTIVE)
		return result;
	result = stream_get(stream, &target);
	if (result)
		return result;
	result = capture_dependencies(target, &graph, &dependencies, &edges, &count);
	stream_release(target);
	if (result)
		return result;
	if (ret_graph)
		*ret_graph = graph;
	if (ret_dependencies)
		*ret_dependencies = dependencies;
	if (ret_edges)
		*ret_edges = edges;
	if (ret_count)
		*ret_count = count;
	return CUDA_SUCCESS;
}

ENTRY_STREAM(cuStreamGetCaptureInfo_v2,
	     (CUstream stream, CUstreamCaptureStatus *ret_status, cuuint64_t *ret_id, CUgraph *ret_graph,
	      const CUgraphNode **ret_dependencies, size_t *ret_count),
	     (stream, ret_status, ret_id, ret_graph, ret_dependencies, ret_count))
{
	return cuStreamGetCaptureInfo_v3_on(stream, ret_status, ret_id, ret_graph, ret_dependencies, NULL, ret_count);
}

ENTRY_STREAM(cuStreamUpdateCaptureDependencies_v2,
	     (CUstream stream, CUgraphNode *nodes, const CUgraphEdgeData *edges, size_t count, unsigned int flags),
	     (stream, nodes, edges, count, flags))
{
	struct stream *target;
	CUresult result = stream_get(stream, &target);

	if (result)
		return result;
	result = flags > CU_STREAM_SET_CAPTURE_DEPENDENCIES || (count && !nodes)
			 ? CUDA_ERROR_INVALID_VALUE
			 : capture_update(target, nodes, edges, count, flags == CU_STREAM_ADD_CAPTURE_DEPENDENCIES);
	stream_release(target);
	return result;
}

ENTRY_STREAM(cuStreamUpdateCaptureDependencies, (CUstream stream, CUgraphNode *nodes, size_t count, unsigned int flags),
	     (stream, nodes, count, flags))
{
	return cuStreamUpdateCaptureDependencies_v2_on(stream, nodes, NULL, count, flags);
}
