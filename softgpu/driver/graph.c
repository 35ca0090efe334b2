/* SPDX-License-Identifier: Apache-2.0 */
#include "graph.h"

#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "driver.h"
#include "entry.h"
#include "event.h"
#include "graph_memory.h"

/* What ends under it may take it again: the frontier of an event, the graph of a capture. */
static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

void graphs_lock(void)
{
	pthread_mutex_lock(&lock);
}

void graphs_unlock(void)
{
	pthread_mutex_unlock(&lock);
}

static void graph_retire(struct object *object)
{
	struct graph_body *body = ((struct graph *)object)->body;

	for (size_t index = 0; index < body->count; index++)
		graph_node_retire(&body->nodes[index]);
}

void graph_end(struct graph *graph)
{
	object_release(object_retire(graph, OBJECT_GRAPH));
}

static void graph_destroy(struct object *object)
{
	graph_body_release(((struct graph *)object)->body);
	free(object);
}

CUresult graph_publish(struct graph_body *body, CUgraph *ret_graph)
{
	static _Atomic uint64_t last_number;
	struct graph *graph = calloc(1, sizeof(*graph));

	if (!graph) {
		graph_body_release(body);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	object_prepare(&graph->object, OBJECT_GRAPH, NULL, graph_destroy);
	graph->object.retire = graph_retire;
	graph->body = body;
	graph->number = ++last_number;
	if (!object_publish(&graph->object)) {
		object_release(&graph->object);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	*ret_graph = (CUgraph)graph;
	return CUDA_SUCCESS;
}

CUresult graph_acquire(CUgraph handle, struct graph **ret_graph)
{
	CUresult result = driver_check();

	if (result)
		return result;
	*ret_graph = object_acquire(handle, OBJECT_GRAPH);
	return *ret_graph ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult graph_exec_acquire(CUgraphExec handle, struct graph_exec **ret_exec)
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
	CUresult result = graph_acquire(handle, &graph);

	if (result)
		return result;
	if (graph->is_owned || graph->is_captured_to)
		result = CUDA_ERROR_INVALID_VALUE;
	else
		graph_end(graph);
	object_release(&graph->object);
	return result;
}

static void exec_destroy(struct object *object)
{
	struct graph_exec *exec = (struct graph_exec *)object;

	graph_body_release(exec->body);
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
	graphs_lock();
	result = graph->is_owned || graph->is_captured_to ? CUDA_ERROR_INVALID_VALUE : graph_settle(graph);
	if (!result)
		result = graph_body_check(graph->body);
	graph_body_retain(graph->body);
	exec->body = graph->body;
	graphs_unlock();
	exec->flags = flags;
	if (!result && !object_publish(&exec->object))
		result = CUDA_ERROR_OUT_OF_MEMORY;
	if (result)
		object_release(&exec->object);
	else
		*ret_exec = (CUgraphExec)exec;
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
	CUresult result = graph_exec_acquire(handle, &exec);

	if (result)
		return result;
	if (ret_flags)
		*ret_flags = exec->flags;
	else
		result = CUDA_ERROR_INVALID_VALUE;
	object_release(&exec->object);
	return result;
}

/* What a launch does about its nodes' events; false: out of memory. */
static bool events_depend(const struct graph_body *body, struct work *launch)
{
	bool done = true;

	for (size_t index = 0; done && index < body->count; index++) {
		const struct work *work = body->nodes[index].work;

		if (work->node_type == CU_GRAPH_NODE_TYPE_WAIT_EVENT)
			done = event_node_depend(work, launch);
		for (size_t place = 0; done && place < graph_work_count(work); place++)
			done = events_depend(graph_work_body(work, place), launch);
	}
	return done;
}

static bool events_record(const struct graph_body *body, struct stream *stream, uint64_t sequence)
{
	bool done = true;

	for (size_t index = 0; done && index < body->count; index++) {
		const struct work *work = body->nodes[index].work;

		if (work->node_type == CU_GRAPH_NODE_TYPE_EVENT_RECORD)
			done = event_node_record(work, stream, sequence);
		for (size_t place = 0; done && place < graph_work_count(work); place++)
			done = events_record(graph_work_body(work, place), stream, sequence);
	}
	return done;
}

static CUresult body_launch(struct graph_body *body, struct stream *stream)
{
	uint64_t sequence = 0;
	struct work *work;
	CUresult result;

	if (capture_is_open(stream) && !graph_body_can_be_copied(body))
		return CUDA_ERROR_NOT_SUPPORTED;
	work = graph_work_make(body);
	if (!work)
		return CUDA_ERROR_OUT_OF_MEMORY;
	/* In a capture it becomes a node. */
	if (capture_is_open(stream))
		return stream_submit(stream, work, NULL);
	if (!events_depend(body, work)) {
		work_discard(work);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	result = stream_submit(stream, work, &sequence);
	return !result && !events_record(body, stream, sequence) ? CUDA_ERROR_OUT_OF_MEMORY : result;
}

ENTRY_STREAM(cuGraphLaunch, (CUgraphExec handle, CUstream stream), (handle, stream))
{
	struct context *context;
	struct graph_exec *exec;
	struct graph_body *body;
	struct stream *target;
	CUresult result = context_current(&context);

	if (result)
		return result;
	result = graph_exec_acquire(handle, &exec);
	if (result)
		return result;
	result = stream_acquire(context, stream, &target);
	if (result)
		goto release_exec;
	graphs_lock();
	body = exec->body;
	graph_body_retain(body);
	graphs_unlock();
	result = body_launch(body, target);
	graph_body_release(body);
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
	result = graph_exec_acquire(handle, &exec);
	if (result)
		return result;
	result = stream_acquire(context, stream, &target);
	if (!result)
		stream_release(target);
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
