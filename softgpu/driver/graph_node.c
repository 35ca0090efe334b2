/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes of graphs: made, changed and asked about one by one. */
#include <stdlib.h>
#include <string.h>

#include "copy.h"
#include "device_table.h"
#include "driver.h"
#include "entry.h"
#include "event.h"
#include "graph_memory.h"
#include "launch.h"

struct node_handle {
	struct object object;
	struct graph *graph; /* a reference */
	uint64_t key;
};

static void handle_destroy(struct object *object)
{
	object_release(&((struct node_handle *)object)->graph->object);
	free(object);
}

void graph_node_retire(struct graph_node *node)
{
	if (node->handle)
		object_release(object_retire(node->handle, OBJECT_GRAPH_NODE));
	if (node->children)
		graph_children_end(node->children, graph_work_count(node->work));
	node->children = NULL;
}

CUresult graph_node_handle(struct graph *graph, size_t index, CUgraphNode *ret_handle)
{
	struct graph_node *node = &graph->body->nodes[index];
	struct node_handle *handle = node->handle;

	if (!handle) {
		handle = calloc(1, sizeof(*handle));
		if (!handle)
			return CUDA_ERROR_OUT_OF_MEMORY;
		object_prepare(&handle->object, OBJECT_GRAPH_NODE, NULL, handle_destroy);
		handle->graph = graph;
		object_retain(&graph->object);
		handle->key = node->key;
		if (!object_publish(&handle->object)) {
			object_release(&handle->object);
			return CUDA_ERROR_OUT_OF_MEMORY;
		}
		node->handle = handle;
	}
	*ret_handle = (CUgraphNode)handle;
	return CUDA_SUCCESS;
}

CUresult graph_node_acquire(CUgraphNode handle, struct graph **ret_graph, size_t *ret_index)
{
	struct node_handle *node = object_acquire(handle, OBJECT_GRAPH_NODE);
	struct graph *graph;

	if (!node)
		return CUDA_ERROR_INVALID_VALUE;
	graph = node->graph;
	if (!graph_body_find(graph->body, node->key, ret_index)) {
		object_release(&node->object);
		return CUDA_ERROR_INVALID_VALUE;
	}
	object_retain(&graph->object);
	object_release(&node->object);
	*ret_graph = graph;
	return CUDA_SUCCESS;
}

