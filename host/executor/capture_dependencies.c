/* SPDX-License-Identifier: Apache-2.0 */
/* What a stream in a capture depends on: told, set, and gone on from with copies of the program's memory. */
#include <string.h>

#include "executor.h"
#include "executor_calls.h"
#include "graph.h"
#include "program_copy.h"
#include "vgpu_graph.h"

/* As the driver tells it, in its memory; a capture of that status has a graph. */
struct position {
	CUstreamCaptureStatus status;
	cuuint64_t number;
	CUgraph graph;
	const CUgraphNode *nodes;
	const CUgraphEdgeData *edges; /* NULL: all plain */
	size_t count;
};

static CUresult position_find(const struct executor *executor, CUstream stream, struct position *ret_position)
{
	const struct driver *driver = &executor->driver;

	*ret_position = (struct position){.status = CU_STREAM_CAPTURE_STATUS_NONE};
	if (driver->cuStreamGetCaptureInfo_v3)
		return driver->cuStreamGetCaptureInfo_v3(stream, &ret_position->status, &ret_position->number,
							 &ret_position->graph, &ret_position->nodes,
							 &ret_position->edges, &ret_position->count);
	if (driver->cuStreamGetCaptureInfo_v2)
		return driver->cuStreamGetCaptureInfo_v2(stream, &ret_position->status, &ret_position->number,
							 &ret_position->graph, &ret_position->nodes,
							 &ret_position->count);
	return CUDA_ERROR_NOT_SUPPORTED;
}

CUgraph capture_graph(const struct executor *executor, CUstream stream)
{
	struct position position;

	return position_find(executor, stream, &position) || position.status != CU_STREAM_CAPTURE_STATUS_ACTIVE
		       ? NULL
		       : position.graph;
}

/* Its graph has the id from now on. */
static CUresult graph_name(struct executor *executor, const struct request *request, struct capture *capture,
			   CUgraph graph, uint32_t id)
{
	CUresult result = execute_check_mint(executor, VGPU_KIND_GRAPH, id);

	if (result)
		return result;
	execute_mint(executor, id, request->context, graph);
	handles_find(&executor->handles, VGPU_KIND_GRAPH, id)->cache = capture->origin;
	capture->graph = id;
	return CUDA_SUCCESS;
}

/* Of a graph that has an id. */
static CUresult dependencies_tell(struct executor *executor, const struct position *position, uint32_t graph,
				  const uint32_t *ids, size_t id_count,
				  struct wire_cuStreamGetCaptureInfo_v3_reply *reply, void *dependencies)
{
	const struct graph_naming naming = {
		.graph = graph,
		.nodes = position->nodes,
		.edges = position->edges,
		.count = position->count,
		.ids = ids,
		.id_count = id_count,
	};
	size_t missing = 0;
	CUresult result;

	if (position->count > VGPU_GRAPH_EDGES_MAX)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = graph_dependencies_write(executor, &naming, dependencies, &missing);
	reply->numUnnamed = (uint32_t)missing;
	if (!result && !missing)
		reply->dependencies_bytes = (uint32_t)(position->count * sizeof(struct vgpu_graph_dependency));
	return result;
}

CUresult execute_cuStreamGetCaptureInfo_v3(struct executor *executor, const struct request *request,
					   const struct wire_cuStreamGetCaptureInfo_v3 *arguments, const void *ids,
					   struct wire_cuStreamGetCaptureInfo_v3_reply *reply, void *dependencies,
					   size_t dependencies_capacity)
{
	struct position position;
	struct capture *capture;
	CUstream stream;
	CUresult result = execute_find_stream(executor, arguments->hStream, &stream);

	if (arguments->ids_bytes > VGPU_GRAPH_IDS_MAX * sizeof(uint32_t) ||
	    dependencies_capacity < VGPU_GRAPH_EDGES_MAX * sizeof(struct vgpu_graph_dependency))
		return EXECUTE_PROTOCOL;
	if (!result)
		result = position_find(executor, stream, &position);
	if (result)
		return result;
	reply->captureStatus_out = (uint32_t)position.status;
	reply->id_out = position.number;
	if (position.status == CU_STREAM_CAPTURE_STATUS_NONE)
		return CUDA_SUCCESS;
	if (position.status != CU_STREAM_CAPTURE_STATUS_ACTIVE) {
		/* The driver tells no more of it; who ends it is to know which graph goes with it. */
		capture = capture_by_origin(executor, arguments->hStream);
		reply->graph_out = capture ? capture->graph : 0;
		return CUDA_SUCCESS;
	}
	capture = capture_by_number(executor, position.number);
	if (!capture)
		return CUDA_ERROR_UNKNOWN;
	if (!capture->graph && arguments->phGraph)
		result = graph_name(executor, request, capture, position.graph, arguments->phGraph);
	reply->graph_out = capture->graph;
	if (result || !arguments->phGraph)
		return result;
	return dependencies_tell(executor, &position, capture->graph, ids, arguments->ids_bytes / sizeof(uint32_t),
				 reply, dependencies);
}

