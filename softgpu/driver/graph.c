/* SPDX-License-Identifier: Apache-2.0 */
#include "graph.h"

#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "driver.h"
#include "entry.h"

struct graph {
	struct object object;
	struct graph_body *body; /* a reference */
};

struct graph_exec {
	struct object object;
	pthread_mutex_t lock;
	struct graph_body *body; /* a reference; replaced by an update */
	uint64_t flags;
};

struct graph_body *graph_body_make(void)
{
	struct graph_body *body = calloc(1, sizeof(*body));

	if (!body)
		return NULL;
	body->references = 1;
	pthread_mutex_init(&body->running, NULL);
	return body;
}

void graph_body_retain(struct graph_body *body)
{
	body->references++;
}

void graph_body_release(struct graph_body *body)
{
	if (!body || --body->references)
		return;
	for (size_t index = 0; index < body->count; index++) {
		work_discard(body->nodes[index].work);
		free(body->nodes[index].dependencies);
	}
	free(body->nodes);
	pthread_mutex_destroy(&body->running);
	free(body);
}

bool graph_body_append(struct graph_body *body, struct work *work, const size_t *dependencies, size_t count)
{
	size_t *copy = malloc((count ? count : 1) * sizeof(*copy));

	if (!copy)
		return false;
	if (body->count == body->capacity) {
		size_t capacity = body->capacity ? 2 * body->capacity : 16;
		struct graph_node *grown = realloc(body->nodes, capacity * sizeof(*grown));

		if (!grown) {
			free(copy);
			return false;
		}
		body->nodes = grown;
		body->capacity = capacity;
	}
	for (size_t index = 0; index < count; index++) {
		copy[index] = dependencies[index];
		body->nodes[copy[index]].has_dependents = true;
	}
	body->nodes[body->count++] = (struct graph_node){
		.work = work,
		.dependencies = copy,
		.dependency_count = count,
	};
	return true;
}

static void graph_destroy(struct object *object)
{
	graph_body_release(((struct graph *)object)->body);
	free(object);
}

