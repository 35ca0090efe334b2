/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Graphs that are embedded in nodes.
 *
 * An embedded graph that has an id is owned by its node: the id ends with the
 * node, and the guest cannot destroy the graph itself. A node whose graph has an
 * id says so in its handle's cache, so that no graph ever has two. The bodies of a
 * conditional node are embedded graphs too, which have ids from the beginning.
 */
#include "graph.h"

#include "executor.h"
#include "executor_calls.h"

/* The graph whose node has this one; 0: none. */
static uint32_t parent_of(const struct executor *executor, uint32_t graph)
{
	const struct handle *handle = handles_find(&executor->handles, VGPU_KIND_GRAPH, graph);
	const struct handle *node =
		handle ? handles_find(&executor->handles, VGPU_KIND_GRAPH_NODE, handle->owner) : NULL;

	return node ? node->owner : 0;
}

/* Is the graph embedded in the node, at whatever depth? */
static bool is_in_node(const struct executor *executor, uint32_t graph, uint32_t node)
{
	const struct handle *handle = handles_find(&executor->handles, VGPU_KIND_GRAPH, graph);

	while (handle && handle->owner && handle->owner != node) {
		graph = parent_of(executor, graph);
		handle = handles_find(&executor->handles, VGPU_KIND_GRAPH, graph);
	}
	return handle && handle->owner == node;
}

/* Does a capture go into the graph, or one that is embedded in it or (of a node's id) in the node? */
static bool is_captured(const struct executor *executor, uint32_t id)
{
	for (size_t i = 0; i < executor->captures.count; i++) {
		uint32_t target = executor->captures.list[i].graph;

		if (target && (VGPU_ID_KIND(id) == VGPU_KIND_GRAPH ? graph_is_in(executor, target, id)
								   : is_in_node(executor, target, id)))
			return true;
	}
	return false;
}

CUresult graph_check_free(const struct executor *executor, uint32_t graph)
{
	const struct handle *handle = handles_find(&executor->handles, VGPU_KIND_GRAPH, graph);

	if (!handle)
		return CUDA_ERROR_INVALID_HANDLE;
	return handle->owner || is_captured(executor, graph) ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

CUresult graph_check_child(const struct executor *executor, uint32_t parent, uint32_t child)
{
	CUresult result = graph_check_free(executor, child);

	if (result)
		return result;
	for (uint32_t graph = parent; graph; graph = parent_of(executor, graph))
		if (graph == child)
			return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

bool graph_is_in(const struct executor *executor, uint32_t graph, uint32_t root)
{
	while (graph && graph != root)
		graph = parent_of(executor, graph);
	return graph != 0;
}

void graph_embed(struct executor *executor, uint32_t node, uint32_t child)
{
	handles_find(&executor->handles, VGPU_KIND_GRAPH_NODE, node)->cache = child;
	handles_find(&executor->handles, VGPU_KIND_GRAPH, child)->owner = node;
}

CUresult execute_cuGraphChildGraphNodeGetGraph(struct executor *executor, const struct request *request,
					       const struct wire_cuGraphChildGraphNodeGetGraph *arguments)
{
	const struct handle *node = handles_find(&executor->handles, VGPU_KIND_GRAPH_NODE, arguments->hNode);
	CUgraph graph = NULL;
	CUresult result;

	if (!node)
		return CUDA_ERROR_INVALID_HANDLE;
	if (node->cache)
		return CUDA_ERROR_INVALID_VALUE;
	result = execute_check_mint(executor, VGPU_KIND_GRAPH, arguments->phGraph);
	if (result)
		return result;
	if (!executor->driver.cuGraphChildGraphNodeGetGraph)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (program_copy_find(executor, node->object, NULL))
		return CUDA_ERROR_INVALID_VALUE;
	result = executor->driver.cuGraphChildGraphNodeGetGraph(node->object, &graph);
	if (result)
		return result;
	execute_mint(executor, arguments->phGraph, request->context, graph);
	graph_embed(executor, arguments->hNode, arguments->phGraph);
	return CUDA_SUCCESS;
}

/* The node must not be what a capture of the graph goes on from. */
CUresult execute_cuGraphDestroyNode(struct executor *executor, const struct request *request,
				    const struct wire_cuGraphDestroyNode *arguments)
{
	const struct handle *node = handles_find(&executor->handles, VGPU_KIND_GRAPH_NODE, arguments->hNode);
	const struct handle *graph;
	CUresult result;

	(void)request;
	if (!node)
		return CUDA_ERROR_INVALID_HANDLE;
	graph = handles_find(&executor->handles, VGPU_KIND_GRAPH, node->owner);
	if ((graph && graph->cache) || is_captured(executor, arguments->hNode))
		return CUDA_ERROR_INVALID_VALUE;
	if (!executor->driver.cuGraphDestroyNode)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = executor->driver.cuGraphDestroyNode(node->object);
	if (!result)
		execute_forget(executor, arguments->hNode);
	return result;
}
