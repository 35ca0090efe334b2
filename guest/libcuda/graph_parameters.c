/* SPDX-License-Identifier: Apache-2.0 */
/* What nodes of graphs and of executable graphs do, changed and told. */
#include <stdlib.h>
#include <string.h>

#include "graph_node.h"
#include "host_calls.h"
#include "session.h"

const CUgraphNodeParams *node_parameters_of_kernel(const CUDA_KERNEL_NODE_PARAMS *kernel, CUgraphNodeParams *memory)
{
	if (!kernel)
		return NULL;
	*memory = (CUgraphNodeParams){.type = CU_GRAPH_NODE_TYPE_KERNEL, .kernel = *kernel};
	return memory;
}

const CUgraphNodeParams *node_parameters_of_kernel_v1(const CUDA_KERNEL_NODE_PARAMS_v1 *kernel,
						      CUgraphNodeParams *memory)
{
	if (!kernel)
		return NULL;
	*memory = (CUgraphNodeParams){.type = CU_GRAPH_NODE_TYPE_KERNEL};
	/* The later form begins with the earlier one. */
	memcpy(&memory->kernel, kernel, sizeof(*kernel));
	return memory;
}

const CUgraphNodeParams *node_parameters_of_memcpy(const CUDA_MEMCPY3D *copy, CUcontext context,
						   CUgraphNodeParams *memory)
{
	if (!copy)
		return NULL;
	*memory = (CUgraphNodeParams){.type = CU_GRAPH_NODE_TYPE_MEMCPY};
	memory->memcpy.copyCtx = context;
	memory->memcpy.copyParams = *copy;
	return memory;
}

const CUgraphNodeParams *node_parameters_of_memset(const CUDA_MEMSET_NODE_PARAMS *fill, CUcontext context,
						   CUgraphNodeParams *memory)
{
	if (!fill)
		return NULL;
	*memory = (CUgraphNodeParams){.type = CU_GRAPH_NODE_TYPE_MEMSET};
	/* The later form begins with the earlier one. */
	memcpy(&memory->memset, fill, sizeof(*fill));
	memory->memset.ctx = context;
	return memory;
}

const CUgraphNodeParams *node_parameters_of_batch(const CUDA_BATCH_MEM_OP_NODE_PARAMS *batch, CUgraphNodeParams *memory)
{
	if (!batch)
		return NULL;
	*memory = (CUgraphNodeParams){.type = CU_GRAPH_NODE_TYPE_BATCH_MEM_OP, .memOp = *batch};
	return memory;
}

const CUgraphNodeParams *node_parameters_of_host(const CUDA_HOST_NODE_PARAMS *host, CUgraphNodeParams *memory)
{
	if (!host)
		return NULL;
	*memory = (CUgraphNodeParams){.type = CU_GRAPH_NODE_TYPE_HOST, .host = *host};
	return memory;
}

static CUresult content_send(const struct node_content *content, uint32_t exec, uint32_t node)
{
	const struct vgpu_graph_node head = {.type = content->wire_type};
	size_t bytes = sizeof(head) + content->wire_bytes;
	uint8_t *tail = malloc(bytes);
	CUresult result;

	if (!tail)
		return CUDA_ERROR_OUT_OF_MEMORY;
	memcpy(tail, &head, sizeof(head));
	memcpy(tail + sizeof(head), node_content_wire(content), content->wire_bytes);
	result = exec ? host_cuGraphExecNodeSetParams(content->context, exec, node, tail, (uint32_t)bytes)
		      : host_cuGraphNodeSetParams(content->context, node, tail, (uint32_t)bytes);
	free(tail);
	return result;
}

/* Of a node in an executable graph or, with exec 0, of the node itself, which then has the content. */
static CUresult content_set(uint32_t exec, CUgraphNode handle, struct node_content *content)
{
	struct graph_node *node;
	CUresult result = graph_node_find(handle, &node);

	if (!result && node->type != content->parameters.type)
		result = CUDA_ERROR_INVALID_VALUE;
	if (!result)
		result = content_send(content, exec, node->object->id);
	if (result) {
		node_content_abandon(content);
		return result;
	}
	if (exec) {
		node_content_free(content);
		return CUDA_SUCCESS;
	}
	node_content_free(node->content);
	node->content = content;
	return CUDA_SUCCESS;
}

/* Is the node a copy of the program's memory? The host may have made it. */
static bool is_program_copy(CUgraphNode handle, uint32_t context)
{
	struct graph_node *node;
	bool is_one = false;

	graphs_lock();
	if (!graph_node_find(handle, &node) && node->type == CU_GRAPH_NODE_TYPE_MEMCPY) {
		if (!node->content)
			(void)node_content_learn(node, context, &node->content);
		is_one = node->content && node->content->wire_type == VGPU_GRAPH_PROGRAM_COPY;
	}
	graphs_unlock();
	return is_one;
}