static CUresult dependencies_set(const struct driver *driver, CUstream stream, CUgraphNode *nodes,
				 const CUgraphEdgeData *edges, size_t count, unsigned int flags)
{
	static const CUgraphEdgeData plain;

	if (driver->cuStreamUpdateCaptureDependencies_v2)
		return driver->cuStreamUpdateCaptureDependencies_v2(stream, nodes, edges, count, flags);
	for (size_t i = 0; edges && i < count; i++)
		if (memcmp(&edges[i], &plain, sizeof(plain)) != 0)
			return CUDA_ERROR_NOT_SUPPORTED;
	if (driver->cuStreamUpdateCaptureDependencies)
		return driver->cuStreamUpdateCaptureDependencies(stream, nodes, count, flags);
	return CUDA_ERROR_NOT_SUPPORTED;
}

CUresult execute_cuStreamUpdateCaptureDependencies_v2(struct executor *executor, const struct request *request,
						      const struct wire_cuStreamUpdateCaptureDependencies_v2 *arguments,
						      const void *tail)
{
	struct position position;
	const struct capture *capture;
	struct graph_edges edges;
	CUstream stream;
	CUresult result = execute_find_stream(executor, arguments->hStream, &stream);

	(void)request;
	if (!result)
		result = position_find(executor, stream, &position);
	if (result)
		return result;
	capture = position.number ? capture_by_number(executor, position.number) : NULL;
	if (position.status == CU_STREAM_CAPTURE_STATUS_INVALIDATED)
		return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	if (position.status != CU_STREAM_CAPTURE_STATUS_ACTIVE || !capture)
		return CUDA_ERROR_ILLEGAL_STATE;
	/* No node of a graph without an id has one. */
	result = graph_edges_read(executor, capture->graph, tail, arguments->edges_bytes, &edges);
	if (!result)
		result = dependencies_set(&executor->driver, stream, edges.from, edges.data, edges.count,
					  arguments->flags);
	graph_edges_end(&edges);
	return result;
}

/* The node is what the stream depends on from now on, instead of all that it depended on. */
static CUresult child_capture(const struct driver *driver, CUstream stream, const struct position *position,
			      CUgraph child)
{
	CUgraphNodeParams parameters = {.type = CU_GRAPH_NODE_TYPE_GRAPH, .graph.graph = child};
	CUgraphNode node = NULL;
	CUresult result;

	if (!driver->cuGraphAddNode_v2 || !driver->cuGraphDestroyNode)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = driver->cuGraphAddNode_v2(&node, position->graph, position->nodes, position->edges, position->count,
					   &parameters);
	if (result)
		return result;
	result = dependencies_set(driver, stream, &node, NULL, 1, CU_STREAM_SET_CAPTURE_DEPENDENCIES);
	if (result)
		driver->cuGraphDestroyNode(node);
	return result;
}

CUresult execute_vgpuCaptureProgramCopy(struct executor *executor, const struct request *request,
					const struct wire_vgpuCaptureProgramCopy *arguments, const void *copy)
{
	struct position position;
	CUgraph child = NULL;
	CUstream stream;
	CUresult result = execute_find_stream(executor, arguments->hStream, &stream);

	(void)request;
	if (arguments->copy_bytes < sizeof(struct vgpu_graph_program_copy))
		return EXECUTE_PROTOCOL;
	if (!result)
		result = position_find(executor, stream, &position);
	if (!result && position.status == CU_STREAM_CAPTURE_STATUS_INVALIDATED)
		result = CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	if (!result && position.status != CU_STREAM_CAPTURE_STATUS_ACTIVE)
		result = CUDA_ERROR_ILLEGAL_STATE;
	if (!result)
		result = program_copy_hold(executor, graph_holder_of_capture(position.number), copy);
	if (!result)
		result = program_copy_make(executor, copy, &child);
	if (result)
		return result;
	result = child_capture(&executor->driver, stream, &position, child);
	/* The node has a graph of its own, with references to what this one has. */
	executor->driver.cuGraphDestroy(child);
	return result;
}
