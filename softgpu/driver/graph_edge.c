/* SPDX-License-Identifier: Apache-2.0 */
/* Dependencies between the nodes of a graph. */
#include <string.h>

#include "entry.h"
#include "graph_memory.h"

ENTRY(cuGraphGetEdges_v2,
      (CUgraph handle, CUgraphNode *from, CUgraphNode *to, CUgraphEdgeData *edges, size_t *ret_count))
{
	struct graph *graph;
	size_t count = 0;
	CUresult result;

	if (!ret_count || !from != !to || (edges && !from))
		return CUDA_ERROR_INVALID_VALUE;
	result = graph_acquire(handle, &graph);
	if (result)
		return result;
	graphs_lock();
	if (from && !graph_body_own(&graph->body))
		result = CUDA_ERROR_OUT_OF_MEMORY;
	for (size_t index = 0; !result && index < graph->body->count; index++) {
		struct graph_node *node = &graph->body->nodes[index];

		for (size_t place = 0; !result && place < node->dependency_count; place++, count++) {
			if (!from || count >= *ret_count)
				continue;
			result = graph_node_handle(graph, node->dependencies[place], &from[count]);
			if (!result)
				result = graph_node_handle(graph, index, &to[count]);
			if (edges)
				edges[count] = (CUgraphEdgeData){0};
		}
	}
	for (size_t place = count; !result && from && place < *ret_count; place++)
		from[place] = to[place] = NULL;
	if (!result && (!from || *ret_count > count))
		*ret_count = count;
	graphs_unlock();
	object_release(&graph->object);
	return result;
}

/* Under the lock, of a body that the graph has alone. */
static CUresult edge_change(struct graph *graph, CUgraphNode from, CUgraphNode to, bool adds)
{
	size_t from_index, to_index;
	struct graph_node *node;
	CUresult result = graph_node_find(graph, from, &from_index);

	if (!result)
		result = graph_node_find(graph, to, &to_index);
	if (result)
		return result;
	node = &graph->body->nodes[to_index];
	if (from_index == to_index || graph_node_depends(node, from_index) == adds)
		return CUDA_ERROR_INVALID_VALUE;
	if (!adds)
		graph_node_disconnect(node, from_index);
	else if (!graph_node_connect(node, from_index))
		return CUDA_ERROR_OUT_OF_MEMORY;
	return CUDA_SUCCESS;
}

/* Under the lock: all of them or none. */
static CUresult edges_change(struct graph *graph, const CUgraphNode *from, const CUgraphNode *to,
			     const CUgraphEdgeData *edges, size_t count, bool adds)
{
	static const CUgraphEdgeData plain;
	CUresult result = CUDA_SUCCESS;
	size_t changed = 0;

	for (size_t place = 0; edges && place < count; place++)
		if (memcmp(&edges[place], &plain, sizeof(plain)) != 0)
			return CUDA_ERROR_NOT_SUPPORTED;
	if (!adds && graph_body_has_memory(graph->body))
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!graph_body_own(&graph->body))
		return CUDA_ERROR_OUT_OF_MEMORY;
	while (!result && changed < count) {
		result = edge_change(graph, from[changed], to[changed], adds);
		changed += !result;
	}
	if (!result)
		result = graph_body_sort(graph->body);
	while (result && changed-- > 0)
		(void)edge_change(graph, from[changed], to[changed], !adds);
	return result;
}

static CUresult dependencies_change(CUgraph handle, const CUgraphNode *from, const CUgraphNode *to,
				    const CUgraphEdgeData *edges, size_t count, bool adds)
{
	struct graph *graph;
	CUresult result = graph_acquire(handle, &graph);

	if (result)
		return result;
	if (count && (!from || !to))
		result = CUDA_ERROR_INVALID_VALUE;
	if (!result && count) {
		graphs_lock();
		result = edges_change(graph, from, to, edges, count, adds);
		graphs_unlock();
	}
	object_release(&graph->object);
	return result;
}

ENTRY(cuGraphAddDependencies_v2,
      (CUgraph graph, const CUgraphNode *from, const CUgraphNode *to, const CUgraphEdgeData *edges, size_t count))
{
	return dependencies_change(graph, from, to, edges, count, true);
}

ENTRY(cuGraphRemoveDependencies_v2,
      (CUgraph graph, const CUgraphNode *from, const CUgraphNode *to, const CUgraphEdgeData *edges, size_t count))
{
	return dependencies_change(graph, from, to, edges, count, false);
}
