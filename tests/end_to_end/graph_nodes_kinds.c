/* SPDX-License-Identifier: Apache-2.0 */
/* Graphs that come from captures, that hold graphs, host functions and events, and kernels of libraries. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "graph_nodes.h"

static CUgraphNode node_of_type(CUgraph graph, CUgraphNodeType wanted)
{
	CUgraphNode nodes[8], found = NULL;
	size_t count = COUNT(nodes);

	WORKS(cuGraphGetNodes(graph, nodes, &count));
	for (size_t i = 0; i < count; i++) {
		CUgraphNodeType type;

		WORKS(cuGraphNodeGetType(nodes[i], &type));
		if (type == wanted)
			found = nodes[i];
	}
	assert_non_null(found);
	return found;
}

static void expect_scaling(CUgraphNode node, uint32_t factor, uint32_t addend)
{
	CUDA_KERNEL_NODE_PARAMS kernel;

	WORKS(cuGraphKernelNodeGetParams_v2(node, &kernel));
	assert_int_equal(kernel.gridDimX, (WORDS + 127) / 128);
	assert_int_equal(kernel.blockDimX, 128);
	/* The real driver tells of the buffer if there was one. */
	assert_non_null(kernel.kernelParams);
	assert_int_equal(*(CUdeviceptr *)kernel.kernelParams[0], first);
	assert_int_equal(*(uint32_t *)kernel.kernelParams[1], factor);
	assert_int_equal(*(uint32_t *)kernel.kernelParams[2], addend);
}

/* The nodes of a capture, and of a clone of it, are named when they are asked for. */
void test_captured(void **state)
{
	CUDA_MEMSET_NODE_PARAMS fill;
	CUDA_MEMCPY3D copy;
	CUgraph graph, clone;
	CUgraphNode nodes[4], last = NULL;
	struct scaling scaling;
	CUgraphExec exec;
	size_t count = 0;

	(void)state;
	clear();
	scaling_of(&scaling, first, 3, 1);
	WORKS(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	WORKS(cuMemsetD8Async(first, 1, WORDS * 4, stream));
	WORKS(cuLaunchKernel(scale, scaling.node.gridDimX, 1, 1, 128, 1, 1, 0, stream, scaling.pointers, NULL));
	WORKS(cuStreamEndCapture(stream, &graph));
	WORKS(cuGraphGetNodes(graph, NULL, &count));
	assert_int_equal(count, 2);
	WORKS(cuGraphGetNodes(graph, nodes, &count));
	for (size_t i = 0; i < 2; i++) {
		CUgraphNodeType type;

		WORKS(cuGraphNodeGetType(nodes[i], &type));
		if (type == CU_GRAPH_NODE_TYPE_KERNEL)
			last = nodes[i];
		else
			assert_int_equal(type, CU_GRAPH_NODE_TYPE_MEMSET);
	}
	count = COUNT(nodes);
	WORKS(cuGraphNodeGetDependencies_v2(last, nodes, NULL, &count));
	assert_int_equal(count, 1);
	expect_type(nodes[0], CU_GRAPH_NODE_TYPE_MEMSET);
	WORKS(cuGraphMemsetNodeGetParams(nodes[0], &fill));
	assert_int_equal(fill.dst, first);
	assert_int_equal(fill.width * fill.elementSize, WORDS * 4);
	expect_scaling(last, 3, 1);
	add_copy(graph, last, second, first);
	WORKS(cuGraphClone(&clone, graph));
	exec = instantiate(graph);
	WORKS(cuGraphDestroy(graph));
	run(exec);
	expect_words(second, 0x01010101u * 3 + 1);
	WORKS(cuGraphExecDestroy(exec));

	count = COUNT(nodes);
	WORKS(cuGraphGetRootNodes(clone, nodes, &count));
	assert_int_equal(count, 1);
	expect_type(nodes[0], CU_GRAPH_NODE_TYPE_MEMSET);
	expect_scaling(node_of_type(clone, CU_GRAPH_NODE_TYPE_KERNEL), 3, 1);
	WORKS(cuGraphMemcpyNodeGetParams(node_of_type(clone, CU_GRAPH_NODE_TYPE_MEMCPY), &copy));
	assert_int_equal(copy.srcDevice, first);
	assert_int_equal(copy.dstDevice, second);
	assert_int_equal(copy.WidthInBytes, WORDS * 4);
	WORKS(cuGraphDestroyNode(nodes[0]));
	exec = instantiate(clone);
	clear();
	run(exec);
	expect_words(second, 1);
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(clone));
}

