/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes that the program adds to graphs itself. */
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "graph_node.h"
#include "host_calls.h"
#include "session.h"

struct addition {
	struct object *graph;
	const CUgraphNode *dependencies;
	const CUgraphEdgeData *edges; /* NULL: all plain */
	size_t count;
};

/* A node with as many edges as fit into one record; more follow it. */
static CUresult node_send(const struct addition *addition, const struct node_content *content, uint32_t node,
			  const struct vgpu_graph_edge *edges)
{
	uint32_t first = addition->count < VGPU_GRAPH_EDGES_MAX ? (uint32_t)addition->count : VGPU_GRAPH_EDGES_MAX;
	const struct vgpu_graph_node head = {.type = content->wire_type, .edge_count = first};
	size_t edge_bytes = first * sizeof(*edges), bytes = sizeof(head) + edge_bytes + content->wire_bytes;
	uint8_t *tail = malloc(bytes);
	CUresult result;

	if (!tail)
		return CUDA_ERROR_OUT_OF_MEMORY;
	memcpy(tail, &head, sizeof(head));
	for (uint32_t i = 0; i < first; i++) {
		const struct vgpu_graph_edge edge = {.from = edges[i].from, .data = edges[i].data};

		memcpy(tail + sizeof(head) + i * sizeof(edge), &edge, sizeof(edge));
	}
	memcpy(tail + sizeof(head) + edge_bytes, node_content_wire(content), content->wire_bytes);
	result = host_cuGraphAddNode_v2(content->context, node, addition->graph->id, tail, (uint32_t)bytes);
	free(tail);
	if (result || first == addition->count)
		return result;
	result = graph_edges_send(content->context, addition->graph->id, edges + first, addition->count - first, true);
	if (result)
		/* Its own result is nobody's: the call has failed already. */
		(void)host_cuGraphDestroyNode(content->context, node);
	return result;
}

/* Under the lock.  Takes the object on success. */
static CUresult object_add(const struct addition *addition, const struct node_content *content, struct object *object,
			   struct graph_node **ret_node)
{
	struct vgpu_graph_edge *edges = malloc((addition->count ? addition->count : 1) * sizeof(*edges));
	struct graph_node *node = NULL;
	bool is_connected = true;
	CUresult result;

	if (!edges)
		return CUDA_ERROR_OUT_OF_MEMORY;
	result = graph_edges_write(addition->graph, addition->dependencies, addition->edges, addition->count,
				   object->id, edges);
	if (!result)
		result = node_send(addition, content, object->id, edges);
	if (result)
		goto end;
	node = graph_node_append(addition->graph, object, content->parameters.type);
	for (size_t i = 0; node && i < addition->count && is_connected; i++)
		is_connected =
			graph_node_connect(node, ((struct object *)addition->dependencies[i])->detail, &edges[i].data);
	if (node && is_connected && content->wire.child.ownership == CU_GRAPH_CHILD_GRAPH_OWNERSHIP_MOVE &&
	    content->parameters.type == CU_GRAPH_NODE_TYPE_GRAPH)
		is_connected = graph_node_embed(node, (struct object *)content->parameters.graph.graph);
	if (!node || !is_connected) {
		result = CUDA_ERROR_OUT_OF_MEMORY;
		(void)host_cuGraphDestroyNode(content->context, object->id);
	}
	*ret_node = node;
end:
	free(edges);
	return result;
}

/* The bodies of a conditional node are the node's from now on. */
static void content_take(struct graph_node *node, struct node_content *content)
{
	node->content = content;
	node->bodies = content->bodies;
	node->body_count = content->body_count;
	content->bodies = NULL;
	content->body_count = 0;
}

/* Takes the content in every case. */
static CUresult node_add(const struct addition *addition, struct node_content *content, CUgraphNode *ret_node)
{
	struct object *object = object_mint(VGPU_KIND_GRAPH_NODE, 0);
	struct graph_node *node = NULL;
	CUresult result = CUDA_ERROR_OUT_OF_MEMORY;

	if (object) {
		graphs_lock();
		result = object_add(addition, content, object, &node);
		/* Where memory is that the node allocates, the host is to tell. */
		if (!result && content->parameters.type == CU_GRAPH_NODE_TYPE_MEM_ALLOC)
			node_content_free(content);
		else if (!result)
			content_take(node, content);
		else if (node)
			graph_node_remove(node);
		else
			object_release(object);
		graphs_unlock();
	}
	if (result)
		node_content_abandon(content);
	else
		*ret_node = (CUgraphNode)object;
	return result;
}

static CUresult add(CUgraphNode *ret_node, CUgraph graph, const CUgraphNode *dependencies, const CUgraphEdgeData *edges,
		    size_t count, const CUgraphNodeParams *parameters)
{
	struct addition addition = {.dependencies = dependencies, .edges = edges, .count = count};
	struct node_content *content;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	if (!ret_node || !parameters || (count && !dependencies))
		return CUDA_ERROR_INVALID_VALUE;
	addition.graph = object_find(graph, VGPU_KIND_GRAPH);
	if (!addition.graph)
		return CUDA_ERROR_INVALID_VALUE;
	result = node_content_make(parameters, context, false, &content);
	return result ? result : node_add(&addition, content, ret_node);
}

