/* SPDX-License-Identifier: Apache-2.0 */
/* What the next node of a stream in a capture is to depend on: told and changed. */
#include <stdlib.h>

#include "capture_private.h"

/* Handles of the stream's dependencies, which the stream keeps until they are asked for again.  Under the lock. */
static CUresult handles_make(struct frontier *frontier, size_t *ret_count)
{
	struct graph *graph = frontier->capture->graph;
	CUgraphNode *handles = realloc(frontier->handles, (frontier->count + 1) * sizeof(CUgraphNode));
	CUgraphEdgeData *edges = calloc(frontier->count + 1, sizeof(*edges));
	size_t *indices = malloc((frontier->count + 1) * sizeof(*indices));
	CUresult result = CUDA_ERROR_OUT_OF_MEMORY;
	size_t count = 0;

	if (handles)
		frontier->handles = handles;
	free(frontier->edges);
	frontier->edges = edges;
	if (handles && edges && indices && graph_body_own(&graph->body)) {
		count = frontier_find(frontier, indices);
		result = CUDA_SUCCESS;
	}
	for (size_t place = 0; !result && place < count; place++)
		result = graph_node_handle(graph, indices[place], &handles[place]);
	free(indices);
	*ret_count = count;
	return result;
}

CUresult capture_dependencies(struct stream *stream, CUgraph *ret_graph, const CUgraphNode **ret_nodes,
			      const CUgraphEdgeData **ret_edges, size_t *ret_count)
{
	struct frontier *frontier;
	CUresult result = CUDA_ERROR_ILLEGAL_STATE;

	graphs_lock();
	frontier = frontier_of(stream);
	if (frontier)
		result = handles_make(frontier, ret_count);
	if (!result) {
		*ret_graph = (CUgraph)frontier->capture->graph;
		*ret_nodes = frontier->handles;
		*ret_edges = frontier->edges;
	}
	graphs_unlock();
	return result;
}

/* What the stream depended on need not be joined.  Under the lock. */
static void frontier_excuse(const struct frontier *frontier)
{
	struct capture *capture = frontier->capture;

	for (size_t place = 0; place < capture->count; place++)
		capture->nodes[place].is_excused |= frontier_has(frontier, capture->nodes[place].key);
}

/* Under the lock. */
static CUresult update(struct frontier *frontier, const CUgraphNode *nodes, const CUgraphEdgeData *edges, size_t count,
		       bool adds)
{
	const struct graph *graph = frontier->capture->graph;
	size_t *indices = malloc((count + 1) * sizeof(*indices));
	uint64_t *keys = malloc((count + 1) * sizeof(*keys));
	CUresult result = CUDA_ERROR_OUT_OF_MEMORY;

	if (frontier->capture->status != CU_STREAM_CAPTURE_STATUS_ACTIVE)
		result = CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
	else if (indices && keys)
		result = graph_nodes_find(graph, nodes, edges, count, indices);
	if (!result && !adds) {
		frontier_excuse(frontier);
		frontier->count = 0;
	}
	for (size_t place = 0; !result && place < count; place++) {
		keys[place] = graph->body->nodes[indices[place]].key;
		/* From now on it is to be joined as what was captured is. */
		if (!captured_reserve(frontier->capture))
			result = CUDA_ERROR_OUT_OF_MEMORY;
		else
			frontier->capture->nodes[frontier->capture->count++] = (struct captured){.key = keys[place]};
	}
	if (!result)
		result = frontier_unite(frontier, keys, count);
	free(indices);
	free(keys);
	return result;
}

CUresult capture_update(struct stream *stream, const CUgraphNode *nodes, const CUgraphEdgeData *edges, size_t count,
			bool adds)
{
	struct frontier *frontier;
	CUresult result = CUDA_ERROR_ILLEGAL_STATE;

	graphs_lock();
	frontier = frontier_of(stream);
	if (frontier)
		result = update(frontier, nodes, edges, count, adds);
	graphs_unlock();
	return result;
}
