/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes of kernel nodes, and what nodes do. */
#include "copy.h"
#include "driver.h"
#include "entry.h"
#include "event.h"
#include "graph_memory.h"
#include "launch.h"

/* Under the lock: a node of the type, and its graph with a reference for the caller. */
static CUresult typed_acquire(CUgraphNode handle, CUgraphNodeType type, struct graph **ret_graph, size_t *ret_index)
{
	CUresult result = graph_node_acquire(handle, ret_graph, ret_index);

	if (result)
		return result;
	if ((*ret_graph)->body->nodes[*ret_index].work->node_type == type)
		return CUDA_SUCCESS;
	object_release(&(*ret_graph)->object);
	return CUDA_ERROR_INVALID_VALUE;
}

static CUresult kernel_acquire(CUgraphNode handle, struct graph **ret_graph, size_t *ret_index)
{
	return typed_acquire(handle, CU_GRAPH_NODE_TYPE_KERNEL, ret_graph, ret_index);
}

static CUresult node_describe(CUgraphNode handle, CUgraphNodeType type, void *ret_parameters)
{
	struct graph *graph;
	struct work *work;
	size_t index;
	CUresult result = driver_check();

	if (!result && !ret_parameters)
		result = CUDA_ERROR_INVALID_VALUE;
	if (result)
		return result;
	graphs_lock();
	result = typed_acquire(handle, type, &graph, &index);
	if (!result) {
		work = graph->body->nodes[index].work;
		if (type == CU_GRAPH_NODE_TYPE_KERNEL)
			launch_work_describe(work, ret_parameters);
		else if (type == CU_GRAPH_NODE_TYPE_MEMCPY)
			copy_work_describe(work, ret_parameters);
		else if (type == CU_GRAPH_NODE_TYPE_MEM_ALLOC)
			graph_allocation_describe(work, ret_parameters);
		else if (type == CU_GRAPH_NODE_TYPE_MEM_FREE)
			*(CUdeviceptr *)ret_parameters = graph_free_address(work);
		else if (type == CU_GRAPH_NODE_TYPE_EVENT_RECORD || type == CU_GRAPH_NODE_TYPE_WAIT_EVENT)
			*(CUevent *)ret_parameters = event_node_event(work);
		else
			fill_work_describe(work, ret_parameters);
		object_release(&graph->object);
	}
	graphs_unlock();
	return result;
}

ENTRY(cuGraphKernelNodeGetParams_v2, (CUgraphNode node, CUDA_KERNEL_NODE_PARAMS *ret_parameters))
{
	return node_describe(node, CU_GRAPH_NODE_TYPE_KERNEL, ret_parameters);
}

ENTRY(cuGraphMemcpyNodeGetParams, (CUgraphNode node, CUDA_MEMCPY3D *ret_copy))
{
	return node_describe(node, CU_GRAPH_NODE_TYPE_MEMCPY, ret_copy);
}

ENTRY(cuGraphMemsetNodeGetParams, (CUgraphNode node, CUDA_MEMSET_NODE_PARAMS *ret_fill))
{
	return node_describe(node, CU_GRAPH_NODE_TYPE_MEMSET, ret_fill);
}

ENTRY(cuGraphMemAllocNodeGetParams, (CUgraphNode node, CUDA_MEM_ALLOC_NODE_PARAMS *ret_allocation))
{
	return node_describe(node, CU_GRAPH_NODE_TYPE_MEM_ALLOC, ret_allocation);
}

ENTRY(cuGraphMemFreeNodeGetParams, (CUgraphNode node, CUdeviceptr *ret_address))
{
	return node_describe(node, CU_GRAPH_NODE_TYPE_MEM_FREE, ret_address);
}

ENTRY(cuGraphEventRecordNodeGetEvent, (CUgraphNode node, CUevent *ret_event))
{
	return node_describe(node, CU_GRAPH_NODE_TYPE_EVENT_RECORD, ret_event);
}

ENTRY(cuGraphEventWaitNodeGetEvent, (CUgraphNode node, CUevent *ret_event))
{
	return node_describe(node, CU_GRAPH_NODE_TYPE_WAIT_EVENT, ret_event);
}

static CUresult attribute_set(CUgraphNode handle, const CUlaunchAttribute *attribute)
{
	struct graph *graph;
	struct work *work;
	size_t index;
	CUresult result = kernel_acquire(handle, &graph, &index);

	if (result)
		return result;
	if (!graph_body_own(&graph->body))
		result = CUDA_ERROR_OUT_OF_MEMORY;
	if (!result)
		result = launch_work_with(graph->body->nodes[index].work, attribute, &work);
	if (!result)
		graph_node_replace(&graph->body->nodes[index], work);
	object_release(&graph->object);
	return result;
}

ENTRY(cuGraphKernelNodeSetAttribute, (CUgraphNode node, CUkernelNodeAttrID id, const CUkernelNodeAttrValue *value))
{
	CUresult result = driver_check();

	if (!result && !value)
		result = CUDA_ERROR_INVALID_VALUE;
	if (result)
		return result;
	graphs_lock();
	result = attribute_set(node, &(const CUlaunchAttribute){.id = id, .value = *value});
	graphs_unlock();
	return result;
}

static CUresult attributes_copy(CUgraphNode to, CUgraphNode from)
{
	struct graph *graph, *source;
	size_t index, source_index;
	struct work *work;
	CUresult result = kernel_acquire(from, &source, &source_index);

	if (result)
		return result;
	result = kernel_acquire(to, &graph, &index);
	if (result)
		goto release_source;
	if (!graph_body_own(&graph->body))
		result = CUDA_ERROR_OUT_OF_MEMORY;
	if (!result)
		result = launch_work_with(graph->body->nodes[index].work,
					  &(const CUlaunchAttribute){.id = CU_LAUNCH_ATTRIBUTE_IGNORE}, &work);
	if (!result) {
		result = launch_work_inherit(work, source->body->nodes[source_index].work);
		if (result)
			work_discard(work);
		else
			graph_node_replace(&graph->body->nodes[index], work);
	}
	object_release(&graph->object);
release_source:
	object_release(&source->object);
	return result;
}

ENTRY(cuGraphKernelNodeCopyAttributes, (CUgraphNode to, CUgraphNode from))
{
	CUresult result = driver_check();

	if (result)
		return result;
	graphs_lock();
	result = attributes_copy(to, from);
	graphs_unlock();
	return result;
}

ENTRY(cuGraphKernelNodeGetAttribute, (CUgraphNode node, CUkernelNodeAttrID id, CUkernelNodeAttrValue *ret_value))
{
	struct graph *graph;
	size_t index;
	CUresult result = driver_check();

	if (!result && !ret_value)
		result = CUDA_ERROR_INVALID_VALUE;
	if (result)
		return result;
	graphs_lock();
	result = kernel_acquire(node, &graph, &index);
	if (!result) {
		launch_work_attribute(graph->body->nodes[index].work, id, ret_value);
		object_release(&graph->object);
	}
	graphs_unlock();
	return result;
}
