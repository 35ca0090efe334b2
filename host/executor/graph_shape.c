/* SPDX-License-Identifier: Apache-2.0 */
/* Which nodes a graph has, and the edges between them. */
#include <stdlib.h>
#include <string.h>

#include "executor.h"
#include "executor_calls.h"
#include "graph.h"
#include "program_copy.h"
#include "vgpu_graph.h"

/* Nodes of one graph that have ids, in the order of their objects. */
struct named {
	const void *object;
	uint32_t id;
};

struct names {
	struct named *nodes;
	size_t count;
};

static int named_compare(const void *one, const void *other)
{
	uintptr_t a = (uintptr_t)((const struct named *)one)->object;
	uintptr_t b = (uintptr_t)((const struct named *)other)->object;

	return (a > b) - (a < b);
}

static bool names_read(const struct executor *executor, uint32_t graph, struct names *ret_names)
{
	struct names names = {0};
	const struct handle *handle;
	uint32_t index = 0;

	while ((handle = handles_next(&executor->handles, VGPU_KIND_GRAPH_NODE, &index)))
		names.count += handle->owner == graph;
	names.nodes = malloc((names.count ? names.count : 1) * sizeof(*names.nodes));
	if (!names.nodes)
		return false;
	index = 0;
	for (size_t i = 0; i < names.count;) {
		handle = handles_next(&executor->handles, VGPU_KIND_GRAPH_NODE, &index);
		if (handle->owner == graph)
			names.nodes[i++] = (struct named){handle->object, VGPU_ID(VGPU_KIND_GRAPH_NODE, index - 1)};
	}
	qsort(names.nodes, names.count, sizeof(*names.nodes), named_compare);
	*ret_names = names;
	return true;
}

/* 0: it has none. */
static uint32_t name_find(const struct names *names, const void *node)
{
	struct named key = {.object = node};
	const struct named *found = bsearch(&key, names->nodes, names->count, sizeof(key), named_compare);

	return found ? found->id : 0;
}

/* A copy of the program's memory is a memcpy for the guest. */
static CUresult node_type(const struct executor *executor, CUgraphNode node, uint32_t *ret_type)
{
	CUgraphNodeType type;
	CUresult result = executor->driver.cuGraphNodeGetType(node, &type);

	if (result)
		return result;
	*ret_type = (uint32_t)(program_copy_find(executor, node, NULL) ? CU_GRAPH_NODE_TYPE_MEMCPY : type);
	return CUDA_SUCCESS;
}

static CUresult node_name(struct executor *executor, uint32_t graph, CUgraphNode node, uint32_t id, uint32_t *ret_type)
{
	CUresult result = execute_check_mint(executor, VGPU_KIND_GRAPH_NODE, id);

	if (!result)
		result = node_type(executor, node, ret_type);
	if (result)
		return result;
	execute_mint(executor, id, 0, node);
	handles_find(&executor->handles, VGPU_KIND_GRAPH_NODE, id)->owner = graph;
	return CUDA_SUCCESS;
}

CUresult graph_dependencies_write(struct executor *executor, const struct graph_naming *naming,
				  struct vgpu_graph_dependency *wire, size_t *ret_missing)
{
	struct names names;
	size_t unnamed = 0, given = 0;
	CUresult result = CUDA_SUCCESS;

	if (!executor->driver.cuGraphNodeGetType)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!names_read(executor, naming->graph, &names))
		return CUDA_ERROR_OUT_OF_MEMORY;
	for (size_t i = 0; i < naming->count; i++)
		unnamed += !name_find(&names, naming->nodes[i]);
	*ret_missing = unnamed > naming->id_count ? unnamed - naming->id_count : 0;
	for (size_t i = 0; !result && !*ret_missing && i < naming->count; i++) {
		wire[i] = (struct vgpu_graph_dependency){.node = name_find(&names, naming->nodes[i])};
		if (naming->edges)
			wire[i].data = naming->edges[i];
		if (wire[i].node) {
			result = node_type(executor, naming->nodes[i], &wire[i].type);
			continue;
		}
		wire[i].node = naming->ids[given++];
		result = node_name(executor, naming->graph, naming->nodes[i], wire[i].node, &wire[i].type);
	}
	free(names.nodes);
	return result;
}

