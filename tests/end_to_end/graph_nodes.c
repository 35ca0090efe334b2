/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Graphs made node by node, with any libcuda.so.1. Run by test_streams.py; with the argument "refusals" it looks
 * at what only this libcuda refuses.
 */
#include <stdlib.h>
#include <string.h>

#include "graph_nodes.h"

/* first = 5, then * 3 + 1, then * 2 + 7; second is a copy of it. */
static void test_chain(void **state)
{
	CUgraphNode fill, tripled, barrier, doubled;
	CUgraphExec exec;
	CUgraph graph;

	(void)state;
	clear();
	WORKS(cuGraphCreate(&graph, 0));
	fill = add_fill(graph, first, 5);
	tripled = add_scaling(graph, &fill, 1, first, 3, 1);
	WORKS(cuGraphAddEmptyNode(&barrier, graph, &tripled, 1));
	doubled = add_scaling(graph, &barrier, 1, first, 2, 7);
	add_copy(graph, doubled, second, first);
	exec = instantiate(graph);
	WORKS(cuGraphDestroy(graph));
	for (int i = 0; i < 3; i++)
		run(exec);
	expect_words(second, (5 * 3 + 1) * 2 + 7);
	WORKS(cuGraphExecDestroy(exec));
}

static void test_shape(void **state)
{
	CUgraphNode left, right, both, copy, nodes[6], others[6];
	size_t count = 0, edges_of_both = 0;
	CUgraphEdgeData edges[6];
	CUgraph graph;

	(void)state;
	WORKS(cuGraphCreate(&graph, 0));
	WORKS(cuGraphGetNodes(graph, NULL, &count));
	assert_int_equal(count, 0);
	left = add_fill(graph, first, 1);
	right = add_fill(graph, second, 2);
	both = add_scaling(graph, (CUgraphNode[]){left, right}, 2, first, 1, 1);
	copy = add_copy(graph, both, second, first);
	expect_type(left, CU_GRAPH_NODE_TYPE_MEMSET);
	expect_type(both, CU_GRAPH_NODE_TYPE_KERNEL);
	expect_type(copy, CU_GRAPH_NODE_TYPE_MEMCPY);

	count = COUNT(nodes);
	WORKS(cuGraphGetNodes(graph, nodes, &count));
	assert_int_equal(count, 4);
	assert_null(nodes[4]);
	count = COUNT(nodes);
	WORKS(cuGraphGetRootNodes(graph, nodes, &count));
	assert_int_equal(count, 2);
	assert_true((nodes[0] == left && nodes[1] == right) || (nodes[0] == right && nodes[1] == left));
	count = 1;
	WORKS(cuGraphGetNodes(graph, nodes, &count));
	assert_int_equal(count, 1);

	WORKS(cuGraphGetEdges_v2(graph, NULL, NULL, NULL, &count));
	assert_int_equal(count, 3);
	count = COUNT(nodes);
	WORKS(cuGraphGetEdges_v2(graph, nodes, others, edges, &count));
	assert_int_equal(count, 3);
	for (size_t i = 0; i < count; i++) {
		edges_of_both += others[i] == both && (nodes[i] == left || nodes[i] == right);
		assert_int_equal(edges[i].type, CU_GRAPH_DEPENDENCY_TYPE_DEFAULT);
	}
	assert_int_equal(edges_of_both, 2);
	count = COUNT(nodes);
	WORKS(cuGraphNodeGetDependencies_v2(copy, nodes, NULL, &count));
	assert_int_equal(count, 1);
	assert_ptr_equal(nodes[0], both);
	count = COUNT(nodes);
	WORKS(cuGraphNodeGetDependentNodes_v2(left, nodes, NULL, &count));
	assert_int_equal(count, 1);
	assert_ptr_equal(nodes[0], both);
	WORKS(cuGraphDestroy(graph));
}

