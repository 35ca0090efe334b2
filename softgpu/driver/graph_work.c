/* SPDX-License-Identifier: Apache-2.0 */
/* Work that runs bodies of nodes: an embedded graph's one, and those of a conditional node. */
#include <stdlib.h>

#include "condition.h"
#include "graph.h"

struct graph_work {
	struct work work;
	struct condition *condition; /* a reference; NULL: of an embedded graph */
	CUgraphConditionalNodeType type;
	size_t count;
	struct graph_body *bodies[]; /* a reference each */
};

static CUresult body_run(struct graph_body *body, struct stream *stream)
{
	CUresult result = CUDA_SUCCESS;

	pthread_mutex_lock(&body->running);
	for (size_t index = 0; !result && index < body->count; index++) {
		struct work *node = body->nodes[index].work;

		if (node->run && !body->nodes[index].is_disabled && !stream->context->error)
			result = node->run(node, stream);
	}
	pthread_mutex_unlock(&body->running);
	return result;
}

static CUresult conditional_run(struct work *work, struct stream *stream)
{
	const struct graph_work *node = (const struct graph_work *)work;
	uint32_t value = condition_read(node->condition);
	CUresult result = CUDA_SUCCESS;

	switch (node->type) {
	case CU_GRAPH_COND_TYPE_IF:
		if (value)
			return body_run(node->bodies[0], stream);
		return node->count > 1 ? body_run(node->bodies[1], stream) : CUDA_SUCCESS;
	case CU_GRAPH_COND_TYPE_WHILE:
		while (!result && condition_read(node->condition) && !stream->context->error &&
		       !stream->context->cancelled)
			result = body_run(node->bodies[0], stream);
		return result;
	default:
		return value < node->count ? body_run(node->bodies[value], stream) : CUDA_SUCCESS;
	}
}

/* Embedded graphs have no conditional nodes, so this is once for each launch, however deep they are. */
static void conditions_reset(const struct graph_body *body)
{
	for (size_t place = 0; place < body->condition_count; place++)
		condition_reset(body->conditions[place]);
	for (size_t index = 0; index < body->count; index++) {
		const struct work *work = body->nodes[index].work;

		for (size_t place = 0; graph_work_condition(work) && place < graph_work_count(work); place++)
			conditions_reset(graph_work_body(work, place));
	}
}

static CUresult graph_run(struct work *work, struct stream *stream)
{
	struct graph_body *body = ((struct graph_work *)work)->bodies[0];

	conditions_reset(body);
	return body_run(body, stream);
}

static void graph_work_free(struct work *work)
{
	struct graph_work *node = (struct graph_work *)work;

	for (size_t place = 0; place < node->count; place++)
		graph_body_release(node->bodies[place]);
	condition_release(node->condition);
	free(work);
}

/* Without bodies. */
static struct graph_work *work_make(struct condition *condition, CUgraphConditionalNodeType type, size_t count)
{
	struct graph_work *work = calloc(1, sizeof(*work) + count * sizeof(work->bodies[0]));

	if (!work)
		return NULL;
	work->work = (struct work){
		.run = condition ? conditional_run : graph_run,
		.free = graph_work_free,
		.node_type = condition ? CU_GRAPH_NODE_TYPE_CONDITIONAL : CU_GRAPH_NODE_TYPE_GRAPH,
	};
	work->condition = condition;
	if (condition)
		condition_retain(condition);
	work->type = type;
	return work;
}

struct work *graph_work_make(struct graph_body *body)
{
	struct graph_work *work = work_make(NULL, CU_GRAPH_COND_TYPE_IF, 1);

	if (!work)
		return NULL;
	work->bodies[work->count++] = body;
	graph_body_retain(body);
	return &work->work;
}

static bool size_is_right(CUgraphConditionalNodeType type, unsigned size)
{
	switch (type) {
	case CU_GRAPH_COND_TYPE_IF:
		return size == 1 || size == 2;
	case CU_GRAPH_COND_TYPE_WHILE:
		return size == 1;
	case CU_GRAPH_COND_TYPE_SWITCH:
		return size > 0;
	default:
		return false;
	}
}

CUresult conditional_work_make(const CUDA_CONDITIONAL_NODE_PARAMS *parameters, struct work **ret_work)
{
	struct condition *condition;
	struct graph_work *work;

	if (!size_is_right(parameters->type, parameters->size))
		return CUDA_ERROR_INVALID_VALUE;
	condition = condition_acquire(parameters->handle);
	if (!condition)
		return CUDA_ERROR_INVALID_VALUE;
	work = work_make(condition, parameters->type, parameters->size);
	condition_release(condition);
	while (work && work->count < parameters->size) {
		work->bodies[work->count] = graph_body_make();
		if (!work->bodies[work->count]) {
			work_discard(&work->work);
			return CUDA_ERROR_OUT_OF_MEMORY;
		}
		work->count++;
	}
	if (!work)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*ret_work = &work->work;
	return CUDA_SUCCESS;
}

struct work *graph_work_with(const struct work *former, struct graph_body *const *bodies)
{
	const struct graph_work *from = (const struct graph_work *)former;
	struct graph_work *work = work_make(from->condition, from->type, from->count);

	for (; work && work->count < from->count; work->count++) {
		work->bodies[work->count] = bodies[work->count];
		graph_body_retain(bodies[work->count]);
	}
	return work ? &work->work : NULL;
}

size_t graph_work_count(const struct work *work)
{
	return work->free == graph_work_free ? ((const struct graph_work *)work)->count : 0;
}

struct graph_body *graph_work_body(const struct work *work, size_t place)
{
	return ((const struct graph_work *)work)->bodies[place];
}

const struct condition *graph_work_condition(const struct work *work)
{
	return work->free == graph_work_free ? ((const struct graph_work *)work)->condition : NULL;
}

bool graph_works_match(const struct work *one, const struct work *other)
{
	return graph_work_count(one) == graph_work_count(other) &&
	       (!graph_work_condition(one) ||
		((const struct graph_work *)one)->type == ((const struct graph_work *)other)->type);
}

/* The bodies that the embedded graphs of a node have now, of which *ret_changed says whether the work has others. */
static CUresult children_settle(const struct graph_node *node, struct graph_body **bodies, bool *ret_changed)
{
	CUresult result = CUDA_SUCCESS;

	*ret_changed = false;
	for (size_t place = 0; !result && place < graph_work_count(node->work); place++) {
		result = graph_settle(node->children[place]);
		bodies[place] = node->children[place]->body;
		*ret_changed |= bodies[place] != graph_work_body(node->work, place);
	}
	return result;
}

static CUresult node_settle(struct graph *graph, size_t index)
{
	const struct graph_node *node = &graph->body->nodes[index];
	struct graph_body **bodies = calloc(graph_work_count(node->work) + 1, sizeof(struct graph_body *));
	struct work *work = NULL;
	bool is_changed;
	CUresult result = bodies ? children_settle(node, bodies, &is_changed) : CUDA_ERROR_OUT_OF_MEMORY;

	if (!result && is_changed) {
		work = graph_work_with(node->work, bodies);
		if (!work || !graph_body_own(&graph->body))
			result = CUDA_ERROR_OUT_OF_MEMORY;
	}
	free(bodies);
	if (work && result)
		work_discard(work);
	else if (work)
		graph_node_replace(&graph->body->nodes[index], work);
	return result;
}

CUresult graph_settle(struct graph *graph)
{
	CUresult result = CUDA_SUCCESS;

	for (size_t index = 0; !result && index < graph->body->count; index++)
		if (graph->body->nodes[index].children)
			result = node_settle(graph, index);
	return result;
}
