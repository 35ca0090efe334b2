/* SPDX-License-Identifier: Apache-2.0 */
/* What of graphs is not a mechanical call. */
#include "graph.h"

#include "executor.h"
#include "executor_calls.h"

CUresult execute_cuGraphExecUpdate_v2(struct executor *executor, const struct request *request,
				      const struct wire_cuGraphExecUpdate_v2 *arguments,
				      struct wire_cuGraphExecUpdate_v2_reply *reply)
{
	CUgraphExecUpdateResultInfo info = {0};
	void *exec, *graph;
	CUresult result = execute_find(executor, VGPU_KIND_GRAPH_EXEC, arguments->hGraphExec, &exec);

	(void)request;
	if (!result)
		result = execute_find(executor, VGPU_KIND_GRAPH, arguments->hGraph, &graph);
	if (!result)
		result = graph_memory_check_instantiate(executor, arguments->hGraph, arguments->hGraphExec);
	if (result)
		return result;
	if (!executor->driver.cuGraphExecUpdate_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = graph_hold_copy(executor, arguments->hGraph, arguments->hGraphExec);
	if (result)
		return result;
	result = executor->driver.cuGraphExecUpdate_v2(exec, graph, &info);
	if (!result)
		graph_memory_instantiate(executor, arguments->hGraph, arguments->hGraphExec);
	/* A reply with an error carries nothing else: why it cannot be updated is told as a success. */
	if (result && result != CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE)
		return result;
	reply->updateResult = (uint32_t)info.result;
	return CUDA_SUCCESS;
}

CUresult execute_cuGraphInstantiateWithFlags(struct executor *executor, const struct request *request,
					     const struct wire_cuGraphInstantiateWithFlags *arguments)
{
	CUgraphExec exec = NULL;
	void *graph;
	CUresult result = execute_check_mint(executor, VGPU_KIND_GRAPH_EXEC, arguments->phGraphExec);

	if (!result)
		result = execute_find(executor, VGPU_KIND_GRAPH, arguments->hGraph, &graph);
	if (!result)
		result = graph_memory_check_instantiate(executor, arguments->hGraph, arguments->phGraphExec);
	if (!result && !executor->driver.cuGraphInstantiateWithFlags)
		result = CUDA_ERROR_NOT_SUPPORTED;
	if (!result)
		result = graph_hold_copy(executor, arguments->hGraph, arguments->phGraphExec);
	if (!result)
		result = executor->driver.cuGraphInstantiateWithFlags(&exec, graph, arguments->flags);
	if (result) {
		/* Nobody has the id then. */
		graph_holds_settle(executor);
		return result;
	}
	execute_mint(executor, arguments->phGraphExec, request->context, exec);
	graph_memory_instantiate(executor, arguments->hGraph, arguments->phGraphExec);
	return CUDA_SUCCESS;
}

CUresult execute_cuGraphClone(struct executor *executor, const struct request *request,
			      const struct wire_cuGraphClone *arguments)
{
	CUgraph clone = NULL;
	void *graph;
	CUresult result = execute_check_mint(executor, VGPU_KIND_GRAPH, arguments->phGraphClone);

	if (!result)
		result = execute_find(executor, VGPU_KIND_GRAPH, arguments->originalGraph, &graph);
	if (!result && !executor->driver.cuGraphClone)
		result = CUDA_ERROR_NOT_SUPPORTED;
	if (!result)
		result = graph_hold_copy(executor, arguments->originalGraph, arguments->phGraphClone);
	if (!result)
		result = executor->driver.cuGraphClone(&clone, graph);
	if (result) {
		graph_holds_settle(executor);
		return result;
	}
	execute_mint(executor, arguments->phGraphClone, request->context, clone);
	return CUDA_SUCCESS;
}

/* All that it names is there; in a stream that is captured it becomes a node. */
static CUresult launch_hold(struct executor *executor, uint32_t exec, CUstream stream)
{
	uint64_t number;
	CUresult result;

	result = graph_hold_check(executor, exec);
	if (result || !executor->captures.count)
		return result;
	result = capture_find(executor, stream, &number);
	return result || !number ? result : graph_hold_copy(executor, exec, graph_holder_of_capture(number));
}

CUresult execute_cuGraphLaunch(struct executor *executor, const struct request *request,
			       const struct wire_cuGraphLaunch *arguments)
{
	const struct handle *exec = handles_find(&executor->handles, VGPU_KIND_GRAPH_EXEC, arguments->hGraphExec);
	CUstream stream;
	CUresult result = exec ? execute_find_stream(executor, arguments->hStream, &stream) : CUDA_ERROR_INVALID_HANDLE;

	(void)request;
	if (result)
		return result;
	if (!executor->driver.cuGraphLaunch)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = launch_hold(executor, arguments->hGraphExec, stream);
	if (result)
		return result;
	result = executor->driver.cuGraphLaunch(exec->object, stream);
	if (!result && exec->cache)
		graph_memory_launch(executor, arguments->hGraphExec);
	return result;
}

/* The nodes of a graph are its own: their ids must not outlive them. */
CUresult execute_cuGraphDestroy(struct executor *executor, const struct request *request,
				const struct wire_cuGraphDestroy *arguments)
{
	void *graph;
	CUresult result = execute_find(executor, VGPU_KIND_GRAPH, arguments->hGraph, &graph);

	(void)request;
	if (!result)
		result = graph_check_free(executor, arguments->hGraph);
	if (result)
		return result;
	if (!executor->driver.cuGraphDestroy)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = executor->driver.cuGraphDestroy(graph);
	if (!result)
		execute_forget(executor, arguments->hGraph);
	return result;
}