/* Gives the ids to the first nodes that have none. */
static CUresult nodes_name(struct executor *executor, uint32_t graph, CUgraphNode const *nodes, size_t node_count,
			   const struct names *names, const uint32_t *ids, size_t id_count, uint32_t *types,
			   struct wire_cuGraphGetNodes_reply *reply)
{
	size_t given = 0;
	CUresult result = CUDA_SUCCESS;

	reply->numNodes = node_count;
	for (size_t i = 0; i < node_count && !result; i++) {
		if (name_find(names, nodes[i]))
			continue;
		if (given == id_count) {
			reply->numUnnamed++;
			continue;
		}
		result = node_name(executor, graph, nodes[i], ids[given], &types[given]);
		given += !result;
	}
	reply->types_bytes = (uint32_t)(given * sizeof(*types));
	return result;
}

CUresult execute_cuGraphGetNodes(struct executor *executor, const struct request *request,
				 const struct wire_cuGraphGetNodes *arguments, const void *ids,
				 struct wire_cuGraphGetNodes_reply *reply, void *types, size_t types_capacity)
{
	const struct driver *driver = &executor->driver;
	struct names names = {0};
	CUgraphNode *nodes = NULL;
	size_t count = 0;
	void *graph;
	CUresult result = execute_find(executor, VGPU_KIND_GRAPH, arguments->hGraph, &graph);

	(void)request;
	if (arguments->ids_bytes > VGPU_GRAPH_IDS_MAX * sizeof(uint32_t) || arguments->ids_bytes > types_capacity)
		return EXECUTE_PROTOCOL;
	if (result)
		return result;
	if (!driver->cuGraphGetNodes || !driver->cuGraphNodeGetType)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = driver->cuGraphGetNodes(graph, NULL, &count);
	reply->numNodes = count;
	if (result || !count)
		return result;
	nodes = calloc(count, sizeof(CUgraphNode));
	result = nodes && names_read(executor, arguments->hGraph, &names) ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
	if (!result)
		result = driver->cuGraphGetNodes(graph, nodes, &count);
	if (!result)
		result = nodes_name(executor, arguments->hGraph, nodes, count, &names, ids,
				    arguments->ids_bytes / sizeof(uint32_t), types, reply);
	free(names.nodes);
	free(nodes);
	return result;
}

void graph_edges_end(struct graph_edges *edges)
{
	free(edges->from);
	free(edges->to);
	free(edges->data);
}

static bool edges_make(size_t count, struct graph_edges *edges)
{
	*edges = (struct graph_edges){
		.from = calloc(count ? count : 1, sizeof(CUgraphNode)),
		.to = calloc(count ? count : 1, sizeof(CUgraphNode)),
		.data = calloc(count ? count : 1, sizeof(*edges->data)),
		.count = count,
	};
	return edges->from && edges->to && edges->data;
}

CUresult execute_cuGraphGetEdges_v2(struct executor *executor, const struct request *request,
				    const struct wire_cuGraphGetEdges_v2 *arguments,
				    struct wire_cuGraphGetEdges_v2_reply *reply, void *tail, size_t tail_capacity)
{
	const struct driver *driver = &executor->driver;
	struct vgpu_graph_edge *wire = tail;
	struct graph_edges edges = {0};
	struct names names = {0};
	size_t count = 0, sent = 0;
	void *graph;
	CUresult result = execute_find(executor, VGPU_KIND_GRAPH, arguments->hGraph, &graph);

	(void)request;
	if (result)
		return result;
	if (!driver->cuGraphGetEdges_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = driver->cuGraphGetEdges_v2(graph, NULL, NULL, NULL, &count);
	if (result)
		return result;
	result = edges_make(count, &edges) && names_read(executor, arguments->hGraph, &names)
			 ? CUDA_SUCCESS
			 : CUDA_ERROR_OUT_OF_MEMORY;
	if (!result && count)
		result = driver->cuGraphGetEdges_v2(graph, edges.from, edges.to, edges.data, &edges.count);
	reply->numEdges = edges.count;
	for (size_t i = arguments->first; !result && i < edges.count; i++) {
		if (sent == VGPU_GRAPH_EDGES_MAX || (sent + 1) * sizeof(*wire) > tail_capacity)
			break;
		wire[sent++] = (struct vgpu_graph_edge){
			.from = name_find(&names, edges.from[i]),
			.to = name_find(&names, edges.to[i]),
			.data = edges.data[i],
		};
	}
	reply->edges_bytes = (uint32_t)(sent * sizeof(*wire));
	free(names.nodes);
	graph_edges_end(&edges);
	return result;
}

CUresult execute_cuGraphNodeFindInClone(struct executor *executor, const struct request *request,
					const struct wire_cuGraphNodeFindInClone *arguments,
					struct wire_cuGraphNodeFindInClone_reply *reply)
{
	CUgraphNode found = NULL;
	struct names names;
	void *original, *clone;
	CUresult result = execute_find(executor, VGPU_KIND_GRAPH_NODE, arguments->hOriginalNode, &original);

