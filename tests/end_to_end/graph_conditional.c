/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conditional nodes of graphs, with any libcuda.so.1 (of CUDA 12.8 or later). Run by test_streams.py; with the
 * argument "refusals" it looks at what only this libcuda is known to refuse.
 *
 * Kernels decide by cudaGraphSetConditional, which the driver knows without libcudadevrt: it is what XLA, too, declares
 * in PTX that it loads with cuModuleLoadData.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cuda_abi.h"
#include "graph_calls.h"

CUresult cuGraphConditionalHandleCreate(CUgraphConditionalHandle *handle, CUgraph graph, CUcontext context,
					unsigned int initial, unsigned int flags);
CUresult cuStreamGetCaptureInfo_v3(CUstream stream, CUstreamCaptureStatus *status, cuuint64_t *id, CUgraph *graph,
				   const CUgraphNode **dependencies, const CUgraphEdgeData **edges, size_t *count);
CUresult cuStreamUpdateCaptureDependencies_v2(CUstream stream, CUgraphNode *dependencies, const CUgraphEdgeData *edges,
					      size_t count, unsigned int flags);
CUresult cuGraphDebugDotPrint(CUgraph graph, const char *path, unsigned int flags);
CUresult cuGraphNodeSetParams(CUgraphNode node, CUgraphNodeParams *parameters);
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream);

#define WORKS(call) assert_int_equal(call, CUDA_SUCCESS)
#define FAILS(call) assert_int_not_equal(call, CUDA_SUCCESS)

/*
 * 'decide' takes 'less' from the first word, counts in the second one that it ran, and sets the condition to what is
 * left; 'add' adds a value to a word.
 */
static const char image[] =
	".version 7.0\n.target sm_70\n.address_size 64\n"
	".extern .func cudaGraphSetConditional(.param .b64 handle, .param .b32 value);\n"
	".visible .entry decide(.param .u64 condition, .param .u64 words, .param .u32 less)\n{\n"
	"\t.reg .b32 %r<5>; .reg .b64 %d<3>;\n"
	"\tld.param.u64 %d1, [condition];\n\tld.param.u64 %d2, [words];\n\tld.param.u32 %r1, [less];\n"
	"\tcvta.to.global.u64 %d2, %d2;\n\tld.global.u32 %r2, [%d2];\n\tsub.s32 %r2, %r2, %r1;\n"
	"\tst.global.u32 [%d2], %r2;\n\tld.global.u32 %r3, [%d2+4];\n\tadd.s32 %r3, %r3, 1;\n"
	"\tst.global.u32 [%d2+4], %r3;\n"
	"\t{\n\t.param .b64 first;\n\t.param .b32 second;\n\tst.param.b64 [first], %d1;\n"
	"\tst.param.b32 [second], %r2;\n\tcall.uni cudaGraphSetConditional, (first, second);\n\t}\n\tret;\n}\n"
	".visible .entry add(.param .u64 word, .param .u32 value)\n{\n"
	"\t.reg .b32 %r<3>; .reg .b64 %d<2>;\n"
	"\tld.param.u64 %d1, [word];\n\tld.param.u32 %r1, [value];\n\tcvta.to.global.u64 %d1, %d1;\n"
	"\tld.global.u32 %r2, [%d1];\n\tadd.s32 %r2, %r2, %r1;\n\tst.global.u32 [%d1], %r2;\n\tret;\n}\n";

/* The words of 'decide', and sums for bodies. */
enum {
	LEFT,
	DECISIONS,
	SUMS,
	WORDS = SUMS + 6,
};

static CUcontext context;
static CUstream stream, second;
static CUfunction decide, add;
static CUdeviceptr words;
static uint32_t seen[WORDS];

static int setup(void **state)
{
	CUmodule module;

	(void)state;
	return cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0) || cuCtxSetCurrent(context) ||
	       cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING) || cuStreamCreate(&second, CU_STREAM_NON_BLOCKING) ||
	       cuModuleLoadData(&module, image) || cuModuleGetFunction(&decide, module, "decide") ||
	       cuModuleGetFunction(&add, module, "add") || cuMemAlloc_v2(&words, sizeof(seen));
}

static CUdeviceptr word(unsigned int index)
{
	return words + index * sizeof(uint32_t);
}

static CUgraphNode kernel_add(CUgraph graph, CUgraphNode after, CUfunction function, void **parameters)
{
	CUgraphNodeParams node = {
		.type = CU_GRAPH_NODE_TYPE_KERNEL,
		.kernel = {.func = function,
			   .gridDimX = 1,
			   .gridDimY = 1,
			   .gridDimZ = 1,
			   .blockDimX = 1,
			   .blockDimY = 1,
			   .blockDimZ = 1,
			   .kernelParams = parameters},
	};
	CUgraphNode made = NULL;

	WORKS(cuGraphAddNode_v2(&made, graph, after ? &after : NULL, NULL, after != NULL, &node));
	return made;
}

