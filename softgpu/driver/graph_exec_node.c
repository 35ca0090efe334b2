/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes of executable graphs, which go by the nodes of the graphs that these were made of. */
#include <stdlib.h>

#include "entry.h"
#include "graph.h"
#include "launch.h"

struct change {
	struct work *work; /* the node is to have it; NULL: it is to be enabled or not */
	bool enables;
};

/* Others cannot be disabled (cuGraphNodeSetEnabled). */
static bool node_can_rest(const struct graph_node *node)
{
	CUgraphNodeType type = node->work->node_type;

	return type == CU_GRAPH_NODE_TYPE_KERNEL || type == CU_GRAPH_NODE_TYPE_MEMSET ||
	       type == CU_GRAPH_NODE_TYPE_MEMCPY;
}

/* The node of that key, in the body or in one that is embedded in it; NULL: none. */
static const struct graph_node *node_find(const struct graph_body *body, uint64_t key)
{
	const struct graph_node *found = NULL;
	size_t index;

	if (graph_body_find(body, key, &index))
		return &body->nodes[index];
	for (index = 0; !found && index < body->count; index++) {
		const struct work *work = body->nodes[index].work;

		for (size_t place = 0; !found && place < graph_work_count(work); place++)
			found = node_find(graph_work_body(work, place), key);
	}
	return found;
}

/* As cuGraphExecUpdate() does with the whole: the nodes of the embedded graph keep their names.  Takes the work. */
static CUresult embedded_replace(struct graph_node *node, struct work *work)
{
	struct work *replacement;

	if (graph_bodies_compare(graph_work_body(node->work, 0), graph_work_body(work, 0)) !=
	    CU_GRAPH_EXEC_UPDATE_SUCCESS)
		return CUDA_ERROR_INVALID_VALUE;
	replacement = graph_work_renamed(work, node->work);
	if (!replacement)
		return CUDA_ERROR_OUT_OF_MEMORY;
	graph_node_replace(node, replacement);
	work_discard(work);
	return CUDA_SUCCESS;
}

static CUresult node_change(struct graph_node *node, const struct change *change)
{
	if (!change->work) {
		if (!node_can_rest(node))
			return CUDA_ERROR_INVALID_VALUE;
		node->is_disabled = !change->enables;
		return CUDA_SUCCESS;
	}
	if (node->work->node_type != change->work->node_type || node->work->node_type == CU_GRAPH_NODE_TYPE_MEM_ALLOC ||
	    node->work->node_type == CU_GRAPH_NODE_TYPE_MEM_FREE ||
	    node->work->node_type == CU_GRAPH_NODE_TYPE_CONDITIONAL)
		return CUDA_ERROR_INVALID_VALUE;
	if (node->work->node_type == CU_GRAPH_NODE_TYPE_GRAPH)
		return embedded_replace(node, change->work);
	if (node->work->node_type == CU_GRAPH_NODE_TYPE_KERNEL) {
		CUresult result = launch_work_inherit(change->work, node->work);

		if (result)
			return result;
	}
	graph_node_replace(node, change->work);
	return CUDA_SUCCESS;
}

static CUresult body_change(struct graph_body **body, uint64_t key, const struct change *change);

/* In one of the bodies that are embedded in a node, which then has a copy of it. */
static CUresult embedded_change(struct graph_body **body, size_t index, size_t place, uint64_t key,
				const struct change *change)
{
	const struct work *former = (*body)->nodes[index].work;
	size_t count = graph_work_count(former);
	struct graph_body **bodies = calloc(count, sizeof(struct graph_body *));
	struct graph_body *copy = graph_body_copy(graph_work_body(former, place));
	struct work *work = NULL;
	CUresult result = CUDA_ERROR_OUT_OF_MEMORY;

	for (size_t i = 0; bodies && i < count; i++)
		bodies[i] = i == place ? copy : graph_work_body(former, i);
	if (bodies && copy)
		work = graph_work_with(former, bodies);
	free(bodies);
	/* The work has it alone from now on, so that it is changed in place. */
	graph_body_release(copy);
	if (work && graph_body_own(body))
		result = body_change(&copy, key, change);
	if (!result)
		graph_node_replace(&(*body)->nodes[index], work);
	else if (work)
		work_discard(work);
	return result;
}

static CUresult body_change(struct graph_body **body, uint64_t key, const struct change *change)
{
	size_t index;

	if (graph_body_find(*body, key, &index))
		return graph_body_own(body) ? node_change(&(*body)->nodes[index], change) : CUDA_ERROR_OUT_OF_MEMORY;
	for (index = 0; index < (*body)->count; index++) {
		const struct work *work = (*body)->nodes[index].work;

		for (size_t place = 0; place < graph_work_count(work); place++)
			if (node_find(graph_work_body(work, place), key))
				return embedded_change(body, index, place, key, change);
	}
	return CUDA_ERROR_INVALID_VALUE;
}

/* Under the lock. */
static CUresult key_of(CUgraphNode node, uint64_t *ret_key)
{
	struct graph *graph;
	size_t index;
	CUresult result = graph_node_acquire(node, &graph, &index);

	if (result)
		return result;
	*ret_key = graph->body->nodes[index].key;
	object_release(&graph->object);
	return CUDA_SUCCESS;
}

static CUresult exec_change(CUgraphExec handle, CUgraphNode node, const struct change *change)
{
	struct graph_exec *exec;
	uint64_t key;
	CUresult result = graph_exec_acquire(handle, &exec);

	if (result)
		return result;
	graphs_lock();
	result = key_of(node, &key);
	if (!result)
		result = body_change(&exec->body, key, change);
	graphs_unlock();
	object_release(&exec->object);
	return result;
}

ENTRY(cuGraphExecNodeSetParams, (CUgraphExec handle, CUgraphNode node, CUgraphNodeParams *parameters))
{
	struct work *work;
	CUresult result = parameters ? graph_node_work_make(parameters, &work) : CUDA_ERROR_INVALID_VALUE;

	if (result)
		return result;
	result = exec_change(handle, node, &(struct change){.work = work});
	if (result)
		work_discard(work);
	return result;
}

ENTRY(cuGraphExecChildGraphNodeSetParams, (CUgraphExec handle, CUgraphNode node, CUgraph child))
{
	CUgraphNodeParams parameters = {.type = CU_GRAPH_NODE_TYPE_GRAPH, .graph.graph = child};

	return cuGraphExecNodeSetParams(handle, node, &parameters);
}

ENTRY(cuGraphNodeSetEnabled, (CUgraphExec handle, CUgraphNode node, unsigned int enabled))
{
	return exec_change(handle, node, &(struct change){.enables = enabled != 0});
}

ENTRY(cuGraphNodeGetEnabled, (CUgraphExec handle, CUgraphNode node, unsigned int *ret_enabled))
{
	const struct graph_node *found;
	struct graph_exec *exec;
	uint64_t key;
	CUresult result;

	if (!ret_enabled)
		return CUDA_ERROR_INVALID_VALUE;
	result = graph_exec_acquire(handle, &exec);
	if (result)
		return result;
	graphs_lock();
	result = key_of(node, &key);
	found = result ? NULL : node_find(exec->body, key);
	if (found && node_can_rest(found))
		*ret_enabled = !found->is_disabled;
	else
		result = CUDA_ERROR_INVALID_VALUE;
	graphs_unlock();
	object_release(&exec->object);
	return result;
}
