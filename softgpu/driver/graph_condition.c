/* SPDX-License-Identifier: Apache-2.0 */
/* Conditions of graphs, and what a graph must be like to become an executable. */
#include <stdlib.h>

#include "condition.h"
#include "entry.h"
#include "graph_memory.h"

/* Of a body that the caller has alone.  Takes the reference on success; false: out of memory. */
static bool condition_add(struct graph_body *body, struct condition *condition)
{
	struct condition **grown = realloc(body->conditions, (body->condition_count + 1) * sizeof(struct condition *));

	if (!grown)
		return false;
	body->conditions = grown;
	grown[body->condition_count++] = condition;
	return true;
}

static CUresult handle_create(struct graph *graph, uint32_t initial, bool is_reset_at_launch,
			      CUgraphConditionalHandle *ret_handle)
{
	struct condition *condition = condition_make(initial, is_reset_at_launch);
	bool done;

	if (!condition)
		return CUDA_ERROR_OUT_OF_MEMORY;
	graphs_lock();
	done = graph_body_own(&graph->body) && condition_add(graph->body, condition);
	graphs_unlock();
	if (!done) {
		condition_release(condition);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	*ret_handle = condition_handle(condition);
	return CUDA_SUCCESS;
}

ENTRY(cuGraphConditionalHandleCreate, (CUgraphConditionalHandle * ret_handle, CUgraph handle, CUcontext context,
				       unsigned int initial, unsigned int flags))
{
	struct context *current;
	struct graph *graph;
	CUresult result = context_current(&current);

	if (result)
		return result;
	if (!ret_handle || flags & ~CU_GRAPH_COND_ASSIGN_DEFAULT)
		return CUDA_ERROR_INVALID_VALUE;
	if (context && context != (CUcontext)current)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = graph_acquire(handle, &graph);
	if (result)
		return result;
	result = handle_create(graph, initial, flags & CU_GRAPH_COND_ASSIGN_DEFAULT, ret_handle);
	object_release(&graph->object);
	return result;
}

struct enclosing {
	const struct graph_body *body;
	const struct enclosing *outer; /* NULL: there is none */
};

static bool condition_is_known(const struct enclosing *place, const struct condition *condition)
{
	for (; place; place = place->outer)
		for (size_t i = 0; i < place->body->condition_count; i++)
			if (place->body->conditions[i] == condition)
				return true;
	return false;
}

static bool condition_is_used(const struct graph_body *body, const struct condition *condition)
{
	for (size_t index = 0; index < body->count; index++) {
		const struct work *work = body->nodes[index].work;

		if (graph_work_condition(work) == condition)
			return true;
		for (size_t place = 0; place < graph_work_count(work); place++)
			if (condition_is_used(graph_work_body(work, place), condition))
				return true;
	}
	return false;
}

/* API reference, CUDA_CONDITIONAL_NODE_PARAMS: what the bodies may have, and all that is embedded there. */
static bool type_may_depend(CUgraphNodeType type)
{
	return type == CU_GRAPH_NODE_TYPE_KERNEL || type == CU_GRAPH_NODE_TYPE_EMPTY ||
	       type == CU_GRAPH_NODE_TYPE_GRAPH || type == CU_GRAPH_NODE_TYPE_MEMSET ||
	       type == CU_GRAPH_NODE_TYPE_MEMCPY || type == CU_GRAPH_NODE_TYPE_CONDITIONAL;
}

static CUresult body_check(const struct graph_body *body, const struct enclosing *outer, bool is_conditional)
{
	const struct enclosing here = {.body = body, .outer = outer};

	for (size_t i = 0; i < body->condition_count; i++)
		if (!condition_is_used(body, body->conditions[i]))
			return CUDA_ERROR_INVALID_VALUE;
	for (size_t index = 0; index < body->count; index++) {
		const struct work *work = body->nodes[index].work;
		const struct condition *condition = graph_work_condition(work);

		if ((is_conditional && !type_may_depend(work->node_type)) ||
		    (condition && !condition_is_known(&here, condition)))
			return CUDA_ERROR_INVALID_VALUE;
		for (size_t place = 0; place < graph_work_count(work); place++) {
			CUresult result = body_check(graph_work_body(work, place), &here, is_conditional || condition);

			if (result)
				return result;
		}
	}
	return CUDA_SUCCESS;
}

CUresult graph_body_check(const struct graph_body *body)
{
	return body_check(body, NULL, false);
}

bool graph_body_is_conditional(const struct graph_body *body)
{
	for (size_t index = 0; index < body->count; index++)
		if (body->nodes[index].work->node_type == CU_GRAPH_NODE_TYPE_CONDITIONAL)
			return true;
	return body->condition_count != 0;
}

bool graph_body_can_be_copied(const struct graph_body *body)
{
	return !graph_body_has_memory(body) && !graph_body_is_conditional(body);
}