/* A kernel where a function is expected, as the runtime has them; what is told of it is given back, changed. */
void test_library_kernel(void **state)
{
	CUDA_KERNEL_NODE_PARAMS told;
	uint32_t *factor, former;
	struct scaling scaling;
	CUlibrary library;
	CUkernel kernel;
	CUgraphNode node;
	CUgraphExec exec;
	CUgraph graph;

	(void)state;
	WORKS(cuLibraryLoadData(&library, scale_image, NULL, NULL, 0, NULL, NULL, 0));
	WORKS(cuLibraryGetKernel(&kernel, library, "scale"));
	scaling_of(&scaling, first, 3, 1);
	scaling.node.func = NULL;
	scaling.node.kern = kernel;
	WORKS(cuGraphCreate(&graph, 0));
	WORKS(cuGraphAddKernelNode_v2(&node, graph, NULL, 0, &scaling.node));
	exec = instantiate(graph);
	clear();
	run(exec);
	run(exec);
	expect_words(first, 4);
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graph));

	WORKS(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	WORKS(cuLaunchKernel((CUfunction)kernel, scaling.node.gridDimX, 1, 1, 128, 1, 1, 0, stream, scaling.pointers,
			     NULL));
	WORKS(cuStreamEndCapture(stream, &graph));
	node = node_of_type(graph, CU_GRAPH_NODE_TYPE_KERNEL);
	expect_scaling(node, 3, 1);
	WORKS(cuGraphKernelNodeGetParams_v2(node, &told));
	factor = told.kernelParams[1];
	former = *factor;
	told.kernelParams[1] = &(uint32_t){former + 2};
	WORKS(cuGraphKernelNodeSetParams_v2(node, &told));
	exec = instantiate(graph);
	run(exec);
	expect_words(first, 21);
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graph));
	WORKS(cuLibraryUnload(library));
}

/* first = value * 3 + 1. */
static CUgraph tripling(uint32_t value)
{
	CUgraphNode filled;
	CUgraph graph;

	WORKS(cuGraphCreate(&graph, 0));
	filled = add_fill(graph, first, value);
	add_scaling(graph, &filled, 1, first, 3, 1);
	return graph;
}

void test_child(void **state)
{
	CUgraph graph, child = tripling(5), embedded, again;
	struct scaling scaling;
	CUgraphNode node;
	CUgraphExec exec;

	(void)state;
	clear();
	WORKS(cuGraphCreate(&graph, 0));
	/* With it NVIDIA's driver (580.159.04) ends the process. */
	if (!getenv("VGPU_NATIVE"))
		INVALID(cuGraphAddChildGraphNode(&node, child, NULL, 0, child));
	WORKS(cuGraphAddChildGraphNode(&node, graph, NULL, 0, child));
	expect_type(node, CU_GRAPH_NODE_TYPE_GRAPH);
	add_copy(graph, node, second, first);
	exec = instantiate(graph);
	/* It was copied. */
	WORKS(cuGraphDestroy(child));
	run(exec);
	expect_words(second, 16);

	child = tripling(6);
	WORKS(cuGraphExecChildGraphNodeSetParams(exec, node, child));
	run(exec);
	expect_words(second, 19);
	WORKS(cuGraphDestroy(child));

	WORKS(cuGraphChildGraphNodeGetGraph(node, &embedded));
	WORKS(cuGraphChildGraphNodeGetGraph(node, &again));
	assert_ptr_equal(embedded, again);
	node = node_of_type(embedded, CU_GRAPH_NODE_TYPE_KERNEL);
	WORKS(cuGraphExecKernelNodeSetParams_v2(exec, node, scaling_of(&scaling, first, 10, 0)));
	run(exec);
	expect_words(second, 60);
	WORKS(cuGraphExecDestroy(exec));

	/* What is changed in the embedded graph is changed in the node. */
	WORKS(cuGraphKernelNodeSetParams_v2(node, scaling_of(&scaling, first, 2, 0)));
	exec = instantiate(graph);
	run(exec);
	expect_words(second, 10);
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graph));
}