	(void)request;
	if (!result)
		result = execute_find(executor, VGPU_KIND_GRAPH, arguments->hClonedGraph, &clone);
	if (!result && !executor->driver.cuGraphNodeFindInClone)
		result = CUDA_ERROR_NOT_SUPPORTED;
	if (!result)
		result = executor->driver.cuGraphNodeFindInClone(&found, original, clone);
	if (result)
		return result;
	if (!names_read(executor, arguments->hClonedGraph, &names))
		return CUDA_ERROR_OUT_OF_MEMORY;
	reply->node_out = name_find(&names, found);
	free(names.nodes);
	/* One without an id, or of a graph that is embedded in the copy. */
	return reply->node_out ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/* A node that the guest names as one of the graph. */
static CUresult node_find(const struct executor *executor, uint32_t graph, uint32_t id, CUgraphNode *ret_node)
{
	const struct handle *handle = handles_find(&executor->handles, VGPU_KIND_GRAPH_NODE, id);

	if (!handle)
		return CUDA_ERROR_INVALID_HANDLE;
	if (handle->owner != graph)
		return CUDA_ERROR_INVALID_VALUE;
	*ret_node = handle->object;
	return CUDA_SUCCESS;
}

CUresult graph_edges_read(const struct executor *executor, uint32_t graph, const struct vgpu_graph_edge *wire,
			  size_t bytes, struct graph_edges *ret_edges)
{
	size_t count = bytes / sizeof(*wire);
	CUresult result = CUDA_SUCCESS;

	*ret_edges = (struct graph_edges){0};
	if (count > VGPU_GRAPH_EDGES_MAX)
		return EXECUTE_PROTOCOL;
	if (!edges_make(count, ret_edges))
		return CUDA_ERROR_OUT_OF_MEMORY;
	for (size_t i = 0; i < count && !result; i++) {
		ret_edges->data[i] = wire[i].data;
		result = node_find(executor, graph, wire[i].from, &ret_edges->from[i]);
		if (!result && wire[i].to)
			result = node_find(executor, graph, wire[i].to, &ret_edges->to[i]);
	}
	return result;
}

typedef CUresult dependencies_change(CUgraph graph, const CUgraphNode *from, const CUgraphNode *to,
				     const CUgraphEdgeData *data, size_t count);

static CUresult dependencies_execute(struct executor *executor, uint32_t graph_id, const void *wire, uint32_t bytes,
				     dependencies_change *change)
{
	struct graph_edges edges;
	void *graph;
	CUresult result = execute_find(executor, VGPU_KIND_GRAPH, graph_id, &graph);

	if (result)
		return result;
	if (!change)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = graph_edges_read(executor, graph_id, wire, bytes, &edges);
	for (size_t i = 0; i < edges.count && !result; i++)
		if (!edges.to[i])
			result = CUDA_ERROR_INVALID_VALUE;
	if (!result)
		result = change(graph, edges.from, edges.to, edges.data, edges.count);
	graph_edges_end(&edges);
	return result;
}

CUresult execute_cuGraphAddDependencies_v2(struct executor *executor, const struct request *request,
					   const struct wire_cuGraphAddDependencies_v2 *arguments, const void *edges)
{
	(void)request;
	return dependencies_execute(executor, arguments->hGraph, edges, arguments->edges_bytes,
				    executor->driver.cuGraphAddDependencies_v2);
}

CUresult execute_cuGraphRemoveDependencies_v2(struct executor *executor, const struct request *request,
					      const struct wire_cuGraphRemoveDependencies_v2 *arguments,
					      const void *edges)
{
	(void)request;
	return dependencies_execute(executor, arguments->hGraph, edges, arguments->edges_bytes,
				    executor->driver.cuGraphRemoveDependencies_v2);
}
