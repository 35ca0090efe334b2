/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of graphs, and which node of a copy is which. */
#include "driver.h"
#include "entry.h"
#include "graph.h"

/* Takes the caller's reference to the body in every case. */
static CUresult clone_publish(struct graph_body *body, const struct graph *original, CUgraph *ret_clone)
{
	CUgraph handle;
	CUresult result = graph_publish(body, &handle);

	if (result)
		return result;
	((struct graph *)handle)->original = original->number;
	*ret_clone = handle;
	return CUDA_SUCCESS;
}

ENTRY(cuGraphClone, (CUgraph * ret_clone, CUgraph handle))
{
	struct graph_body *body;
	struct graph *graph;
	CUresult result;

	if (!ret_clone)
		return CUDA_ERROR_INVALID_VALUE;
	result = graph_acquire(handle, &graph);
	if (result)
		return result;
	graphs_lock();
	result = graph_settle(graph);
	if (!result && !graph_body_can_be_copied(graph->body))
		result = CUDA_ERROR_NOT_SUPPORTED;
	body = result ? NULL : graph_body_copy(graph->body);
	graphs_unlock();
	if (!result)
		result = body ? clone_publish(body, graph, ret_clone) : CUDA_ERROR_OUT_OF_MEMORY;
	object_release(&graph->object);
	return result;
}

/* Under the lock. */
static CUresult clone_search(const struct graph *graph, size_t index, struct graph *clone, CUgraphNode *ret_node)
{
	size_t found;

	if (clone->original != graph->number || !graph_body_find(clone->body, graph->body->nodes[index].key, &found))
		return CUDA_ERROR_INVALID_VALUE;
	if (!graph_body_own(&clone->body))
		return CUDA_ERROR_OUT_OF_MEMORY;
	return graph_node_handle(clone, found, ret_node);
}

ENTRY(cuGraphNodeFindInClone, (CUgraphNode * ret_node, CUgraphNode original, CUgraph handle))
{
	struct graph *graph, *clone;
	size_t index;
	CUresult result;

	if (!ret_node)
		return CUDA_ERROR_INVALID_VALUE;
	result = graph_acquire(handle, &clone);
	if (result)
		return result;
	graphs_lock();
	result = graph_node_acquire(original, &graph, &index);
	if (!result) {
		result = clone_search(graph, index, clone, ret_node);
		object_release(&graph->object);
	}
	graphs_unlock();
	object_release(&clone->object);
	return result;
}
