/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conditional nodes of graphs, with any libcuda.so.1 (of CUDA 12.8 or later). Run by test_streams.py; with the
 * argument "refusals" it looks at what only this libcuda is known to refuse.
 *
 * Kernels decide by cudaGraphSetConditional, which the driver knows without libcudadevrt: it is what XLA, too, declares
 * in PTX that it loads with cuModuleLoadData.
 */
#include "graph_conditional.h"

static void test_if(void **state)
{
	CUgraph *bodies, graph = graph_make(CU_GRAPH_COND_TYPE_IF, 1, &bodies);
	CUgraphNode node = sum_add(bodies[0], NULL, SUMS, 5);
	CUgraphExec exec;
	size_t count;

	(void)state;
	sum_add(bodies[0], node, SUMS + 1, 7);
	WORKS(cuGraphGetNodes(bodies[0], NULL, &count));
	assert_int_equal(count, 2);
	WORKS(cuGraphGetNodes(graph, NULL, &count));
	assert_int_equal(count, 3);
	exec = instantiate(graph);
	/* The executable has all that it needs. */
	WORKS(cuGraphDestroy(graph));
	for (uint32_t value = 0; value < 4; value++) {
		run(exec, value);
		expect(DECISIONS, 1);
		expect(SUMS, value ? 1005 : 1000);
		expect(SUMS + 1, value ? 7 : 0);
	}
	WORKS(cuGraphExecDestroy(exec));
}

static void test_else(void **state)
{
	CUgraph *bodies, graph = graph_make(CU_GRAPH_COND_TYPE_IF, 2, &bodies);
	CUgraphExec exec;

	(void)state;
	sum_add(bodies[0], NULL, SUMS, 1);
	sum_add(bodies[1], NULL, SUMS, 2);
	exec = instantiate(graph);
	run(exec, 1);
	expect(SUMS, 1001);
	run(exec, 0);
	expect(SUMS, 1002);
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graph));
}

static void test_while(void **state)
{
	CUgraph graph, *bodies;
	CUgraphConditionalHandle condition;
	CUgraphNode node;
	CUgraphExec exec;

	(void)state;
	WORKS(cuGraphCreate(&graph, 0));
	condition = condition_make(graph);
	node = decide_add(graph, NULL, condition, 0);
	node = conditional_add(graph, node, condition, CU_GRAPH_COND_TYPE_WHILE, 1, &bodies);
	sum_add(graph, node, SUMS + 1, 9);
	node = sum_add(bodies[0], NULL, SUMS, 3);
	decide_add(bodies[0], node, condition, 1);
	exec = instantiate(graph);
	for (uint32_t turns = 0; turns < 200; turns += 66) {
		run(exec, turns);
		expect(LEFT, 0);
		expect(DECISIONS, turns + 1);
		expect(SUMS, 3 * turns);
		expect(SUMS + 1, 9);
	}
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graph));
}

static void test_switch(void **state)
{
	CUgraph *bodies, graph = graph_make(CU_GRAPH_COND_TYPE_SWITCH, 5, &bodies);
	CUgraphExec exec;

	(void)state;
	/* The fourth does nothing. */
	for (uint32_t i = 0; i < 5; i++)
		if (i != 3)
			sum_add(bodies[i], NULL, SUMS + 1 + i, 1 + i);
	exec = instantiate(graph);
	for (uint32_t value = 0; value < 7; value++) {
		run(exec, value);
		expect(SUMS, 1000);
		for (uint32_t i = 0; i < 5; i++)
			expect(SUMS + 1 + i, i == value && i != 3 ? 1 + i : 0);
	}
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graph));
}

