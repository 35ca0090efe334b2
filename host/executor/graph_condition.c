/* SPDX-License-Identifier: Apache-2.0 */
/* Conditional nodes: their conditions' handles, and their bodies. */
#include <stdlib.h>

#include "executor.h"
#include "executor_calls.h"
#include "graph.h"

/* A handle takes memory of the device, and is there as long as its graph. */
#define CONDITIONS_FIRST 16u
#define CONDITIONS_MAX	 65536u

static bool conditions_reserve(struct graph_conditions *conditions)
{
	size_t capacity = conditions->capacity ? 2 * conditions->capacity : CONDITIONS_FIRST;
	struct graph_condition *list;

	if (conditions->count < conditions->capacity)
		return true;
	list = capacity <= CONDITIONS_MAX ? realloc(conditions->list, capacity * sizeof(*list)) : NULL;
	if (!list)
		return false;
	conditions->list = list;
	conditions->capacity = capacity;
	return true;
}

bool graph_condition_is_known(const struct executor *executor, uint32_t graph, uint64_t handle)
{
	const struct graph_conditions *conditions = &executor->graph_conditions;

	for (size_t i = 0; i < conditions->count; i++)
		if (conditions->list[i].handle == handle && graph_is_in(executor, graph, conditions->list[i].graph))
			return true;
	return false;
}

void graph_conditions_settle(struct executor *executor)
{
	struct graph_conditions *conditions = &executor->graph_conditions;
	size_t kept = 0;

	for (size_t i = 0; i < conditions->count; i++)
		if (handles_find(&executor->handles, VGPU_KIND_GRAPH, conditions->list[i].graph))
			conditions->list[kept++] = conditions->list[i];
	conditions->count = kept;
}

CUresult execute_cuGraphConditionalHandleCreate(struct executor *executor, const struct request *request,
						const struct wire_cuGraphConditionalHandleCreate *arguments,
						struct wire_cuGraphConditionalHandleCreate_reply *reply)
{
	struct graph_conditions *conditions = &executor->graph_conditions;
	CUgraphConditionalHandle handle = 0;
	void *graph;
	CUresult result = execute_find(executor, VGPU_KIND_GRAPH, arguments->hGraph, &graph);

	(void)request;
	if (result)
		return result;
	if (!executor->contexts.current)
		return CUDA_ERROR_INVALID_CONTEXT;
	if (!executor->driver.cuGraphConditionalHandleCreate)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!conditions_reserve(conditions))
		return CUDA_ERROR_OUT_OF_MEMORY;
	result = executor->driver.cuGraphConditionalHandleCreate(&handle, graph, executor->contexts.current->object,
								 arguments->defaultLaunchValue, arguments->flags);
	if (result)
		return result;
	conditions->list[conditions->count++] = (struct graph_condition){handle, arguments->hGraph};
	reply->pHandle_out = handle;
	return CUDA_SUCCESS;
}

CUresult graph_conditional_read(CUcontext context, const uint8_t *payload, size_t bytes,
				CUDA_CONDITIONAL_NODE_PARAMS *ret_conditional, const uint32_t **ret_bodies)
{
	const struct vgpu_graph_conditional *wire = (const void *)payload;

	if (bytes < sizeof(*wire) || wire->size > VGPU_GRAPH_BODIES_MAX ||
	    wire->size * sizeof(uint32_t) > bytes - sizeof(*wire))
		return EXECUTE_PROTOCOL;
	/* How many a type has is the driver's to check. */
	if (!wire->size || wire->type > CU_GRAPH_COND_TYPE_SWITCH)
		return CUDA_ERROR_INVALID_VALUE;
	*ret_conditional = (CUDA_CONDITIONAL_NODE_PARAMS){
		.handle = wire->handle,
		.type = (CUgraphConditionalNodeType)wire->type,
		.size = wire->size,
		.ctx = context,
	};
	*ret_bodies = (const void *)(wire + 1);
	return CUDA_SUCCESS;
}

bool graph_bodies_are_there(const CUDA_CONDITIONAL_NODE_PARAMS *conditional)
{
	for (uint32_t i = 0; i < conditional->size; i++)
		if (!conditional->phGraph_out || !conditional->phGraph_out[i])
			return false;
	return true;
}

CUresult graph_bodies_check(struct executor *executor, const uint32_t *ids, size_t count)
{
	CUresult result = CUDA_SUCCESS;

	for (size_t i = 0; !result && i < count; i++) {
		result = execute_check_mint(executor, VGPU_KIND_GRAPH, ids[i]);
		for (size_t before = 0; !result && before < i; before++)
			if (ids[before] == ids[i])
				result = CUDA_ERROR_INVALID_HANDLE;
	}
	return result;
}

void graph_bodies_mint(struct executor *executor, uint32_t node, const uint32_t *ids, CUgraph const *graphs,
		       size_t count)
{
	for (size_t i = 0; i < count; i++) {
		execute_mint(executor, ids[i], 0, graphs[i]);
		graph_embed(executor, node, ids[i]);
	}
}
