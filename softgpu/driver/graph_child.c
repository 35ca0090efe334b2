/* SPDX-License-Identifier: Apache-2.0 */
/* Graphs that are embedded in nodes. */
#include <stdlib.h>

#include "driver.h"
#include "entry.h"
#include "graph.h"

static bool graph_contains(const struct graph *graph, const struct graph *other)
{
	for (size_t index = 0; index < graph->body->count; index++) {
		const struct graph_node *node = &graph->body->nodes[index];

		for (size_t place = 0; node->children && place < graph_work_count(node->work); place++)
			if (node->children[place] == other || graph_contains(node->children[place], other))
				return true;
	}
	return false;
}

CUresult graph_child_work_make(const CUDA_CHILD_GRAPH_NODE_PARAMS *child, struct work **ret_work)
{
	struct graph *graph;
	CUresult result = graph_acquire(child->graph, &graph);

	if (result)
		return result;
	graphs_lock();
	result = graph_settle(graph);
	if (!result && child->ownership == CU_GRAPH_CHILD_GRAPH_OWNERSHIP_CLONE &&
	    !graph_body_can_be_copied(graph->body))
		result = CUDA_ERROR_NOT_SUPPORTED;
	/* Whoever owns it. */
	if (!result && graph_body_is_conditional(graph->body))
		result = CUDA_ERROR_NOT_SUPPORTED;
	if (!result) {
		*ret_work = graph_work_make(graph->body);
		result = *ret_work ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
	}
	graphs_unlock();
	object_release(&graph->object);
	return result;
}

void graph_children_end(struct graph **children, size_t count)
{
	for (size_t place = 0; place < count; place++)
		graph_end(children[place]);
	free(children);
}

/* A graph for each body of the work, for a node to own. */
static CUresult children_publish(const struct work *work, struct graph ***ret_children)
{
	size_t count = graph_work_count(work), made = 0;
	struct graph **children = calloc(count ? count : 1, sizeof(struct graph *));
	CUresult result = children ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;

	for (; !result && made < count; made += !result) {
		/* Without the handles of the graph that the work was made of. */
		struct graph_body *body = graph_body_copy(graph_work_body(work, made));
		CUgraph handle;

		result = body ? graph_publish(body, &handle) : CUDA_ERROR_OUT_OF_MEMORY;
		if (result)
			break;
		children[made] = (struct graph *)handle;
		children[made]->is_owned = true;
	}
	if (result) {
		if (children)
			graph_children_end(children, made);
		return result;
	}
	*ret_children = children;
	return CUDA_SUCCESS;
}

/* The graph that a new node of 'parent' is to have for its own. */
static CUresult child_take(const struct graph *parent, const CUDA_CHILD_GRAPH_NODE_PARAMS *parameters,
			   struct graph ***ret_children)
{
	struct graph *child;
	CUresult result = graph_acquire(parameters->graph, &child);

	if (result)
		return result;
	if (child->is_owned || child->is_captured_to || child == parent || graph_contains(child, parent))
		result = CUDA_ERROR_INVALID_VALUE;
	if (!result) {
		*ret_children = calloc(1, sizeof(struct graph *));
		result = *ret_children ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
	}
	if (!result)
		(*ret_children)[0] = child;
	/* Its handle keeps it. */
	object_release(&child->object);
	return result;
}

CUresult graph_children_take(const struct graph *parent, const CUgraphNodeParams *parameters, const struct work *work,
			     struct graph ***ret_children)
{
	*ret_children = NULL;
	if (parameters->type == CU_GRAPH_NODE_TYPE_CONDITIONAL)
		return children_publish(work, ret_children);
	if (parameters->type != CU_GRAPH_NODE_TYPE_GRAPH ||
	    parameters->graph.ownership == CU_GRAPH_CHILD_GRAPH_OWNERSHIP_CLONE)
		return CUDA_SUCCESS;
	return parameters->graph.ownership == CU_GRAPH_CHILD_GRAPH_OWNERSHIP_MOVE
		       ? child_take(parent, &parameters->graph, ret_children)
		       : CUDA_ERROR_INVALID_VALUE;
}

ENTRY(cuGraphChildGraphNodeGetGraph, (CUgraphNode handle, CUgraph *ret_graph))
{
	struct graph_node *node;
	struct graph *graph;
	size_t index;
	CUresult result = driver_check();

	if (!result && !ret_graph)
		result = CUDA_ERROR_INVALID_VALUE;
	if (result)
		return result;
	graphs_lock();
	result = graph_node_acquire(handle, &graph, &index);
	if (result)
		goto unlock;
	if (!graph_body_own(&graph->body))
		result = CUDA_ERROR_OUT_OF_MEMORY;
	node = &graph->body->nodes[index];
	if (!result && node->work->node_type != CU_GRAPH_NODE_TYPE_GRAPH)
		result = CUDA_ERROR_INVALID_VALUE;
	if (!result && !node->children)
		result = children_publish(node->work, &node->children);
	if (!result)
		*ret_graph = (CUgraph)node->children[0];
	object_release(&graph->object);
unlock:
	graphs_unlock();
	return result;
}