static CUgraphNode decide_add(CUgraph graph, CUgraphNode after, CUgraphConditionalHandle condition, uint32_t less)
{
	void *parameters[] = {&condition, &words, &less};

	return kernel_add(graph, after, decide, parameters);
}

static CUgraphNode sum_add(CUgraph graph, CUgraphNode after, unsigned int index, uint32_t value)
{
	CUdeviceptr to = word(index);
	void *parameters[] = {&to, &value};

	return kernel_add(graph, after, add, parameters);
}

static CUgraphConditionalHandle condition_make(CUgraph graph)
{
	CUgraphConditionalHandle condition = 0;

	WORKS(cuGraphConditionalHandleCreate(&condition, graph, context, 0, 0));
	return condition;
}

static CUgraphNode conditional_add(CUgraph graph, CUgraphNode after, CUgraphConditionalHandle condition,
				   CUgraphConditionalNodeType type, unsigned int size, CUgraph **ret_bodies)
{
	CUgraphNodeParams node = {
		.type = CU_GRAPH_NODE_TYPE_CONDITIONAL,
		.conditional = {.handle = condition, .type = type, .size = size, .ctx = context},
	};
	CUgraphNode made = NULL;
	CUgraphNodeType made_type;

	WORKS(cuGraphAddNode_v2(&made, graph, after ? &after : NULL, NULL, after != NULL, &node));
	WORKS(cuGraphNodeGetType(made, &made_type));
	assert_int_equal(made_type, CU_GRAPH_NODE_TYPE_CONDITIONAL);
	assert_non_null(node.conditional.phGraph_out);
	for (unsigned int i = 0; i < size; i++)
		assert_non_null(node.conditional.phGraph_out[i]);
	*ret_bodies = node.conditional.phGraph_out;
	return made;
}

static CUgraphExec instantiate(CUgraph graph)
{
	CUgraphExec exec = NULL;

	WORKS(cuGraphInstantiateWithFlags(&exec, graph, 0));
	return exec;
}

/* The graph begins with 'left' in the first word and nothing in the others; afterwards 'seen' has them. */
static void run(CUgraphExec exec, uint32_t left)
{
	memset(seen, 0, sizeof(seen));
	seen[LEFT] = left;
	/* In the stream, which the default one does not wait for, nor it for that. */
	WORKS(cuMemcpyHtoDAsync_v2(words, seen, sizeof(seen), stream));
	WORKS(cuGraphLaunch(exec, stream));
	WORKS(cuStreamSynchronize(stream));
	WORKS(cuMemcpyDtoH_v2(seen, words, sizeof(seen)));
}

static void expect(unsigned int index, uint32_t value)
{
	if (seen[index] != value)
		fail_msg("word %u is %u, not %u", index, seen[index], value);
}

/* A kernel, a conditional node that goes by it, and a kernel behind that. */
static CUgraph graph_make(CUgraphConditionalNodeType type, unsigned int size, CUgraph **ret_bodies)
{
	CUgraph graph;
	CUgraphConditionalHandle condition;
	CUgraphNode node;

	WORKS(cuGraphCreate(&graph, 0));
	condition = condition_make(graph);
	node = decide_add(graph, NULL, condition, 0);
	node = conditional_add(graph, node, condition, type, size, ret_bodies);
	sum_add(graph, node, SUMS, 1000);
	return graph;
}

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

static void sum_launch(CUstream target, unsigned int index, uint32_t value)
{
	CUdeviceptr to = word(index);
	void *parameters[] = {&to, &value};

	WORKS(cuLaunchKernel(add, 1, 1, 1, 1, 1, 1, 0, target, parameters, NULL));
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
	next = instantiate(graph);
	run(exec, 1);
	expect(SUMS + 1, 5);
	run(next, 1);
	expect(SUMS + 1, 11);
	WORKS(cuGraphExecDestroy(exec));
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
	assert_non_null(strstr(text, "subgraph cluster_3"));
	WORKS(cuGraphDestroy(graph));
}

static CUresult conditional_try(CUgraph graph, CUgraphConditionalHandle condition, unsigned int type, unsigned int size)
{
	CUgraphNodeParams node = {
		.type = CU_GRAPH_NODE_TYPE_CONDITIONAL,
		.conditional = {.handle = condition,
				.type = (CUgraphConditionalNodeType)type,
				.size = size,
				.ctx = context},
	};
	CUgraphNode made;

	return cuGraphAddNode_v2(&made, graph, NULL, NULL, 0, &node);
}