CUresult graph_publish(struct graph_body *body, CUgraph *ret_graph)
{
	struct graph *graph = calloc(1, sizeof(*graph));

	if (!graph) {
		graph_body_release(body);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	object_prepare(&graph->object, OBJECT_GRAPH, NULL, graph_destroy);
	graph->body = body;
	if (!object_publish(&graph->object)) {
		object_release(&graph->object);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	*ret_graph = (CUgraph)graph;
	return CUDA_SUCCESS;
}

static CUresult graph_acquire(CUgraph handle, struct graph **ret_graph)
{
	CUresult result = driver_check();

	if (result)
		return result;
	*ret_graph = object_acquire(handle, OBJECT_GRAPH);
	return *ret_graph ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult exec_acquire(CUgraphExec handle, struct graph_exec **ret_exec)
{
	CUresult result = driver_check();

	if (result)
		return result;
	*ret_exec = object_acquire(handle, OBJECT_GRAPH_EXEC);
	return *ret_exec ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

ENTRY(cuGraphCreate, (CUgraph * ret_graph, unsigned int flags))
{
	struct graph_body *body;
	CUresult result = driver_check();

	if (result)
		return result;
	if (!ret_graph || flags)
		return CUDA_ERROR_INVALID_VALUE;
	body = graph_body_make();
	return body ? graph_publish(body, ret_graph) : CUDA_ERROR_OUT_OF_MEMORY;
}

ENTRY(cuGraphDestroy, (CUgraph handle))
{
	struct graph *graph;
	CUresult result = driver_check();

	if (result)
		return result;
	graph = object_retire(handle, OBJECT_GRAPH);
	if (!graph)
		return CUDA_ERROR_INVALID_VALUE;
	object_release(&graph->object);
	return CUDA_SUCCESS;
}

ENTRY(cuGraphClone, (CUgraph * ret_clone, CUgraph handle))
{
	struct graph *graph;
	CUresult result;

	if (!ret_clone)
		return CUDA_ERROR_INVALID_VALUE;
	result = graph_acquire(handle, &graph);
	if (result)
		return result;
	graph_body_retain(graph->body);
	result = graph_publish(graph->body, ret_clone);
	object_release(&graph->object);
	return result;
}

/* Nodes have no handles: of a graph that has any, only their number is told. */
ENTRY(cuGraphGetNodes, (CUgraph handle, CUgraphNode *nodes, size_t *ret_count))
{
	struct graph *graph;
	CUresult result;

	if (!ret_count)
		return CUDA_ERROR_INVALID_VALUE;
	result = graph_acquire(handle, &graph);
	if (result)
		return result;
	if (nodes && graph->body->count)
		result = CUDA_ERROR_NOT_SUPPORTED;
	else
		*ret_count = graph->body->count;
	object_release(&graph->object);
	return result;
}

static void exec_destroy(struct object *object)
{
	struct graph_exec *exec = (struct graph_exec *)object;

	graph_body_release(exec->body);
	pthread_mutex_destroy(&exec->lock);
	free(exec);
}

ENTRY(cuGraphInstantiateWithFlags, (CUgraphExec * ret_exec, CUgraph handle, unsigned long long flags))
{
	const unsigned long long known =
		CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH | CUDA_GRAPH_INSTANTIATE_FLAG_USE_NODE_PRIORITY;
	struct graph_exec *exec;
	struct graph *graph;
	CUresult result;

	if (!ret_exec || flags & ~(known | CUDA_GRAPH_INSTANTIATE_FLAG_DEVICE_LAUNCH))
		return CUDA_ERROR_INVALID_VALUE;
	if (flags & ~known)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = graph_acquire(handle, &graph);
	if (result)
		return result;
	result = CUDA_ERROR_OUT_OF_MEMORY;
	exec = calloc(1, sizeof(*exec));
	if (!exec)
		goto release;
	object_prepare(&exec->object, OBJECT_GRAPH_EXEC, NULL, exec_destroy);
	pthread_mutex_init(&exec->lock, NULL);
	graph_body_retain(graph->body);
	exec->body = graph->body;
	exec->flags = flags;
	if (object_publish(&exec->object)) {
		*ret_exec = (CUgraphExec)exec;
		result = CUDA_SUCCESS;
	} else {
		object_release(&exec->object);
	}
release:
	object_release(&graph->object);
	return result;
}

ENTRY(cuGraphExecDestroy, (CUgraphExec handle))
{
	struct graph_exec *exec;
	CUresult result = driver_check();

	if (result)
		return result;
	exec = object_retire(handle, OBJECT_GRAPH_EXEC);
	if (!exec)
		return CUDA_ERROR_INVALID_VALUE;
	object_release(&exec->object);
	return CUDA_SUCCESS;
}

ENTRY(cuGraphExecGetFlags, (CUgraphExec handle, cuuint64_t *ret_flags))
{
	struct graph_exec *exec;
	CUresult result = exec_acquire(handle, &exec);

	if (result)
		return result;
	if (ret_flags)
		*ret_flags = exec->flags;
	else
		result = CUDA_ERROR_INVALID_VALUE;
	object_release(&exec->object);
	return result;
}

struct graph_work {
	struct work work;
	struct graph_body *body; /* a reference */
};

static CUresult graph_run(struct work *work, struct stream *stream)
{
	struct graph_body *body = ((struct graph_work *)work)->body;
	CUresult result = CUDA_SUCCESS;

	pthread_mutex_lock(&body->running);
	for (size_t index = 0; !result && index < body->count; index++) {
		struct work *node = body->nodes[index].work;

		if (node->run && !stream->context->error)
			result = node->run(node, stream);
	}
	pthread_mutex_unlock(&body->running);
	return result;
}

static void graph_work_free(struct work *work)
{
	graph_body_release(((struct graph_work *)work)->body);
	free(work);
}

ENTRY_STREAM(cuGraphLaunch, (CUgraphExec handle, CUstream stream), (handle, stream))
{
	struct context *context;
	struct graph_exec *exec;
	struct graph_work *work;
	struct stream *target;
	CUresult result = context_current(&context);

	if (result)
		return result;
	result = exec_acquire(handle, &exec);
	if (result)
		return result;
	result = stream_acquire(context, stream, &target);
	if (result)
		goto release_exec;
	work = calloc(1, sizeof(*work));
	if (work) {
		work->work = (struct work){.run = graph_run, .free = graph_work_free};
		pthread_mutex_lock(&exec->lock);
		work->body = exec->body;
		graph_body_retain(work->body);
		pthread_mutex_unlock(&exec->lock);
		result = stream_submit(target, &work->work, NULL);
	} else {
		result = CUDA_ERROR_OUT_OF_MEMORY;
	}
	stream_release(target);
release_exec:
	object_release(&exec->object);
	return result;
}

/* There is nothing to prepare. */
ENTRY_STREAM(cuGraphUpload, (CUgraphExec handle, CUstream stream), (handle, stream))
{
	struct context *context;
	struct graph_exec *exec;
	struct stream *target;
	CUresult result = context_current(&context);

	if (result)
		return result;
	result = exec_acquire(handle, &exec);
	if (result)
		return result;
	result = stream_acquire(context, stream, &target);
	if (!result)
		stream_release(target);
	object_release(&exec->object);
	return result;
}

/* Nodes of the same kinds, which the functions that run them tell apart, with the same edges. */
static CUgraphExecUpdateResult bodies_compare(const struct graph_body *one, const struct graph_body *other)
{
	if (one->count != other->count)
		return CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED;
	for (size_t index = 0; index < one->count; index++) {
		const struct graph_node *a = &one->nodes[index], *b = &other->nodes[index];

		if (a->dependency_count != b->dependency_count ||
		    memcmp(a->dependencies, b->dependencies, a->dependency_count * sizeof(*a->dependencies)) != 0)
			return CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED;
		if (a->work->run != b->work->run)
			return CU_GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED;
	}
	return CU_GRAPH_EXEC_UPDATE_SUCCESS;
}

ENTRY(cuGraphExecUpdate_v2, (CUgraphExec handle, CUgraph graph_handle, CUgraphExecUpdateResultInfo *ret_info))
{
	struct graph_body *former;
	struct graph_exec *exec;
	struct graph *graph;
	CUresult result;

	if (!ret_info)
		return CUDA_ERROR_INVALID_VALUE;
	result = exec_acquire(handle, &exec);
	if (result)
		return result;
	result = graph_acquire(graph_handle, &graph);
	if (result)
		goto release_exec;
	*ret_info = (CUgraphExecUpdateResultInfo){0};
	pthread_mutex_lock(&exec->lock);
	former = exec->body;
	ret_info->result = bodies_compare(former, graph->body);
	if (ret_info->result == CU_GRAPH_EXEC_UPDATE_SUCCESS) {
		graph_body_retain(graph->body);
		exec->body = graph->body;
	} else {
		result = CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE;
	}
	pthread_mutex_unlock(&exec->lock);
	if (!result)
		graph_body_release(former);
	object_release(&graph->object);
release_exec:
	object_release(&exec->object);
	return result;
}

ENTRY(cuGraphInstantiateWithParams, (CUgraphExec * ret_exec, CUgraph graph, CUDA_GRAPH_INSTANTIATE_PARAMS *parameters))
{
	CUresult result;

	if (!parameters)
		return CUDA_ERROR_INVALID_VALUE;
	/* There is nothing to upload. */
	result = cuGraphInstantiateWithFlags(ret_exec, graph,
					     parameters->flags & ~(uint64_t)CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD);
	parameters->hErrNode_out = NULL;
	parameters->result_out = result ? CUDA_GRAPH_INSTANTIATE_ERROR : CUDA_GRAPH_INSTANTIATE_SUCCESS;
	return result;
}