/* The value that a handle has at the beginning of each launch. */
static void test_default(void **state)
{
	CUgraph graph, *bodies;
	CUgraphConditionalHandle condition;
	CUgraphNode node;
	CUgraphExec exec;

	(void)state;
	WORKS(cuGraphCreate(&graph, 0));
	WORKS(cuGraphConditionalHandleCreate(&condition, graph, context, 1, CU_GRAPH_COND_ASSIGN_DEFAULT));
	conditional_add(graph, NULL, condition, CU_GRAPH_COND_TYPE_WHILE, 1, &bodies);
	node = sum_add(bodies[0], NULL, SUMS, 1);
	decide_add(bodies[0], node, condition, 1);
	exec = instantiate(graph);
	/* What the last launch has left is not what the next one begins with. */
	for (uint32_t turns = 3; turns > 0; turns--) {
		run(exec, turns);
		expect(SUMS, turns);
		expect(DECISIONS, turns);
	}
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graph));
}

/* A loop that has a decision in it, whose handle is the loop's graph's or the body's own. */
static void nested_run(bool is_of_body)
{
	CUgraph graph, *bodies, *inner;
	CUgraphConditionalHandle outer, condition;
	CUgraphNode node;
	CUgraphExec exec;

	WORKS(cuGraphCreate(&graph, 0));
	outer = condition_make(graph);
	node = decide_add(graph, NULL, outer, 0);
	conditional_add(graph, node, outer, CU_GRAPH_COND_TYPE_WHILE, 1, &bodies);
	condition = condition_make(is_of_body ? bodies[0] : graph);
	node = decide_add(bodies[0], NULL, condition, 1);
	node = conditional_add(bodies[0], node, condition, CU_GRAPH_COND_TYPE_IF, 1, &inner);
	decide_add(bodies[0], node, outer, 0);
	sum_add(inner[0], NULL, SUMS, 1);
	exec = instantiate(graph);
	run(exec, 6);
	/* In the last of the turns there is nothing left. */
	expect(LEFT, 0);
	expect(SUMS, 5);
	expect(DECISIONS, 13);
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graph));
}

static void test_nested(void **state)
{
	(void)state;
	nested_run(false);
}

static void test_nested_handle_of_body(void **state)
{
	(void)state;
	nested_run(true);
}