static void test_sizes(void **state)
{
	CUgraphConditionalHandle condition;
	CUgraph graph;

	(void)state;
	WORKS(cuGraphCreate(&graph, 0));
	condition = condition_make(graph);
	FAILS(conditional_try(graph, condition, CU_GRAPH_COND_TYPE_IF, 0));
	FAILS(conditional_try(graph, condition, CU_GRAPH_COND_TYPE_IF, 3));
	FAILS(conditional_try(graph, condition, CU_GRAPH_COND_TYPE_WHILE, 2));
	FAILS(conditional_try(graph, condition, CU_GRAPH_COND_TYPE_SWITCH, 0));
	FAILS(conditional_try(graph, condition, 3, 1));
	FAILS(cuGraphConditionalHandleCreate(&condition, graph, context, 0, 2));
	FAILS(cuGraphConditionalHandleCreate(NULL, graph, context, 0, 0));
	WORKS(cuGraphDestroy(graph));
}

static void test_refusals(void **state)
{
	CUgraph *bodies, graph = graph_make(CU_GRAPH_COND_TYPE_IF, 1, &bodies), other, captured = NULL;
	CUgraphConditionalHandle condition = condition_make(graph), gone;
	CUgraphNodeParams parameters = {.type = CU_GRAPH_NODE_TYPE_CONDITIONAL};
	CUgraphNode nodes[3];
	size_t count = 3;
	CUgraphExec exec = NULL;

	(void)state;
	/* A handle that no node has, as long as none has it. */
	FAILS(cuGraphInstantiateWithFlags(&exec, graph, 0));
	/* Of another graph, of none, of one that is gone. */
	WORKS(cuGraphCreate(&other, 0));
	gone = condition_make(other);
	assert_int_equal(conditional_try(graph, gone, CU_GRAPH_COND_TYPE_IF, 1), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(conditional_try(other, condition, CU_GRAPH_COND_TYPE_IF, 1), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(conditional_try(graph, 12345678, CU_GRAPH_COND_TYPE_IF, 1), CUDA_ERROR_INVALID_VALUE);
	WORKS(cuGraphDestroy(other));
	WORKS(cuGraphCreate(&other, 0));
	assert_int_equal(conditional_try(other, gone, CU_GRAPH_COND_TYPE_IF, 1), CUDA_ERROR_INVALID_VALUE);
	WORKS(cuGraphDestroy(other));
	assert_int_equal(conditional_try(bodies[0], condition, CU_GRAPH_COND_TYPE_IF, 1), CUDA_SUCCESS);
	exec = instantiate(graph);
	WORKS(cuGraphExecDestroy(exec));
	/* More bodies than cross at a time. */
	assert_int_equal(conditional_try(graph, condition, CU_GRAPH_COND_TYPE_SWITCH, 1025), CUDA_ERROR_NOT_SUPPORTED);
	/* The body is its node's. */
	assert_int_equal(cuGraphDestroy(bodies[0]), CUDA_ERROR_INVALID_VALUE);
	WORKS(cuGraphGetNodes(graph, nodes, &count));
	assert_int_equal(cuGraphNodeSetParams(nodes[1], &parameters), CUDA_ERROR_NOT_SUPPORTED);
	assert_int_equal(cuGraphChildGraphNodeGetGraph(nodes[1], &other), CUDA_ERROR_INVALID_VALUE);
	/* While a capture goes there, all of it stays. */
	WORKS(cuStreamBeginCaptureToGraph(stream, bodies[0], NULL, NULL, 0, CU_STREAM_CAPTURE_MODE_RELAXED));
	sum_launch(stream, SUMS, 1);
	assert_int_equal(cuGraphDestroyNode(nodes[1]), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(cuGraphDestroy(graph), CUDA_ERROR_INVALID_VALUE);
	WORKS(cuStreamEndCapture(stream, &captured));
	assert_ptr_equal(captured, bodies[0]);
	WORKS(cuGraphDestroyNode(nodes[1]));
	FAILS(cuGraphGetNodes(captured, NULL, &count));
	WORKS(cuGraphDestroy(graph));
}

/* Alone, for the context does not come back. */
static void test_wrong_handle(void **state)
{
	CUgraphConditionalHandle none = 987654321;
	uint32_t less = 0;
	void *parameters[] = {&none, &words, &less};

	(void)state;
	WORKS(cuLaunchKernel(decide, 1, 1, 1, 1, 1, 1, 0, stream, parameters, NULL));
	assert_int_equal(cuStreamSynchronize(stream), CUDA_ERROR_ILLEGAL_ADDRESS);
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