static CUresult set(const CUgraphExec *exec, CUgraphNode node, const CUgraphNodeParams *parameters)
{
	struct node_content *content;
	uint32_t context, exec_id = 0;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	if (!parameters)
		return CUDA_ERROR_INVALID_VALUE;
	/* What could be changed of one is not documented. */
	if (parameters->type == CU_GRAPH_NODE_TYPE_CONDITIONAL)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (exec)
		result = object_id(*exec, VGPU_KIND_GRAPH_EXEC, &exec_id);
	if (!result)
		result = node_content_make(
			parameters, context,
			parameters->type == CU_GRAPH_NODE_TYPE_MEMCPY && is_program_copy(node, context), &content);
	if (result)
		return result;
	graphs_lock();
	result = content_set(exec_id, node, content);
	graphs_unlock();
	return result;
}

API(cuGraphNodeSetParams, CUgraphNode node, CUgraphNodeParams *parameters)
{
	return set(NULL, node, parameters);
}

API(cuGraphExecNodeSetParams, CUgraphExec exec, CUgraphNode node, CUgraphNodeParams *parameters)
{
	return set(&exec, node, parameters);
}

API(cuGraphKernelNodeSetParams_v2, CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS *kernel)
{
	CUgraphNodeParams parameters;

	return set(NULL, node, node_parameters_of_kernel(kernel, &parameters));
}

API(cuGraphKernelNodeSetParams, CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS_v1 *kernel)
{
	CUgraphNodeParams parameters;

	return set(NULL, node, node_parameters_of_kernel_v1(kernel, &parameters));
}

API(cuGraphMemcpyNodeSetParams, CUgraphNode node, const CUDA_MEMCPY3D *copy)
{
	CUgraphNodeParams parameters;

	return set(NULL, node, node_parameters_of_memcpy(copy, NULL, &parameters));
}

API(cuGraphMemsetNodeSetParams, CUgraphNode node, const CUDA_MEMSET_NODE_PARAMS *fill)
{
	CUgraphNodeParams parameters;

	return set(NULL, node, node_parameters_of_memset(fill, NULL, &parameters));
}

API(cuGraphExecKernelNodeSetParams_v2, CUgraphExec exec, CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS *kernel)
{
	CUgraphNodeParams parameters;

	return set(&exec, node, node_parameters_of_kernel(kernel, &parameters));
}

API(cuGraphExecKernelNodeSetParams, CUgraphExec exec, CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS_v1 *kernel)
{
	CUgraphNodeParams parameters;

	return set(&exec, node, node_parameters_of_kernel_v1(kernel, &parameters));
}

API(cuGraphExecMemcpyNodeSetParams, CUgraphExec exec, CUgraphNode node, const CUDA_MEMCPY3D *copy, CUcontext context)
{
	CUgraphNodeParams parameters;

	return set(&exec, node, node_parameters_of_memcpy(copy, context, &parameters));
}

API(cuGraphExecMemsetNodeSetParams, CUgraphExec exec, CUgraphNode node, const CUDA_MEMSET_NODE_PARAMS *fill,
    CUcontext context)
{
	CUgraphNodeParams parameters;

	return set(&exec, node, node_parameters_of_memset(fill, context, &parameters));
}

API(cuGraphExecChildGraphNodeSetParams, CUgraphExec exec, CUgraphNode node, CUgraph child)
{
	const CUgraphNodeParams parameters = {.type = CU_GRAPH_NODE_TYPE_GRAPH, .graph.graph = child};

	return set(&exec, node, &parameters);
}

API(cuGraphHostNodeSetParams, CUgraphNode node, const CUDA_HOST_NODE_PARAMS *host)
{
	CUgraphNodeParams parameters;

	return set(NULL, node, node_parameters_of_host(host, &parameters));
}

API(cuGraphExecHostNodeSetParams, CUgraphExec exec, CUgraphNode node, const CUDA_HOST_NODE_PARAMS *host)
{
	CUgraphNodeParams parameters;

	return set(&exec, node, node_parameters_of_host(host, &parameters));
}

API(cuGraphBatchMemOpNodeSetParams, CUgraphNode node, const CUDA_BATCH_MEM_OP_NODE_PARAMS *batch)
{
	CUgraphNodeParams parameters;

	return set(NULL, node, node_parameters_of_batch(batch, &parameters));
}

API(cuGraphExecBatchMemOpNodeSetParams, CUgraphExec exec, CUgraphNode node, const CUDA_BATCH_MEM_OP_NODE_PARAMS *batch)
{
	CUgraphNodeParams parameters;

	return set(&exec, node, node_parameters_of_batch(batch, &parameters));
}

static CUresult event_set(const CUgraphExec *exec, CUgraphNode node, CUgraphNodeType type, CUevent event)
{
	CUgraphNodeParams parameters = {.type = type};

	if (type == CU_GRAPH_NODE_TYPE_EVENT_RECORD)
		parameters.eventRecord.event = event;
	else
		parameters.eventWait.event = event;
	return set(exec, node, &parameters);
}