static void test_parameters(void **state)
{
	struct scaling scaling;
	CUDA_KERNEL_NODE_PARAMS kernel;
	CUDA_MEMSET_NODE_PARAMS fill;
	CUDA_MEMCPY3D copy;
	CUgraphNode filled, scaled, copied;
	CUgraphExec former, latter;
	CUgraph graph;

	(void)state;
	clear();
	WORKS(cuGraphCreate(&graph, 0));
	filled = add_fill(graph, first, 5);
	scaled = add_scaling(graph, &filled, 1, first, 3, 1);
	copied = add_copy(graph, scaled, second, first);
	former = instantiate(graph);

	WORKS(cuGraphKernelNodeGetParams_v2(scaled, &kernel));
	assert_ptr_equal(kernel.func, scale);
	assert_int_equal(kernel.blockDimX, 128);
	assert_int_equal(*(uint32_t *)kernel.kernelParams[1], 3);
	assert_int_equal(*(uint32_t *)kernel.kernelParams[2], 1);
	WORKS(cuGraphMemsetNodeGetParams(filled, &fill));
	assert_int_equal(fill.dst, first);
	assert_int_equal(fill.value, 5);
	WORKS(cuGraphMemcpyNodeGetParams(copied, &copy));
	assert_int_equal(copy.dstDevice, second);
	assert_int_equal(copy.WidthInBytes, WORDS * 4);

	WORKS(cuGraphKernelNodeSetParams_v2(scaled, scaling_of(&scaling, first, 10, 0)));
	WORKS(cuGraphKernelNodeGetParams_v2(scaled, &kernel));
	assert_int_equal(*(uint32_t *)kernel.kernelParams[1], 10);
	fill.value = 6;
	WORKS(cuGraphMemsetNodeSetParams(filled, &fill));
	latter = instantiate(graph);
	run(latter);
	expect_words(second, 60);
	run(former);
	expect_words(second, 16);
	WORKS(cuGraphDestroy(graph));
	WORKS(cuGraphExecDestroy(former));
	WORKS(cuGraphExecDestroy(latter));
}

/* Every other word, to memory of the host that the device can reach and back. */
static void test_copies(void **state)
{
	const CUDA_MEMCPY3D down = {
		.srcMemoryType = CU_MEMORYTYPE_DEVICE,
		.srcDevice = first,
		.srcPitch = 8,
		.dstMemoryType = CU_MEMORYTYPE_HOST,
		.dstHost = pinned,
		.dstPitch = 4,
		.WidthInBytes = 4,
		.Height = WORDS / 2,
		.Depth = 1,
	};
	const CUDA_MEMCPY3D up = {
		.srcMemoryType = CU_MEMORYTYPE_HOST,
		.srcHost = pinned,
		.dstMemoryType = CU_MEMORYTYPE_DEVICE,
		.dstDevice = second,
		.WidthInBytes = WORDS * 2,
		.Height = 1,
		.Depth = 1,
	};
	static uint32_t words[WORDS];
	CUgraphNode copied, node;
	CUdeviceptr mapped;
	CUgraphExec exec;
	CUgraph graph;

	(void)state;
	if (cuMemHostGetDevicePointer_v2(&mapped, pinned, 0))
		skip(); /* over a worker, or in a virtual machine */
	clear();
	for (uint32_t i = 0; i < WORDS; i++)
		words[i] = i;
	WORKS(cuMemcpyHtoD_v2(first, words, sizeof(words)));
	/* A copy from pageable memory may be under way when it returns. */
	WORKS(cuCtxSynchronize());
	WORKS(cuGraphCreate(&graph, 0));
	WORKS(cuGraphAddMemcpyNode(&copied, graph, NULL, 0, &down, context));
	WORKS(cuGraphAddMemcpyNode(&node, graph, &copied, 1, &up, context));
	exec = instantiate(graph);
	run(exec);
	WORKS(cuMemcpyDtoH_v2(words, second, sizeof(words)));
	for (uint32_t i = 0; i < WORDS; i++)
		assert_int_equal(words[i], i < WORDS / 2 ? 2 * i : 0);
	for (uint32_t i = 0; i < WORDS / 2; i++)
		assert_int_equal(pinned[i], 2 * i);
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graph));
}

/* All parameters in one buffer. */
static void test_buffer(void **state)
{
	struct {
		CUdeviceptr to;
		uint32_t factor, addend, count;
	} buffer = {first, 1, 9, WORDS};
	size_t bytes = offsetof(__typeof__(buffer), count) + sizeof(buffer.count);
	void *extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, &buffer, CU_LAUNCH_PARAM_BUFFER_SIZE, &bytes,
			 CU_LAUNCH_PARAM_END};
	struct scaling scaling;
	CUgraphNode node;
	CUgraphExec exec;
	CUgraph graph;

	(void)state;
	clear();
	scaling_of(&scaling, first, 0, 0);
	scaling.node.kernelParams = NULL;
	scaling.node.extra = extra;
	WORKS(cuGraphCreate(&graph, 0));
	WORKS(cuGraphAddKernelNode_v2(&node, graph, NULL, 0, &scaling.node));
	exec = instantiate(graph);
	run(exec);
	run(exec);
	expect_words(first, 18);
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graph));
}

