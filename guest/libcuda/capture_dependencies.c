/* SPDX-License-Identifier: Apache-2.0 */
/* What a stream in a capture depends on, told and set; and the graph of a capture that goes on. */
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "graph_node.h"
#include "host_calls.h"

/* Ids offered at first: a stream hardly ever depends on more nodes that have none. */
#define OFFER_FIRST 16u

/* What the host tells, and objects for the graph and the nodes that have none. */
struct position {
	uint32_t status;
	uint64_t number;
	uint32_t graph;
	struct object *graph_offer;
	struct object *offers[VGPU_GRAPH_EDGES_MAX];
	uint32_t ids[VGPU_GRAPH_EDGES_MAX];
	uint32_t offered;
	struct vgpu_graph_dependency wire[VGPU_GRAPH_EDGES_MAX];
	uint32_t count;
};

static bool offers_make(struct position *position, uint32_t wanted)
{
	for (; position->offered < wanted; position->offered++) {
		struct object *object = object_mint(VGPU_KIND_GRAPH_NODE, 0);

		if (!object)
			return false;
		position->offers[position->offered] = object;
		position->ids[position->offered] = object->id;
	}
	return true;
}

static CUresult position_ask(uint32_t context, uint32_t stream, struct position *position)
{
	uint32_t missing = 0, wanted = OFFER_FIRST, bytes = 0;
	CUresult result;

	position->graph_offer = object_mint(VGPU_KIND_GRAPH, context);
	if (!position->graph_offer)
		return CUDA_ERROR_OUT_OF_MEMORY;
	do {
		if (wanted > VGPU_GRAPH_EDGES_MAX || !offers_make(position, wanted))
			return CUDA_ERROR_OUT_OF_MEMORY;
		result = host_cuStreamGetCaptureInfo_v3(context, stream, position->graph_offer->id, position->ids,
							position->offered * (uint32_t)sizeof(uint32_t),
							&position->status, &position->number, &position->graph,
							&missing, position->wire, sizeof(position->wire), &bytes);
		wanted = position->offered + missing;
	} while (!result && missing);
	position->count = bytes / sizeof(position->wire[0]);
	return result;
}

/* Under the lock: the graph of the capture, which may be new here. */
static CUresult graph_take(struct position *position, struct object **ret_object)
{
	struct object *object = object_by_id(position->graph);
	struct graph *graph = object ? graph_of(object) : NULL;

	if (!graph)
		return object ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_UNKNOWN;
	if (object == position->graph_offer) {
		position->graph_offer = NULL;
		graph->is_of_capture = true;
		graph->is_captured_to = true;
	}
	/* What is captured comes after what is known. */
	graph->is_known = false;
	*ret_object = object;
	return CUDA_SUCCESS;
}

/* Under the lock: a node that the host names, by an id that it was offered or one that it had. */
static CUresult node_take(struct position *position, struct object *graph, const struct vgpu_graph_dependency *wire,
			  CUgraphNode *ret_node)
{
	struct object *object = object_by_id(wire->node);

	for (uint32_t i = 0; i < position->offered; i++) {
		if (position->ids[i] != wire->node || !position->offers[i])
			continue;
		position->offers[i] = NULL;
		if (!graph_node_append(graph, object, (CUgraphNodeType)wire->type))
			return CUDA_ERROR_OUT_OF_MEMORY;
	}
	if (!object_find(object, VGPU_KIND_GRAPH_NODE))
		return CUDA_ERROR_UNKNOWN;
	*ret_node = (CUgraphNode)object;
	return CUDA_SUCCESS;
}

static void position_end(struct position *position)
{
	for (uint32_t i = 0; i < position->offered; i++)
		if (position->offers[i])
			object_release(position->offers[i]);
	if (position->graph_offer)
		object_release(position->graph_offer);
	free(position);
}

/* Instead of what the stream was told before. */
static struct graph_answer *told_make(struct graph *graph, uint32_t stream, uint32_t count)
{
	struct graph_answer *told = malloc(sizeof(*told) + count * (sizeof(CUgraphNode) + sizeof(CUgraphEdgeData)));
	struct graph_answer **place = &graph->answers;

	if (!told)
		return NULL;
	while (*place && (*place)->stream != stream)
		place = &(*place)->next;
	if (*place) {
		struct graph_answer *former = *place;

		*place = former->next;
		free(former);
	}
	*told = (struct graph_answer){
		.next = graph->answers, .stream = stream, .edges = (CUgraphEdgeData *)(told->nodes + count)};
	graph->answers = told;
	return told;
}

/* Where the program wants an answer, NULL: it does not. */
struct answer {
	CUstreamCaptureStatus *status;
	cuuint64_t *id;
	CUgraph *graph;
	const CUgraphNode **nodes;
	const CUgraphEdgeData **edges;
	size_t *count;
};

/* Under the lock. */
static CUresult position_tell(struct position *position, uint32_t stream, const struct answer *answer)
{
	static const CUgraphEdgeData plain;
	struct graph_answer *told;
	struct object *graph;
	CUresult result = graph_take(position, &graph);

	if (result)
		return result;
	told = told_make(graph->detail, stream, position->count);
	if (!told)
		return CUDA_ERROR_OUT_OF_MEMORY;
	for (uint32_t i = 0; i < position->count && !result; i++) {
		told->edges[i] = position->wire[i].data;
		if (!answer->edges && answer->nodes && memcmp(&told->edges[i], &plain, sizeof(plain)) != 0)
			return CUDA_ERROR_LOSSY_QUERY;
		result = node_take(position, graph, &position->wire[i], &told->nodes[i]);
	}
	if (result)
		return result;
	if (answer->id)
		*answer->id = position->number;
	if (answer->graph)
		*answer->graph = (CUgraph)graph;
	if (answer->nodes)
		*answer->nodes = told->nodes;
	if (answer->edges)
		*answer->edges = told->edges;
	if (answer->count)
		*answer->count = position->count;
	return CUDA_SUCCESS;
}

