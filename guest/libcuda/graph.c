/* SPDX-License-Identifier: Apache-2.0 */
/* The life of graphs, the forms of cuGraphInstantiate, and updates of executable graphs. */
#include "context.h"
#include "graph_node.h"
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

/* Nothing is in it that the guest does not know. */
API(cuGraphCreate, CUgraph *ret_graph, unsigned int flags)
{
	struct object *object;
	struct graph *graph;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	if (!ret_graph)
		return CUDA_ERROR_INVALID_VALUE;
	object = object_mint(VGPU_KIND_GRAPH, context);
	if (!object)
		return CUDA_ERROR_OUT_OF_MEMORY;
	graph = graph_of(object);
	result = graph ? host_cuGraphCreate(context, object->id, flags) : CUDA_ERROR_OUT_OF_MEMORY;
	if (result) {
		graph_forget(object);
		object_release(object);
		return result;
	}
	graph->is_known = true;
	*ret_graph = (CUgraph)object;
	return CUDA_SUCCESS;
}

API(cuGraphDestroy, CUgraph handle)
{
	const struct graph *graph;
	struct object *object;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	object = object_find(handle, VGPU_KIND_GRAPH);
	if (!object)
		return CUDA_ERROR_INVALID_VALUE;
	graph = object->detail;
	if (graph && (graph->is_embedded || graph->is_captured_to))
		return CUDA_ERROR_INVALID_VALUE;
	result = host_cuGraphDestroy(context, object->id);
	if (result)
		return result;
	graphs_lock();
	graph_forget(object);
	graphs_unlock();
	object_release(object);
	return CUDA_SUCCESS;
}

API(cuGraphConditionalHandleCreate, CUgraphConditionalHandle *ret_handle, CUgraph graph, CUcontext context_handle,
    unsigned int initial, unsigned int flags)
{
	struct object *context;
	uint32_t current, graph_id;
	uint64_t handle;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &current);

	if (result)
		return result;
	if (!ret_handle || flags & ~(unsigned int)CU_GRAPH_COND_ASSIGN_DEFAULT)
		return CUDA_ERROR_INVALID_VALUE;
	result = object_id(graph, VGPU_KIND_GRAPH, &graph_id);
	if (!result)
		result = context_of(context_handle, &context);
	if (!result)
		result = host_cuGraphConditionalHandleCreate(context->id, graph_id, initial, flags, &handle);
	if (!result)
		*ret_handle = handle;
	return result;
}