static void test_executable(void **state)
{
	const CUDA_MEMSET_NODE_PARAMS fill = fill_of(first, 7);
	const CUDA_MEMCPY3D copy = copy_of(third, first);
	CUgraphNode filled, scaled, copied;
	struct scaling scaling;
	unsigned int enabled = 7;
	CUgraphExec exec;
	CUgraph graph;

	(void)state;
	clear();
	WORKS(cuGraphCreate(&graph, 0));
	filled = add_fill(graph, first, 5);
	scaled = add_scaling(graph, &filled, 1, first, 3, 1);
	copied = add_copy(graph, scaled, second, first);
	exec = instantiate(graph);

	WORKS(cuGraphExecKernelNodeSetParams_v2(exec, scaled, scaling_of(&scaling, first, 2, 0)));
	WORKS(cuGraphExecMemsetNodeSetParams(exec, filled, &fill, context));
	run(exec);
	expect_words(second, 14);

	WORKS(cuGraphNodeGetEnabled(exec, scaled, &enabled));
	assert_int_equal(enabled, 1);
	WORKS(cuGraphNodeSetEnabled(exec, scaled, 0));
	WORKS(cuGraphNodeGetEnabled(exec, scaled, &enabled));
	assert_int_equal(enabled, 0);
	run(exec);
	expect_words(second, 7);
	WORKS(cuGraphNodeSetEnabled(exec, scaled, 1));
	run(exec);
	expect_words(second, 14);

	WORKS(cuMemsetD32_v2(second, 0, WORDS));
	WORKS(cuCtxSynchronize());
	WORKS(cuGraphExecMemcpyNodeSetParams(exec, copied, &copy, context));
	run(exec);
	expect_words(third, 14);
	expect_words(second, 0);
	WORKS(cuGraphExecDestroy(exec));

	/* The graph is as it was. */
	exec = instantiate(graph);
	run(exec);
	expect_words(second, 16);
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graph));
}

static void test_update(void **state)
{
	CUgraphExecUpdateResultInfo info;
	CUgraphNode filled, node;
	CUgraph graph, other;
	struct scaling scaling;
	CUgraphExec exec;

	(void)state;
	clear();
	WORKS(cuGraphCreate(&graph, 0));
	filled = add_fill(graph, first, 5);
	node = add_scaling(graph, &filled, 1, first, 3, 1);
	exec = instantiate(graph);
	WORKS(cuGraphCreate(&other, 0));
	filled = add_fill(other, first, 6);
	add_scaling(other, &filled, 1, first, 3, 1);
	WORKS(cuGraphExecUpdate_v2(exec, other, &info));
	run(exec);
	expect_words(first, 19);
	/* The nodes of the graph that it was made of are still its names. */
	WORKS(cuGraphExecKernelNodeSetParams_v2(exec, node, scaling_of(&scaling, first, 2, 2)));
	run(exec);
	expect_words(first, 14);
	add_fill(other, second, 1);
	assert_int_equal(cuGraphExecUpdate_v2(exec, other, &info), CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
	assert_int_equal(info.result, CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED);
	WORKS(cuGraphDestroy(other));
	WORKS(cuGraphDestroy(graph));
	WORKS(cuGraphExecDestroy(exec));
}

static void test_edges(void **state)
{
	CUgraphNode early, late, filled;
	CUgraphExec exec;
	CUgraph graph;
	size_t count;

	(void)state;
	clear();
	WORKS(cuGraphCreate(&graph, 0));
	/* The one that was added first is to run last. */
	late = add_scaling(graph, NULL, 0, first, 2, 7);
	early = add_scaling(graph, NULL, 0, first, 3, 1);
	filled = add_fill(graph, first, 5);
	WORKS(cuGraphAddDependencies_v2(graph, (CUgraphNode[]){early, filled}, (CUgraphNode[]){late, early}, NULL, 2));
	exec = instantiate(graph);
	run(exec);
	expect_words(first, (5 * 3 + 1) * 2 + 7);
	WORKS(cuGraphExecDestroy(exec));
	INVALID(cuGraphAddDependencies_v2(graph, &early, &late, NULL, 1));

	WORKS(cuGraphRemoveDependencies_v2(graph, &filled, &early, NULL, 1));
	INVALID(cuGraphRemoveDependencies_v2(graph, &filled, &early, NULL, 1));
	WORKS(cuGraphNodeGetDependencies_v2(early, NULL, NULL, &count));
	assert_int_equal(count, 0);
	WORKS(cuGraphDestroyNode(filled));
	WORKS(cuGraphDestroyNode(early));
	WORKS(cuGraphNodeGetDependencies_v2(late, NULL, NULL, &count));
	assert_int_equal(count, 0);
	WORKS(cuGraphGetNodes(graph, NULL, &count));
	assert_int_equal(count, 1);
	WORKS(cuMemsetD32_v2(first, 4, WORDS));
	WORKS(cuCtxSynchronize());
	exec = instantiate(graph);
	run(exec);
	expect_words(first, 15);
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graph));
}