/* The program gets the list that the node has of its bodies. */
static CUresult bodies_tell(CUgraphNode handle, CUgraphNodeParams *parameters)
{
	struct graph_node *node;
	CUresult result;

	graphs_lock();
	result = graph_node_find(handle, &node);
	if (!result)
		parameters->conditional.phGraph_out = node->content->parameters.conditional.phGraph_out;
	graphs_unlock();
	return result;
}

/* Tells the address of what a new node allocates, and the bodies of a conditional node. */
static CUresult add_and_tell(CUgraphNode *ret_node, CUgraph graph, const CUgraphNode *dependencies,
			     const CUgraphEdgeData *edges, size_t count, CUgraphNodeParams *parameters)
{
	CUDA_MEM_ALLOC_NODE_PARAMS allocation;
	CUresult result = add(ret_node, graph, dependencies, edges, count, parameters);

	if (!result && parameters->type == CU_GRAPH_NODE_TYPE_CONDITIONAL)
		return bodies_tell(*ret_node, parameters);
	if (result || parameters->type != CU_GRAPH_NODE_TYPE_MEM_ALLOC)
		return result;
	result = graph_allocation_get(*ret_node, &allocation);
	if (!result)
		parameters->alloc.dptr = allocation.dptr;
	return result;
}

API(cuGraphAddNode_v2, CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies, const CUgraphEdgeData *edges,
    size_t count, CUgraphNodeParams *parameters)
{
	return add_and_tell(node, graph, dependencies, edges, count, parameters);
}

API(cuGraphAddNode, CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies, size_t count,
    CUgraphNodeParams *parameters)
{
	return add_and_tell(node, graph, dependencies, NULL, count, parameters);
}

API(cuGraphAddMemAllocNode, CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies, size_t count,
    CUDA_MEM_ALLOC_NODE_PARAMS *allocation)
{
	CUgraphNodeParams parameters = {.type = CU_GRAPH_NODE_TYPE_MEM_ALLOC};
	CUresult result;

	if (!allocation)
		return session_ready() ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_NOT_INITIALIZED;
	parameters.alloc = *allocation;
	result = add_and_tell(node, graph, dependencies, NULL, count, &parameters);
	if (!result)
		allocation->dptr = parameters.alloc.dptr;
	return result;
}

API(cuGraphAddMemFreeNode, CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies, size_t count,
    CUdeviceptr address)
{
	const CUgraphNodeParams parameters = {.type = CU_GRAPH_NODE_TYPE_MEM_FREE, .free.dptr = address};

	return add(node, graph, dependencies, NULL, count, &parameters);
}

API(cuGraphAddEmptyNode, CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies, size_t count)
{
	const CUgraphNodeParams parameters = {.type = CU_GRAPH_NODE_TYPE_EMPTY};

	return add(node, graph, dependencies, NULL, count, &parameters);
}

API(cuGraphAddChildGraphNode, CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies, size_t count,
    CUgraph child)
{
	const CUgraphNodeParams parameters = {.type = CU_GRAPH_NODE_TYPE_GRAPH, .graph.graph = child};

	return add(node, graph, dependencies, NULL, count, &parameters);
}

API(cuGraphAddEventRecordNode, CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies, size_t count,
    CUevent event)
{
	const CUgraphNodeParams parameters = {.type = CU_GRAPH_NODE_TYPE_EVENT_RECORD, .eventRecord.event = event};

	return add(node, graph, dependencies, NULL, count, &parameters);
}

API(cuGraphAddEventWaitNode, CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies, size_t count,
    CUevent event)
{
	const CUgraphNodeParams parameters = {.type = CU_GRAPH_NODE_TYPE_WAIT_EVENT, .eventWait.event = event};

	return add(node, graph, dependencies, NULL, count, &parameters);
}

API(cuGraphAddHostNode, CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies, size_t count,
    const CUDA_HOST_NODE_PARAMS *host)
{
	CUgraphNodeParams parameters;

	return add(node, graph, dependencies, NULL, count, node_parameters_of_host(host, &parameters));
}

API(cuGraphAddKernelNode_v2, CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies, size_t count,
    const CUDA_KERNEL_NODE_PARAMS *kernel)
{
	CUgraphNodeParams parameters;

	return add(node, graph, dependencies, NULL, count, node_parameters_of_kernel(kernel, &parameters));
}

API(cuGraphAddKernelNode, CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies, size_t count,
    const CUDA_KERNEL_NODE_PARAMS_v1 *kernel)
{
	CUgraphNodeParams parameters;

	return add(node, graph, dependencies, NULL, count, node_parameters_of_kernel_v1(kernel, &parameters));
}

API(cuGraphAddBatchMemOpNode, CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies, size_t count,
    const CUDA_BATCH_MEM_OP_NODE_PARAMS *batch)
{
	CUgraphNodeParams parameters;

	return add(node, graph, dependencies, NULL, count, node_parameters_of_batch(batch, &parameters));
}

API(cuGraphAddMemcpyNode, CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies, size_t count,
    const CUDA_MEMCPY3D *copy, CUcontext context)
{
	CUgraphNodeParams parameters;

	return add(node, graph, dependencies, NULL, count, node_parameters_of_memcpy(copy, context, &parameters));
}

API(cuGraphAddMemsetNode, CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies, size_t count,
    const CUDA_MEMSET_NODE_PARAMS *fill, CUcontext context)
{
	CUgraphNodeParams parameters;

	return add(node, graph, dependencies, NULL, count, node_parameters_of_memset(fill, context, &parameters));
}