/* A capture gets a conditional node, and another one fills its body. */
static void test_captured(void **state)
{
	CUstreamCaptureStatus status;
	CUgraphConditionalHandle condition;
	const CUgraphNode *dependencies;
	CUgraph graph, captured, *bodies, body = NULL;
	uint32_t less = 1;
	void *parameters[] = {&condition, &words, &less};
	CUgraphNode node;
	CUgraphExec exec;
	size_t count;

	(void)state;
	WORKS(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	sum_launch(stream, SUMS, 100);
	WORKS(cuStreamGetCaptureInfo_v3(stream, &status, NULL, &captured, &dependencies, NULL, &count));
	assert_int_equal(status, CU_STREAM_CAPTURE_STATUS_ACTIVE);
	assert_int_equal(count, 1);
	WORKS(cuGraphConditionalHandleCreate(&condition, captured, context, 1, CU_GRAPH_COND_ASSIGN_DEFAULT));
	node = conditional_add(captured, dependencies[0], condition, CU_GRAPH_COND_TYPE_WHILE, 1, &bodies);
	WORKS(cuStreamUpdateCaptureDependencies_v2(stream, &node, NULL, 1, CU_STREAM_SET_CAPTURE_DEPENDENCIES));

	WORKS(cuStreamBeginCaptureToGraph(second, bodies[0], NULL, NULL, 0, CU_STREAM_CAPTURE_MODE_RELAXED));
	sum_launch(second, SUMS + 1, 2);
	WORKS(cuLaunchKernel(decide, 1, 1, 1, 1, 1, 1, 0, second, parameters, NULL));
	WORKS(cuMemcpyDtoDAsync_v2(word(SUMS + 2), word(DECISIONS), sizeof(uint32_t), second));
	WORKS(cuMemsetD8Async(word(SUMS + 3), 0x11, sizeof(uint32_t), second));
	WORKS(cuStreamEndCapture(second, &body));
	assert_ptr_equal(body, bodies[0]);

	sum_launch(stream, SUMS, 11);
	WORKS(cuStreamEndCapture(stream, &graph));
	WORKS(cuGraphGetNodes(graph, NULL, &count));
	assert_int_equal(count, 3);
	WORKS(cuGraphGetNodes(bodies[0], NULL, &count));
	assert_int_equal(count, 4);
	exec = instantiate(graph);
	WORKS(cuGraphDestroy(graph));
	for (uint32_t turns = 1; turns < 5; turns++) {
		run(exec, turns);
		expect(SUMS, 111);
		expect(SUMS + 1, 2 * turns);
		expect(SUMS + 2, turns);
		expect(SUMS + 3, 0x11111111);
	}
	WORKS(cuGraphExecDestroy(exec));
}

/* Another graph of the same form: its kernels' parameters, and its handle's default. */
static CUgraph updating_make(uint32_t initial, uint32_t value)
{
	CUgraphConditionalHandle condition;
	CUgraph graph, *bodies;

	WORKS(cuGraphCreate(&graph, 0));
	WORKS(cuGraphConditionalHandleCreate(&condition, graph, context, initial, CU_GRAPH_COND_ASSIGN_DEFAULT));
	conditional_add(graph, NULL, condition, CU_GRAPH_COND_TYPE_IF, 1, &bodies);
	sum_add(bodies[0], NULL, SUMS, value);
	return graph;
}

static void test_update(void **state)
{
	CUgraph one = updating_make(1, 10), other = updating_make(1, 20), never = updating_make(0, 30);
	CUgraphExec exec = instantiate(one);
	CUgraphExecUpdateResultInfo info;

	(void)state;
	run(exec, 0);
	expect(SUMS, 10);
	WORKS(cuGraphExecUpdate_v2(exec, other, &info));
	assert_int_equal(info.result, CU_GRAPH_EXEC_UPDATE_SUCCESS);
	run(exec, 0);
	expect(SUMS, 20);
	WORKS(cuGraphExecUpdate_v2(exec, never, &info));
	run(exec, 0);
	expect(SUMS, 0);
	WORKS(cuGraphDestroy(one));
	WORKS(cuGraphDestroy(other));
	WORKS(cuGraphDestroy(never));
	WORKS(cuGraphExecDestroy(exec));
}

/* A node of a body in the executable graph. */
static void test_body_node(void **state)
{
	CUgraph *bodies, graph = graph_make(CU_GRAPH_COND_TYPE_IF, 1, &bodies);
	CUgraphNode node = sum_add(bodies[0], NULL, SUMS + 1, 5);
	CUgraphExec exec = instantiate(graph);
	CUDA_KERNEL_NODE_PARAMS kernel;
	CUdeviceptr to = word(SUMS + 2);
	uint32_t value = 8;
	void *parameters[] = {&to, &value};

	(void)state;
	WORKS(cuGraphKernelNodeGetParams_v2(node, &kernel));
	kernel.kernelParams = parameters;
	kernel.extra = NULL;
	WORKS(cuGraphExecKernelNodeSetParams_v2(exec, node, &kernel));
	run(exec, 1);
	expect(SUMS + 1, 0);
	expect(SUMS + 2, 8);
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graph));
}

/* What changes in the graph later is not in the executable, and is in the next one. */
static void test_changed(void **state)
{
	CUgraph *bodies, graph = graph_make(CU_GRAPH_COND_TYPE_IF, 1, &bodies);
	CUgraphNode node = sum_add(bodies[0], NULL, SUMS + 1, 5);
	CUgraphExec exec = instantiate(graph), next;

	(void)state;
	sum_add(bodies[0], node, SUMS + 1, 6);
	run(exec, 1);
	expect(SUMS + 1, 5);
	/* NVIDIA's driver (580.159.04) has one executable at a time of a graph with such nodes. */
	WORKS(cuGraphExecDestroy(exec));
	next = instantiate(graph);
	run(next, 1);
	expect(SUMS + 1, 11);
	WORKS(cuGraphExecDestroy(next));
	WORKS(cuGraphDestroy(graph));
}