void test_moved_child(void **state)
{
	CUgraphNodeParams parameters = {.type = CU_GRAPH_NODE_TYPE_GRAPH};
	CUgraph graph, child = tripling(5), embedded;
	CUgraphNode node, scaled = node_of_type(child, CU_GRAPH_NODE_TYPE_KERNEL);
	struct scaling scaling;
	CUgraphExec exec;
	size_t count = 0;

	(void)state;
	clear();
	WORKS(cuGraphCreate(&graph, 0));
	parameters.graph.graph = child;
	parameters.graph.ownership = CU_GRAPH_CHILD_GRAPH_OWNERSHIP_MOVE;
	WORKS(cuGraphAddNode_v2(&node, graph, NULL, NULL, 0, &parameters));
	WORKS(cuGraphChildGraphNodeGetGraph(node, &embedded));
	assert_ptr_equal(embedded, child);
	add_copy(graph, node, second, first);
	exec = instantiate(graph);
	run(exec);
	expect_words(second, 16);
	WORKS(cuGraphExecKernelNodeSetParams_v2(exec, scaled, scaling_of(&scaling, first, 10, 0)));
	run(exec);
	expect_words(second, 50);
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphGetNodes(child, NULL, &count));
	assert_int_equal(count, 2);
	/* Of the node, which ends with the graph. The real driver is not asked for what it does not promise to refuse.
	 */
	if (!getenv("VGPU_NATIVE"))
		INVALID(cuGraphDestroy(child));
	WORKS(cuGraphDestroy(graph));
}

void test_attributes(void **state)
{
	const CUkernelNodeAttrValue priority = {.priority = -1};
	CUkernelNodeAttrValue value = {0};
	CUgraphNode node, other;
	struct scaling scaling;
	CUgraphExec exec;
	CUgraph graph;

	(void)state;
	clear();
	WORKS(cuGraphCreate(&graph, 0));
	node = add_scaling(graph, NULL, 0, first, 1, 4);
	other = add_scaling(graph, &node, 1, first, 2, 0);
	WORKS(cuGraphKernelNodeSetAttribute(node, CU_LAUNCH_ATTRIBUTE_PRIORITY, &priority));
	WORKS(cuGraphKernelNodeGetAttribute(node, CU_LAUNCH_ATTRIBUTE_PRIORITY, &value));
	assert_int_equal(value.priority, -1);
	WORKS(cuGraphKernelNodeSetParams_v2(node, scaling_of(&scaling, first, 1, 5)));
	WORKS(cuGraphKernelNodeGetAttribute(node, CU_LAUNCH_ATTRIBUTE_PRIORITY, &value));
	assert_int_equal(value.priority, -1);
	WORKS(cuGraphKernelNodeCopyAttributes(other, node));
	WORKS(cuGraphKernelNodeGetAttribute(other, CU_LAUNCH_ATTRIBUTE_PRIORITY, &value));
	assert_int_equal(value.priority, -1);
	exec = instantiate(graph);
	run(exec);
	expect_words(first, 10);
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graph));
}