static CUresult stream_ask(uint32_t context, uint32_t stream, const struct answer *answer)
{
	struct position *position = calloc(1, sizeof(*position));
	CUresult result;

	if (!position)
		return CUDA_ERROR_OUT_OF_MEMORY;
	graphs_lock();
	result = position_ask(context, stream, position);
	if (!result && position->status == CU_STREAM_CAPTURE_STATUS_ACTIVE)
		result = position_tell(position, stream, answer);
	if (!result)
		*answer->status = (CUstreamCaptureStatus)position->status;
	position_end(position);
	graphs_unlock();
	return result;
}

static CUresult info_get(CUstream stream, bool per_thread_default, const struct answer *answer)
{
	CUresult result = capture_info(stream, answer->status, answer->id, per_thread_default);
	uint32_t context, id;

	if (result || *answer->status != CU_STREAM_CAPTURE_STATUS_ACTIVE ||
	    !(answer->graph || answer->nodes || answer->edges || answer->count))
		return result;
	result = call_begin(CALL_NEEDS_CONTEXT, &context);
	if (!result)
		result = stream_id(stream, per_thread_default, &id);
	return result ? result : stream_ask(context, id, answer);
}

#define INFO_PARAMETERS CUstream stream, CUstreamCaptureStatus *status, cuuint64_t *id, CUgraph *graph

API(cuStreamGetCaptureInfo_v2, INFO_PARAMETERS, const CUgraphNode **nodes, size_t *count)
{
	return info_get(stream, false, &(struct answer){status, id, graph, nodes, NULL, count});
}

API(cuStreamGetCaptureInfo_v2_ptsz, INFO_PARAMETERS, const CUgraphNode **nodes, size_t *count)
{
	return info_get(stream, true, &(struct answer){status, id, graph, nodes, NULL, count});
}

API(cuStreamGetCaptureInfo_v3, INFO_PARAMETERS, const CUgraphNode **nodes, const CUgraphEdgeData **edges, size_t *count)
{
	return info_get(stream, false, &(struct answer){status, id, graph, nodes, edges, count});
}

API(cuStreamGetCaptureInfo_v3_ptsz, INFO_PARAMETERS, const CUgraphNode **nodes, const CUgraphEdgeData **edges,
    size_t *count)
{
	return info_get(stream, true, &(struct answer){status, id, graph, nodes, edges, count});
}

/* Under the lock.  The host knows which graph the nodes have to be of. */
static CUresult dependencies_send(uint32_t context, uint32_t stream, const CUgraphNode *nodes,
				  const CUgraphEdgeData *data, size_t count, unsigned int flags)
{
	struct vgpu_graph_edge *wire = calloc(count ? count : 1, sizeof(*wire));
	CUresult result = wire ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;

	for (size_t i = 0; i < count && !result; i++) {
		struct graph_node *node;

		result = graph_node_find(nodes[i], &node);
		if (result)
			break;
		wire[i].from = node->object->id;
		if (data)
			wire[i].data = data[i];
	}
	if (!result)
		result = host_cuStreamUpdateCaptureDependencies_v2(context, stream, flags, wire,
								   (uint32_t)(count * sizeof(*wire)));
	free(wire);
	return result;
}

static CUresult dependencies_update(CUstream stream, const CUgraphNode *nodes, const CUgraphEdgeData *data,
				    size_t count, unsigned int flags, bool per_thread_default)
{
	uint32_t context, id;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (!result)
		result = stream_id(stream, per_thread_default, &id);
	if (result)
		return result;
	if (flags > CU_STREAM_SET_CAPTURE_DEPENDENCIES || (count && !nodes))
		return CUDA_ERROR_INVALID_VALUE;
	if (count > VGPU_GRAPH_EDGES_MAX)
		return CUDA_ERROR_NOT_SUPPORTED;
	graphs_lock();
	result = dependencies_send(context, id, nodes, data, count, flags);
	graphs_unlock();
	return result;
}

API(cuStreamUpdateCaptureDependencies, CUstream stream, CUgraphNode *nodes, size_t count, unsigned int flags)
{
	return dependencies_update(stream, nodes, NULL, count, flags, false);
}

API(cuStreamUpdateCaptureDependencies_ptsz, CUstream stream, CUgraphNode *nodes, size_t count, unsigned int flags)
{
	return dependencies_update(stream, nodes, NULL, count, flags, true);
}

API(cuStreamUpdateCaptureDependencies_v2, CUstream stream, CUgraphNode *nodes, const CUgraphEdgeData *data,
    size_t count, unsigned int flags)
{
	return dependencies_update(stream, nodes, data, count, flags, false);
}

API(cuStreamUpdateCaptureDependencies_v2_ptsz, CUstream stream, CUgraphNode *nodes, const CUgraphEdgeData *data,
    size_t count, unsigned int flags)
{
	return dependencies_update(stream, nodes, data, count, flags, true);
}