CUresult graph_node_find(const struct graph *graph, CUgraphNode handle, size_t *ret_index)
{
	struct graph *owner;
	CUresult result = graph_node_acquire(handle, &owner, ret_index);

	if (result)
		return result;
	object_release(&owner->object);
	return owner == graph ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static bool edge_is_plain(const CUgraphEdgeData *edge)
{
	static const CUgraphEdgeData plain;

	return memcmp(edge, &plain, sizeof(plain)) == 0;
}

static CUresult memset_work_make(const CUDA_MEMSET_NODE_PARAMS_v2 *parameters, struct work **ret_work)
{
	return fill_work_make(
		&(struct fill){
			.address = parameters->dst,
			.row_bytes = parameters->pitch,
			.width = parameters->width,
			.rows = parameters->height,
			.value = parameters->value,
			.element_bytes = parameters->elementSize,
		},
		ret_work);
}

static CUresult allocation_work_make(const CUDA_MEM_ALLOC_NODE_PARAMS *parameters, struct work **ret_work)
{
	const CUmemPoolProps *properties = &parameters->poolProps;
	CUdeviceptr address;

	if (properties->allocType != CU_MEM_ALLOCATION_TYPE_PINNED ||
	    properties->handleTypes != CU_MEM_HANDLE_TYPE_NONE ||
	    properties->location.type != CU_MEM_LOCATION_TYPE_DEVICE || !device_exists(properties->location.id))
		return CUDA_ERROR_INVALID_VALUE;
	return graph_allocation_work(properties->location.id, parameters->bytesize, &address, ret_work);
}

CUresult graph_node_work_make(const CUgraphNodeParams *parameters, struct work **ret_work)
{
	switch (parameters->type) {
	case CU_GRAPH_NODE_TYPE_KERNEL:
		return launch_work_make(&parameters->kernel, ret_work);
	case CU_GRAPH_NODE_TYPE_MEMCPY:
		return copy_3d_work_make(&parameters->memcpy.copyParams, ret_work);
	case CU_GRAPH_NODE_TYPE_MEMSET:
		return memset_work_make(&parameters->memset, ret_work);
	case CU_GRAPH_NODE_TYPE_GRAPH:
		return graph_child_work_make(&parameters->graph, ret_work);
	case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
		return event_record_node(parameters->eventRecord.event, ret_work);
	case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
		return event_wait_node(parameters->eventWait.event, ret_work);
	case CU_GRAPH_NODE_TYPE_HOST:
		if (!parameters->host.fn)
			return CUDA_ERROR_INVALID_VALUE;
		*ret_work = work_host_function(parameters->host.fn, parameters->host.userData);
		return *ret_work ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
	case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
		return allocation_work_make(&parameters->alloc, ret_work);
	case CU_GRAPH_NODE_TYPE_MEM_FREE:
		return graph_free_work(parameters->free.dptr, ret_work);
	case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
		return batch_work_make(&parameters->memOp, ret_work);
	case CU_GRAPH_NODE_TYPE_CONDITIONAL:
		return conditional_work_make(&parameters->conditional, ret_work);
	case CU_GRAPH_NODE_TYPE_EMPTY:
		*ret_work = work_nothing();
		return *ret_work ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
	default:
		return CUDA_ERROR_NOT_SUPPORTED;
	}
}

CUresult graph_nodes_find(const struct graph *graph, const CUgraphNode *dependencies, const CUgraphEdgeData *edges,
			  size_t count, size_t *indices)
{
	for (size_t place = 0; place < count; place++) {
		CUresult result = graph_node_find(graph, dependencies[place], &indices[place]);

		if (result)
			return result;
		if (edges && !edge_is_plain(&edges[place]))
			return CUDA_ERROR_NOT_SUPPORTED;
		for (size_t earlier = 0; earlier < place; earlier++)
			if (indices[earlier] == indices[place])
				return CUDA_ERROR_INVALID_VALUE;
	}
	return CUDA_SUCCESS;
}

/* Under the lock.  Takes the work on success. */
static CUresult node_add(struct graph *graph, struct work *work, const size_t *dependencies, size_t count,
			 CUgraphNode *ret_node)
{
	CUresult result;

	if (!graph_body_own(&graph->body) || !graph_body_append(graph->body, work, dependencies, count))
		return CUDA_ERROR_OUT_OF_MEMORY;
	result = graph_node_handle(graph, graph->body->count - 1, ret_node);
	if (result) {
		work->further_nodes++; /* the caller's */
		graph_body_remove(graph->body, graph->body->count - 1);
	}
	return result;
}

/* Under the lock.  Takes the work on success. */
static CUresult node_add_described(struct graph *graph, struct work *work, const size_t *dependencies, size_t count,
				   CUgraphNodeParams *parameters, CUgraphNode *ret_node)
{
	bool is_conditional = parameters->type == CU_GRAPH_NODE_TYPE_CONDITIONAL;
	struct graph **children;
	CUresult result = graph_children_take(graph, parameters, work, &children);

	if (result)
		return result;
	result = node_add(graph, work, dependencies, count, ret_node);
	if (result) {
		/* One that is moved is the caller's still. */
		graph_children_end(children, is_conditional ? graph_work_count(work) : 0);
		return result;
	}
	graph->body->nodes[graph->body->count - 1].children = children;
	if (children && !is_conditional)
		children[0]->is_owned = true;
	if (is_conditional)
		parameters->conditional.phGraph_out = (CUgraph *)children;
	if (parameters->type == CU_GRAPH_NODE_TYPE_MEM_ALLOC)
		graph_allocation_describe(work, &parameters->alloc);
	return CUDA_SUCCESS;
}

ENTRY(cuGraphAddNode_v2, (CUgraphNode * ret_node, CUgraph handle, const CUgraphNode *dependencies,
			  const CUgraphEdgeData *edges, size_t count, CUgraphNodeParams *parameters))
{
	struct work *work = NULL;
	struct graph *graph;
	size_t *indices;
	CUresult result;

	if (!ret_node || !parameters || (count && !dependencies))
		return CUDA_ERROR_INVALID_VALUE;
	result = graph_acquire(handle, &graph);
	if (result)
		return result;
	indices = calloc(count ? count : 1, sizeof(*indices));
	result = indices ? graph_node_work_make(parameters, &work) : CUDA_ERROR_OUT_OF_MEMORY;
	if (!result) {
		graphs_lock();
		result = graph_nodes_find(graph, dependencies, edges, count, indices);
		if (!result)
			result = node_add_described(graph, work, indices, count, parameters, ret_node);
		graphs_unlock();
		if (result)
			work_discard(work);
	}
	free(indices);
	object_release(&graph->object);
	return result;
}

/* Under the lock. */
static CUresult parameters_replace(struct graph_body **body, size_t index, struct work *work)
{
	if ((*body)->nodes[index].work->node_type != work->node_type || (*body)->nodes[index].children ||
	    work->node_type == CU_GRAPH_NODE_TYPE_MEM_ALLOC || work->node_type == CU_GRAPH_NODE_TYPE_MEM_FREE)
		return CUDA_ERROR_INVALID_VALUE;
	if (work->node_type == CU_GRAPH_NODE_TYPE_KERNEL) {
		CUresult result = launch_work_inherit(work, (*body)->nodes[index].work);

		if (result)
			return result;
	}
	if (!graph_body_own(body))
		return CUDA_ERROR_OUT_OF_MEMORY;
	graph_node_replace(&(*body)->nodes[index], work);
	return CUDA_SUCCESS;
}

ENTRY(cuGraphNodeSetParams, (CUgraphNode node, CUgraphNodeParams *parameters))
{
	struct graph *graph;
	struct work *work;
	size_t index;
	CUresult result = driver_check();

	if (!result)
		result = parameters ? graph_node_work_make(parameters, &work) : CUDA_ERROR_INVALID_VALUE;
	if (result)
		return result;
	graphs_lock();
	result = graph_node_acquire(node, &graph, &index);
	if (!result) {
		result = parameters_replace(&graph->body, index, work);
		object_release(&graph->object);
	}
	graphs_unlock();
	if (result)
		work_discard(work);
	return result;
}

ENTRY(cuGraphDestroyNode, (CUgraphNode handle))
{
	struct graph *graph;
	size_t index;
	CUresult result = driver_check();

	if (result)
		return result;
	graphs_lock();
	result = graph_node_acquire(handle, &graph, &index);
	if (result)
		goto unlock;
	if (graph_body_has_memory(graph->body))
		result = CUDA_ERROR_NOT_SUPPORTED;
	else if (!graph_body_own(&graph->body))
		result = CUDA_ERROR_OUT_OF_MEMORY;
	if (!result) {
		graph_node_retire(&graph->body->nodes[index]);
		graph_body_remove(graph->body, index);
	}
	object_release(&graph->object);
unlock:
	graphs_unlock();
	return result;
}

ENTRY(cuGraphNodeGetType, (CUgraphNode node, CUgraphNodeType *ret_type))
{
	struct graph *graph;
	size_t index;
	CUresult result = driver_check();

	if (!result && !ret_type)
		result = CUDA_ERROR_INVALID_VALUE;
	if (result)
		return result;
	graphs_lock();
	result = graph_node_acquire(node, &graph, &index);
	if (!result) {
		*ret_type = graph->body->nodes[index].work->node_type;
		object_release(&graph->object);
	}
	graphs_unlock();
	return result;
}

ENTRY(cuGraphGetNodes, (CUgraph handle, CUgraphNode *nodes, size_t *ret_count))
{
	struct graph *graph;
	CUresult result;

	if (!ret_count)
		return CUDA_ERROR_INVALID_VALUE;
	result = graph_acquire(handle, &graph);
	if (result)
		return result;
	graphs_lock();
	if (nodes && !graph_body_own(&graph->body))
		result = CUDA_ERROR_OUT_OF_MEMORY;
	for (size_t index = 0; !result && nodes && index < *ret_count; index++) {
		nodes[index] = NULL;
		if (index < graph->body->count)
			result = graph_node_handle(graph, index, &nodes[index]);
	}
	if (!result && (!nodes || *ret_count > graph->body->count))
		*ret_count = graph->body->count;
	graphs_unlock();
	object_release(&graph->object);
	return result;
}

/* The node's work, with the lock, which the caller releases; on failure it is released. 'answer' must not be NULL. */
static CUresult work_lock(CUgraphNode node, const void *answer, struct work **ret_work)
{
	struct graph *graph;
	size_t index;
	CUresult result = driver_check();

	if (!result && !answer)
		result = CUDA_ERROR_INVALID_VALUE;
	if (result)
		return result;
	graphs_lock();
	result = graph_node_acquire(node, &graph, &index);
	if (result) {
		graphs_unlock();
		return result;
	}
	*ret_work = graph->body->nodes[index].work;
	object_release(&graph->object);
	return CUDA_SUCCESS;
}

ENTRY(cuGraphHostNodeGetParams, (CUgraphNode node, CUDA_HOST_NODE_PARAMS *ret_parameters))
{
	struct work *work;
	CUresult result = work_lock(node, ret_parameters, &work);

	if (result)
		return result;
	if (!work_host_function_read(work, ret_parameters))
		result = CUDA_ERROR_INVALID_VALUE;
	graphs_unlock();
	return result;
}

/* The operations are the node's. */
ENTRY(cuGraphBatchMemOpNodeGetParams, (CUgraphNode node, CUDA_BATCH_MEM_OP_NODE_PARAMS *ret_parameters))
{
	struct work *work;
	CUresult result = work_lock(node, ret_parameters, &work);

	if (result)
		return result;
	if (!batch_work_read(work, ret_parameters))
		result = CUDA_ERROR_INVALID_VALUE;
	graphs_unlock();
	return result;
}