API(cuGraphEventRecordNodeSetEvent, CUgraphNode node, CUevent event)
{
	return event_set(NULL, node, CU_GRAPH_NODE_TYPE_EVENT_RECORD, event);
}

API(cuGraphEventWaitNodeSetEvent, CUgraphNode node, CUevent event)
{
	return event_set(NULL, node, CU_GRAPH_NODE_TYPE_WAIT_EVENT, event);
}

API(cuGraphExecEventRecordNodeSetEvent, CUgraphExec exec, CUgraphNode node, CUevent event)
{
	return event_set(&exec, node, CU_GRAPH_NODE_TYPE_EVENT_RECORD, event);
}

API(cuGraphExecEventWaitNodeSetEvent, CUgraphExec exec, CUgraphNode node, CUevent event)
{
	return event_set(&exec, node, CU_GRAPH_NODE_TYPE_WAIT_EVENT, event);
}

/*
 * Under the lock: copies the first 'bytes' of what a node of the type does, whichever of the union's members that
 * is. The host is asked once about a node that it made.
 */
static CUresult content_get(CUgraphNode handle, CUgraphNodeType type, uint32_t context, void *memory, size_t bytes)
{
	struct graph_node *node;
	CUresult result = graph_node_find(handle, &node);

	if (result)
		return result;
	if (node->type != type)
		return CUDA_ERROR_INVALID_VALUE;
	if (!node->content)
		result = node_content_learn(node, context, &node->content);
	if (!node->content)
		return result;
	if (type == CU_GRAPH_NODE_TYPE_MEMCPY)
		memcpy(memory, &node->content->parameters.memcpy.copyParams, bytes);
	else
		memcpy(memory, node->content->parameters.reserved1, bytes);
	return CUDA_SUCCESS;
}

static CUresult get(CUgraphNode node, CUgraphNodeType type, void *memory, size_t bytes)
{
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	if (!memory)
		return CUDA_ERROR_INVALID_VALUE;
	graphs_lock();
	result = content_get(node, type, context, memory, bytes);
	graphs_unlock();
	return result;
}

API(cuGraphKernelNodeGetParams_v2, CUgraphNode node, CUDA_KERNEL_NODE_PARAMS *kernel)
{
	return get(node, CU_GRAPH_NODE_TYPE_KERNEL, kernel, sizeof(*kernel));
}

API(cuGraphKernelNodeGetParams, CUgraphNode node, CUDA_KERNEL_NODE_PARAMS_v1 *kernel)
{
	return get(node, CU_GRAPH_NODE_TYPE_KERNEL, kernel, sizeof(*kernel));
}

API(cuGraphMemcpyNodeGetParams, CUgraphNode node, CUDA_MEMCPY3D *copy)
{
	return get(node, CU_GRAPH_NODE_TYPE_MEMCPY, copy, sizeof(*copy));
}

API(cuGraphMemsetNodeGetParams, CUgraphNode node, CUDA_MEMSET_NODE_PARAMS *fill)
{
	return get(node, CU_GRAPH_NODE_TYPE_MEMSET, fill, sizeof(*fill));
}

API(cuGraphHostNodeGetParams, CUgraphNode node, CUDA_HOST_NODE_PARAMS *host)
{
	return get(node, CU_GRAPH_NODE_TYPE_HOST, host, sizeof(*host));
}

API(cuGraphBatchMemOpNodeGetParams, CUgraphNode node, CUDA_BATCH_MEM_OP_NODE_PARAMS *batch)
{
	return get(node, CU_GRAPH_NODE_TYPE_BATCH_MEM_OP, batch, sizeof(*batch));
}

CUresult graph_allocation_get(CUgraphNode node, CUDA_MEM_ALLOC_NODE_PARAMS *ret_allocation)
{
	return get(node, CU_GRAPH_NODE_TYPE_MEM_ALLOC, ret_allocation, sizeof(*ret_allocation));
}

API(cuGraphMemAllocNodeGetParams, CUgraphNode node, CUDA_MEM_ALLOC_NODE_PARAMS *allocation)
{
	return graph_allocation_get(node, allocation);
}

API(cuGraphMemFreeNodeGetParams, CUgraphNode node, CUdeviceptr *address)
{
	return get(node, CU_GRAPH_NODE_TYPE_MEM_FREE, address, sizeof(*address));
}

API(cuGraphEventRecordNodeGetEvent, CUgraphNode node, CUevent *event)
{
	return get(node, CU_GRAPH_NODE_TYPE_EVENT_RECORD, event, sizeof(CUevent));
}

API(cuGraphEventWaitNodeGetEvent, CUgraphNode node, CUevent *event)
{
	return get(node, CU_GRAPH_NODE_TYPE_WAIT_EVENT, event, sizeof(CUevent));
}