/* A capture goes on from a node of a graph. */
void test_capture_to_graph(void **state)
{
	CUgraph graph, captured = NULL;
	struct scaling scaling;
	CUgraphNode filled, nodes[4];
	CUgraphExec exec;
	size_t count = COUNT(nodes);

	(void)state;
	clear();
	scaling_of(&scaling, first, 3, 1);
	WORKS(cuGraphCreate(&graph, 0));
	filled = add_fill(graph, first, 5);
	WORKS(cuStreamBeginCaptureToGraph(stream, graph, &filled, NULL, 1, CU_STREAM_CAPTURE_MODE_RELAXED));
	WORKS(cuLaunchKernel(scale, scaling.node.gridDimX, 1, 1, 128, 1, 1, 0, stream, scaling.pointers, NULL));
	WORKS(cuStreamEndCapture(stream, &captured));
	assert_ptr_equal(captured, graph);
	WORKS(cuGraphGetNodes(graph, nodes, &count));
	assert_int_equal(count, 2);
	assert_true(nodes[0] == filled || nodes[1] == filled);
	count = COUNT(nodes);
	WORKS(cuGraphNodeGetDependentNodes_v2(filled, nodes, NULL, &count));
	assert_int_equal(count, 1);
	expect_type(nodes[0], CU_GRAPH_NODE_TYPE_KERNEL);
	add_copy(graph, nodes[0], second, first);

	/* And again, from none. */
	WORKS(cuStreamBeginCaptureToGraph(stream, graph, NULL, NULL, 0, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
	WORKS(cuStreamEndCapture(stream, &captured));
	exec = instantiate(graph);
	run(exec);
	expect_words(second, 16);
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graph));
	/* The stream captures as before. */
	WORKS(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	WORKS(cuStreamEndCapture(stream, &graph));
	WORKS(cuGraphDestroy(graph));
}

static void count(void *data)
{
	atomic_fetch_add((atomic_int *)data, 1);
}

static void count_ten(void *data)
{
	atomic_fetch_add((atomic_int *)data, 10);
}

void test_host_node(void **state)
{
	atomic_int calls = 0;
	const CUDA_HOST_NODE_PARAMS once = {count, &calls}, tenfold = {count_ten, &calls};
	CUDA_HOST_NODE_PARAMS told;
	CUgraphNode filled, node;
	CUgraphExec exec;
	CUgraph graph;

	(void)state;
	WORKS(cuGraphCreate(&graph, 0));
	filled = add_fill(graph, first, 1);
	WORKS(cuGraphAddHostNode(&node, graph, &filled, 1, &once));
	expect_type(node, CU_GRAPH_NODE_TYPE_HOST);
	WORKS(cuGraphHostNodeGetParams(node, &told));
	assert_ptr_equal(told.userData, &calls);
	exec = instantiate(graph);
	for (int turn = 1; turn <= 3; turn++) {
		run(exec);
		assert_int_equal(calls, turn);
	}
	WORKS(cuGraphExecHostNodeSetParams(exec, node, &tenfold));
	WORKS(cuGraphDestroy(graph));
	run(exec);
	assert_int_equal(calls, 13);
	WORKS(cuGraphExecDestroy(exec));
}

static void hold(void *data)
{
	while (!atomic_load((atomic_int *)data))
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* The graph waits for one event and records another one. */
void test_events(void **state)
{
	CUevent before, start, after, other, told;
	CUgraphNode waited, scaled, recorded;
	float milliseconds = -1;
	atomic_int is_open = 0;
	CUstream side;
	CUgraphExec exec;
	CUgraph graph;

	(void)state;
	clear();
	WORKS(cuStreamCreate(&side, CU_STREAM_NON_BLOCKING));
	WORKS(cuEventCreate(&before, CU_EVENT_DISABLE_TIMING));
	WORKS(cuEventCreate(&start, CU_EVENT_DEFAULT));
	WORKS(cuEventCreate(&after, CU_EVENT_DEFAULT));
	WORKS(cuEventCreate(&other, CU_EVENT_DEFAULT));
	WORKS(cuGraphCreate(&graph, 0));
	WORKS(cuGraphAddEventWaitNode(&waited, graph, NULL, 0, before));
	WORKS(cuGraphEventWaitNodeGetEvent(waited, &told));
	assert_ptr_equal(told, before);
	scaled = add_scaling(graph, &waited, 1, first, 2, 1);
	WORKS(cuGraphAddEventRecordNode(&recorded, graph, &scaled, 1, after));
	exec = instantiate(graph);

	WORKS(cuLaunchHostFunc(side, hold, &is_open));
	WORKS(cuMemsetD8Async(first, 1, WORDS * 4, side));
	WORKS(cuEventRecord(before, side));
	WORKS(cuEventRecord(start, stream));
	WORKS(cuGraphLaunch(exec, stream));
	assert_int_equal(cuStreamQuery(stream), CUDA_ERROR_NOT_READY);
	is_open = 1;
	expect_words(first, 0x01010101u * 2 + 1);
	WORKS(cuEventQuery(after));
	WORKS(cuEventElapsedTime(&milliseconds, start, after));
	assert_true(milliseconds >= 0);

	assert_int_equal(cuEventElapsedTime(&milliseconds, start, other), CUDA_ERROR_INVALID_HANDLE);
	WORKS(cuGraphExecEventRecordNodeSetEvent(exec, recorded, other));
	WORKS(cuGraphLaunch(exec, stream));
	expect_words(first, (0x01010101u * 2 + 1) * 2 + 1);
	WORKS(cuEventElapsedTime(&milliseconds, after, other));
	assert_true(milliseconds >= 0);
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graph));
	WORKS(cuStreamDestroy_v2(side));
	WORKS(cuEventDestroy_v2(before));
	WORKS(cuEventDestroy_v2(start));
	WORKS(cuEventDestroy_v2(after));
	WORKS(cuEventDestroy_v2(other));
}