static void test_many(void **state)
{
	static CUgraphNode nodes[MANY], found[MANY];
	CUgraphNode barrier;
	CUgraphExec exec;
	size_t count = MANY;
	CUgraph graph;

	(void)state;
	clear();
	WORKS(cuGraphCreate(&graph, 0));
	for (size_t i = 0; i < MANY; i++) {
		const CUDA_MEMSET_NODE_PARAMS fill = {
			.dst = first + i % WORDS * 4, .value = 3, .elementSize = 4, .width = 1, .height = 1};

		WORKS(cuGraphAddMemsetNode(&nodes[i], graph, NULL, 0, &fill, context));
	}
	WORKS(cuGraphAddEmptyNode(&barrier, graph, nodes, MANY));
	add_scaling(graph, &barrier, 1, first, 2, 1);
	WORKS(cuGraphNodeGetDependencies_v2(barrier, found, NULL, &count));
	assert_int_equal(count, MANY);
	exec = instantiate(graph);
	run(exec);
	expect_words(first, 7);
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graph));
}

static void test_errors(void **state)
{
	CUDA_MEMSET_NODE_PARAMS fill = fill_of(first, 0);
	CUgraphNode node, foreign;
	struct scaling scaling;
	CUgraph graph, other;

	(void)state;
	WORKS(cuGraphCreate(&graph, 0));
	WORKS(cuGraphCreate(&other, 0));
	foreign = add_fill(other, first, 1);
	INVALID(cuGraphAddEmptyNode(&node, graph, &foreign, 1));
	node = add_fill(graph, first, 1);
	INVALID(cuGraphAddEmptyNode(&foreign, graph, (CUgraphNode[]){node, node}, 2));
	INVALID(cuGraphKernelNodeSetParams_v2(node, scaling_of(&scaling, first, 1, 1)));
	scaling.node.blockDimX = 4096;
	INVALID(cuGraphAddKernelNode_v2(&node, graph, NULL, 0, &scaling.node));
	fill.elementSize = 3;
	INVALID(cuGraphAddMemsetNode(&node, graph, NULL, 0, &fill, context));
	WORKS(cuGraphDestroy(graph));
	WORKS(cuGraphDestroy(other));
}

/* What is not built; and handles of what is gone. */
static void test_refusals(void **state)
{
	CUgraphNodeParams parameters = {.type = CU_GRAPH_NODE_TYPE_EXT_SEMAS_SIGNAL};
	CUgraphNode node, gone;
	CUgraphNodeType type;
	CUgraph graph;

	(void)state;
	WORKS(cuGraphCreate(&graph, 0));
	assert_int_equal(cuGraphAddNode_v2(&node, graph, NULL, NULL, 0, &parameters), CUDA_ERROR_NOT_SUPPORTED);
	gone = add_fill(graph, first, 1);
	WORKS(cuGraphDestroyNode(gone));
	INVALID(cuGraphNodeGetType(gone, &type));
	INVALID(cuGraphAddEmptyNode(&node, graph, &gone, 1));
	gone = add_fill(graph, first, 1);
	WORKS(cuStreamBeginCaptureToGraph(stream, graph, &gone, NULL, 1, CU_STREAM_CAPTURE_MODE_RELAXED));
	INVALID(cuGraphDestroy(graph));
	INVALID(cuGraphDestroyNode(gone));
	assert_int_equal(cuStreamBeginCaptureToGraph(stream, graph, NULL, NULL, 0, CU_STREAM_CAPTURE_MODE_RELAXED),
			 CUDA_ERROR_ILLEGAL_STATE);
	WORKS(cuStreamEndCapture(stream, &graph));
	WORKS(cuGraphDestroy(graph));
	INVALID(cuGraphDestroyNode(gone));
}

int main(int argument_count, char **arguments)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chain),
		cmocka_unit_test(test_shape),
		cmocka_unit_test(test_parameters),
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_buffer),
		cmocka_unit_test(test_executable),
		cmocka_unit_test(test_update),
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_captured),
		cmocka_unit_test(test_child),
		cmocka_unit_test(test_moved_child),
		cmocka_unit_test(test_attributes),
		cmocka_unit_test(test_library_kernel),
		cmocka_unit_test(test_host_node),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_capture_to_graph),
		cmocka_unit_test(test_errors),
	};
	const struct CMUnitTest refusals[] = {cmocka_unit_test(test_refusals)};

	if (argument_count > 1 && strcmp(arguments[1], "refusals") == 0)
		return cmocka_run_group_tests(refusals, setup, NULL);
	return cmocka_run_group_tests(tests, setup, NULL);
}
