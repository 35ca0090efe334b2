/* SPDX-License-Identifier: Apache-2.0 */
/* The forms of cuGraphInstantiate, updates of executable graphs, and the count of nodes. */
#include "context.h"
#include "host_calls.h"
#include "session.h"

static CUresult instantiate(CUgraphExec *exec, CUgraph graph, uint64_t flags, uint32_t *ret_context)
{
	struct object *object;
	uint32_t graph_id;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, ret_context);

	if (result)
		return result;
	if (!exec)
		return CUDA_ERROR_INVALID_VALUE;
	result = object_id(graph, VGPU_KIND_GRAPH, &graph_id);
	if (result)
		return result;
	object = object_mint(VGPU_KIND_GRAPH_EXEC, *ret_context);
	if (!object)
		return CUDA_ERROR_OUT_OF_MEMORY;
	result = host_cuGraphInstantiateWithFlags(*ret_context, object->id, graph_id, flags);
	if (result)
		object_release(object);
	else
		*exec = (CUgraphExec)object;
	return result;
}

/* Which node an error is of is not told. */
static CUresult instantiate_logged(CUgraphExec *exec, CUgraph graph, CUgraphNode *error_node, char *log, size_t bytes)
{
	uint32_t context;

	if (error_node)
		*error_node = NULL;
	if (log && bytes)
		log[0] = '\0';
	return instantiate(exec, graph, 0, &context);
}

API(cuGraphInstantiate, CUgraphExec *exec, CUgraph graph, CUgraphNode *error_node, char *log, size_t bytes)
{
	return instantiate_logged(exec, graph, error_node, log, bytes);
}

API(cuGraphInstantiate_v2, CUgraphExec *exec, CUgraph graph, CUgraphNode *error_node, char *log, size_t bytes)
{
	return instantiate_logged(exec, graph, error_node, log, bytes);
}

static CUresult instantiate_with(CUgraphExec *exec, CUgraph graph, CUDA_GRAPH_INSTANTIATE_PARAMS *parameters,
				 bool per_thread_default)
{
	uint32_t context, stream;
	CUresult result;

	if (!parameters)
		return session_ready() ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_NOT_INITIALIZED;
	parameters->hErrNode_out = NULL;
	parameters->result_out = CUDA_GRAPH_INSTANTIATE_ERROR;
	result = instantiate(exec, graph, parameters->flags & ~(uint64_t)CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD, &context);
	if (result)
		return result;
	parameters->result_out = CUDA_GRAPH_INSTANTIATE_SUCCESS;
	if (!(parameters->flags & CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD))
		return CUDA_SUCCESS;
	result = stream_id(parameters->hUploadStream, per_thread_default, &stream);
	return result ? result : host_cuGraphUpload(context, ((struct object *)*exec)->id, stream);
}

API(cuGraphInstantiateWithParams, CUgraphExec *exec, CUgraph graph, CUDA_GRAPH_INSTANTIATE_PARAMS *parameters)
{
	return instantiate_with(exec, graph, parameters, false);
}

API(cuGraphInstantiateWithParams_ptsz, CUgraphExec *exec, CUgraph graph, CUDA_GRAPH_INSTANTIATE_PARAMS *parameters)
{
	return instantiate_with(exec, graph, parameters, true);
}

static CUresult exec_update(CUgraphExec exec, CUgraph graph, CUgraphExecUpdateResult *ret_result)
{
	uint32_t context, exec_id, graph_id, host_result = CU_GRAPH_EXEC_UPDATE_ERROR;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	result = object_id(exec, VGPU_KIND_GRAPH_EXEC, &exec_id);
	if (!result)
		result = object_id(graph, VGPU_KIND_GRAPH, &graph_id);
	if (!result)
		result = host_cuGraphExecUpdate_v2(context, exec_id, graph_id, &host_result);
	*ret_result = (CUgraphExecUpdateResult)host_result;
	if (!result && host_result != CU_GRAPH_EXEC_UPDATE_SUCCESS)
		return CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE;
	return result;
}

API(cuGraphExecUpdate_v2, CUgraphExec exec, CUgraph graph, CUgraphExecUpdateResultInfo *info)
{
	if (!info)
		return session_ready() ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_NOT_INITIALIZED;
	*info = (CUgraphExecUpdateResultInfo){0};
	return exec_update(exec, graph, &info->result);
}

API(cuGraphExecUpdate, CUgraphExec exec, CUgraph graph, CUgraphNode *error_node, CUgraphExecUpdateResult *update)
{
	if (!update)
		return session_ready() ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_NOT_INITIALIZED;
	if (error_node)
		*error_node = NULL;
	return exec_update(exec, graph, update);
}

/* Nodes have no handles: of a graph that has any, only their number is told. */
API(cuGraphGetNodes, CUgraph graph, CUgraphNode *nodes, size_t *count)
{
	uint32_t context, graph_id;
	uint64_t host_count = 0;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	if (!count)
		return CUDA_ERROR_INVALID_VALUE;
	result = object_id(graph, VGPU_KIND_GRAPH, &graph_id);
	if (!result)
		result = host_cuGraphGetNodes(context, graph_id, &host_count);
	if (!result && nodes && host_count)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!result)
		*count = host_count;
	return result;
}