/* API reference: graphs with conditional nodes are neither copied nor embedded. */
static void test_copies(void **state)
{
	CUgraph *bodies, graph = graph_make(CU_GRAPH_COND_TYPE_IF, 1, &bodies), clone, parent;
	CUgraphNode node;

	(void)state;
	FAILS(cuGraphClone(&clone, graph));
	WORKS(cuGraphCreate(&parent, 0));
	FAILS(cuGraphAddChildGraphNode(&node, parent, NULL, 0, graph));
	WORKS(cuGraphDestroy(parent));
	WORKS(cuGraphDestroy(graph));
}

static void nothing(void *data)
{
	(void)data;
}

/* API reference, CUDA_CONDITIONAL_NODE_PARAMS: no host functions, nor in embedded graphs. */
static void test_what_bodies_may_have(void **state)
{
	const CUDA_HOST_NODE_PARAMS host = {.fn = nothing};
	CUgraph *bodies, graph = graph_make(CU_GRAPH_COND_TYPE_IF, 1, &bodies), child;
	CUgraphExec exec = NULL;
	CUgraphNode node, host_node;

	(void)state;
	WORKS(cuGraphCreate(&child, 0));
	sum_add(child, NULL, SUMS + 1, 3);
	WORKS(cuGraphAddChildGraphNode(&node, bodies[0], NULL, 0, child));
	exec = instantiate(graph);
	run(exec, 1);
	expect(SUMS + 1, 3);
	WORKS(cuGraphExecDestroy(exec));
	if (cuGraphAddHostNode(&host_node, child, NULL, 0, &host) == CUDA_SUCCESS &&
	    cuGraphAddChildGraphNode(&node, bodies[0], NULL, 0, child) == CUDA_SUCCESS)
		FAILS(cuGraphInstantiateWithFlags(&exec, graph, 0));
	WORKS(cuGraphDestroy(child));
	WORKS(cuGraphDestroy(graph));
}

/* The bodies are in the file too. */
static void test_written(void **state)
{
	char path[] = "/tmp/vgpu-graph-XXXXXX", text[16384];
	CUgraph *bodies, graph = graph_make(CU_GRAPH_COND_TYPE_SWITCH, 2, &bodies);
	int file = mkstemp(path);
	ssize_t bytes;

	(void)state;
	assert_true(file >= 0);
	sum_add(bodies[1], NULL, SUMS, 1);
	WORKS(cuGraphDebugDotPrint(graph, path, CU_GRAPH_DEBUG_DOT_FLAGS_CONDITIONAL_NODE_PARAMS));
	bytes = read(file, text, sizeof(text) - 1);
	assert_in_range(bytes, 1, sizeof(text) - 1);
	text[bytes] = '\0';
	close(file);
	unlink(path);
	assert_non_null(strstr(text, "CONDITIONAL"));
	/* How many graphs the real driver has numbered before is its own matter. */
	assert_non_null(strstr(text, getenv("VGPU_NATIVE") ? "subgraph" : "subgraph cluster_3"));
	WORKS(cuGraphDestroy(graph));
}

int main(int argument_count, char **arguments)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_if),
		cmocka_unit_test(test_else),
		cmocka_unit_test(test_while),
		cmocka_unit_test(test_switch),
		cmocka_unit_test(test_default),
		cmocka_unit_test(test_nested),
		cmocka_unit_test(test_nested_handle_of_body),
		cmocka_unit_test(test_captured),
		cmocka_unit_test(test_update),
		cmocka_unit_test(test_body_node),
		cmocka_unit_test(test_changed),
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_what_bodies_may_have),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_written),
	};
	const struct CMUnitTest refusals[] = {
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_wrong_handle),
	};

	if (argument_count > 1 && strcmp(arguments[1], "refusals") == 0)
		return cmocka_run_group_tests(refusals, setup, NULL);
	return cmocka_run_group_tests(tests, setup, NULL);
}
