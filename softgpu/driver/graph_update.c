/* SPDX-License-Identifier: Apache-2.0 */
/* Executable graphs get the work of other graphs. */
#include <stdlib.h>
#include <string.h>

#include "entry.h"
#include "graph.h"

CUgraphExecUpdateResult graph_bodies_compare(const struct graph_body *one, const struct graph_body *other)
{
	CUgraphExecUpdateResult result;

	if (one->count != other->count)
		return CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED;
	for (size_t index = 0; index < one->count; index++) {
		const struct graph_node *a = &one->nodes[index], *b = &other->nodes[index];

		if (a->dependency_count != b->dependency_count ||
		    memcmp(a->dependencies, b->dependencies, a->dependency_count * sizeof(*a->dependencies)) != 0)
			return CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED;
		if (a->work->node_type != b->work->node_type || a->work->run != b->work->run)
			return CU_GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED;
		if (!graph_works_match(a->work, b->work))
			return CU_GRAPH_EXEC_UPDATE_ERROR_PARAMETERS_CHANGED;
		for (size_t place = 0; place < graph_work_count(a->work); place++) {
			result = graph_bodies_compare(graph_work_body(a->work, place), graph_work_body(b->work, place));
			if (result != CU_GRAPH_EXEC_UPDATE_SUCCESS)
				return result;
		}
	}
	return CU_GRAPH_EXEC_UPDATE_SUCCESS;
}

/* A copy whose nodes have the names of those of a body that compares as the same; NULL: out of memory. */
static struct graph_body *body_renamed(const struct graph_body *body, const struct graph_body *names);

struct work *graph_work_renamed(const struct work *work, const struct work *names)
{
	size_t count = graph_work_count(work), made = 0;
	struct graph_body **bodies = calloc(count ? count : 1, sizeof(struct graph_body *));
	struct work *renamed = NULL;

	while (bodies && made < count) {
		bodies[made] = body_renamed(graph_work_body(work, made), graph_work_body(names, made));
		if (!bodies[made])
			break;
		made++;
	}
	if (bodies && made == count)
		renamed = graph_work_with(work, bodies);
	while (made-- > 0)
		graph_body_release(bodies[made]);
	free(bodies);
	return renamed;
}

static bool node_rename(struct graph_node *node, const struct graph_node *name)
{
	struct work *work;

	node->key = name->key;
	node->is_disabled = name->is_disabled;
	if (!graph_work_count(node->work))
		return true;
	work = graph_work_renamed(node->work, name->work);
	if (work)
		graph_node_replace(node, work);
	return work != NULL;
}

static struct graph_body *body_renamed(const struct graph_body *body, const struct graph_body *names)
{
	struct graph_body *copy = graph_body_copy(body);

	for (size_t index = 0; copy && index < copy->count; index++) {
		if (!node_rename(&copy->nodes[index], &names->nodes[index])) {
			graph_body_release(copy);
			copy = NULL;
		}
	}
	return copy;
}

/* The nodes are known by the names that they have in the graph that the executable was made of. */
static CUresult exec_update(struct graph_exec *exec, const struct graph_body *from, CUgraphExecUpdateResult *ret_result)
{
	struct graph_body *updated;

	*ret_result = graph_bodies_compare(exec->body, from);
	if (*ret_result != CU_GRAPH_EXEC_UPDATE_SUCCESS)
		return CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE;
	updated = body_renamed(from, exec->body);
	if (!updated)
		return CUDA_ERROR_OUT_OF_MEMORY;
	graph_body_release(exec->body);
	exec->body = updated;
	return CUDA_SUCCESS;
}

ENTRY(cuGraphExecUpdate_v2, (CUgraphExec handle, CUgraph graph_handle, CUgraphExecUpdateResultInfo *ret_info))
{
	struct graph_exec *exec;
	struct graph *graph;
	CUresult result;

	if (!ret_info)
		return CUDA_ERROR_INVALID_VALUE;
	result = graph_exec_acquire(handle, &exec);
	if (result)
		return result;
	result = graph_acquire(graph_handle, &graph);
	if (!result) {
		*ret_info = (CUgraphExecUpdateResultInfo){0};
		graphs_lock();
		result = graph_settle(graph);
		if (!result)
			result = graph_body_check(graph->body);
		if (!result)
			result = exec_update(exec, graph->body, &ret_info->result);
		graphs_unlock();
		object_release(&graph->object);
	}
	object_release(&exec->object);
	return result;
}
