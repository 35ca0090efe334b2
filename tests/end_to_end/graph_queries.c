/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes found again in copies of their graphs, what nodes of captures do, and graphs written as graphviz reads them,
 * with any libcuda.so.1.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cuda_abi.h"
#include "graph_calls.h"
#include "increment.h"

CUresult cuGraphNodeFindInClone(CUgraphNode *node, CUgraphNode original, CUgraph clone);
CUresult cuGraphEventRecordNodeGetEvent(CUgraphNode node, CUevent *event);
CUresult cuEventRecordWithFlags(CUevent event, CUstream stream, unsigned int flags);
CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned int flags);
CUresult cuGraphDebugDotPrint(CUgraph graph, const char *path, unsigned int flags);

#define WORKS(call) assert_int_equal(call, CUDA_SUCCESS)
#define WORDS	    256u

static CUstream stream;
static CUdeviceptr words;
static char path[] = "/tmp/vgpu-graph-XXXXXX";

static int setup(void **state)
{
	int file = mkstemp(path);

	(void)state;
	if (file < 0)
		return -1;
	close(file);
	return increment_load() || cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING) || cuMemAlloc_v2(&words, WORDS * 4);
}

static int teardown(void **state)
{
	(void)state;
	return unlink(path);
}

static CUgraphNode increment_add(CUgraph graph, CUgraphNode after)
{
	void *parameters[] = {&words};
	const CUDA_KERNEL_NODE_PARAMS kernel = {
		.func = increment,
		.gridDimX = WORDS / 128,
		.gridDimY = 1,
		.gridDimZ = 1,
		.blockDimX = 128,
		.blockDimY = 1,
		.blockDimZ = 1,
		.kernelParams = parameters,
	};
	CUgraphNode node = NULL;

	WORKS(cuGraphAddKernelNode_v2(&node, graph, after ? &after : NULL, after != NULL, &kernel));
	return node;
}

static CUgraphNode fill_add(CUgraph graph, CUgraphNode after, uint32_t value)
{
	const CUDA_MEMSET_NODE_PARAMS fill = {
		.dst = words, .value = value, .elementSize = 4, .width = WORDS, .height = 1};
	CUgraphNode node = NULL;

	WORKS(cuGraphAddMemsetNode(&node, graph, after ? &after : NULL, after != NULL, &fill, context));
	return node;
}

static uint32_t run(CUgraph graph)
{
	CUgraphExec exec = NULL;
	uint32_t value = 0;

	WORKS(cuGraphInstantiateWithFlags(&exec, graph, 0));
	WORKS(cuGraphLaunch(exec, stream));
	WORKS(cuStreamSynchronize(stream));
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuMemcpyDtoH_v2(&value, words, 4));
	return value;
}

/* What is found is the node that does the same, and changes the copy alone. */
static void test_found(void **state)
{
	const CUDA_MEMSET_NODE_PARAMS fill = {.dst = words, .value = 70, .elementSize = 4, .width = WORDS, .height = 1};
	CUDA_MEMSET_NODE_PARAMS told;
	CUgraph graph, clone, second;
	CUgraphNode first, kernel, found = NULL, found_kernel = NULL, again = NULL, dependency;
	CUgraphNodeType type;
	size_t count = 1;

	(void)state;
	WORKS(cuGraphCreate(&graph, 0));
	first = fill_add(graph, NULL, 5);
	kernel = increment_add(graph, first);
	WORKS(cuGraphClone(&clone, graph));
	WORKS(cuGraphNodeFindInClone(&found, first, clone));
	WORKS(cuGraphNodeFindInClone(&found_kernel, kernel, clone));
	assert_ptr_not_equal(found, first);
	assert_ptr_not_equal(found, found_kernel);
	WORKS(cuGraphNodeFindInClone(&again, first, clone));
	assert_ptr_equal(again, found);
	WORKS(cuGraphNodeGetType(found_kernel, &type));
	assert_int_equal(type, CU_GRAPH_NODE_TYPE_KERNEL);
	WORKS(cuGraphNodeGetDependencies_v2(found_kernel, &dependency, NULL, &count));
	assert_ptr_equal(dependency, found);
	WORKS(cuGraphMemsetNodeGetParams(found, &told));
	assert_int_equal(told.value, 5);
	WORKS(cuGraphMemsetNodeSetParams(found, &fill));
	assert_int_equal(run(graph), 6);
	assert_int_equal(run(clone), 71);
	/* A copy of the copy has the copy's nodes. */
	WORKS(cuGraphClone(&second, clone));
	WORKS(cuGraphNodeFindInClone(&again, found, second));
	assert_ptr_not_equal(again, found);
	WORKS(cuGraphDestroy(second));
	/* Not there any more, and of the wrong graph. */
	WORKS(cuGraphDestroyNode(found_kernel));
	assert_int_equal(cuGraphNodeFindInClone(&again, kernel, clone), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(cuGraphNodeFindInClone(&again, first, graph), CUDA_ERROR_INVALID_VALUE);
	assert_int_equal(cuGraphNodeFindInClone(NULL, first, clone), CUDA_ERROR_INVALID_VALUE);
	WORKS(cuGraphDestroy(clone));
	WORKS(cuGraphDestroy(graph));
}

/* Nodes that a capture has made. */
static void test_found_captured(void **state)
{
	CUgraph graph = NULL, clone;
	CUgraphNode nodes[2], found;
	size_t count = 2;
	void *parameters[] = {&words};

	(void)state;
	WORKS(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	WORKS(cuMemsetD8Async(words, 0, WORDS * 4, stream));
	WORKS(cuLaunchKernel(increment, WORDS / 128, 1, 1, 128, 1, 1, 0, stream, parameters, NULL));
	WORKS(cuStreamEndCapture(stream, &graph));
	WORKS(cuGraphGetNodes(graph, nodes, &count));
	WORKS(cuGraphClone(&clone, graph));
	for (size_t i = 0; i < 2; i++) {
		CUgraphNodeType type, found_type;

		WORKS(cuGraphNodeFindInClone(&found, nodes[i], clone));
		WORKS(cuGraphNodeGetType(nodes[i], &type));
		WORKS(cuGraphNodeGetType(found, &found_type));
		assert_int_equal(type, found_type);
	}
	WORKS(cuGraphDestroy(clone));
	WORKS(cuGraphDestroy(graph));
}

static void nothing(void *data)
{
	(void)data;
}

static void parameters_expect(CUgraphNode node, CUevent recorded, CUevent waited)
{
	CUDA_HOST_NODE_PARAMS host;
	CUgraphNodeType type;
	CUevent event = NULL;

	WORKS(cuGraphNodeGetType(node, &type));
	if (type == CU_GRAPH_NODE_TYPE_HOST) {
		WORKS(cuGraphHostNodeGetParams(node, &host));
		assert_ptr_equal(host.fn, nothing);
		assert_ptr_equal(host.userData, path);
	} else if (type == CU_GRAPH_NODE_TYPE_EVENT_RECORD) {
		WORKS(cuGraphEventRecordNodeGetEvent(node, &event));
		assert_ptr_equal(event, recorded);
	} else {
		assert_int_equal(type, CU_GRAPH_NODE_TYPE_WAIT_EVENT);
		WORKS(cuGraphEventWaitNodeGetEvent(node, &event));
		assert_ptr_equal(event, waited);
	}
}

/* Host functions and events of nodes that a capture has made, and of their copies. */
static void test_captured_parameters(void **state)
{
	CUgraph graph = NULL, clone;
	CUgraphNode nodes[3];
	CUevent recorded, waited;
	size_t count = 3;

	(void)state;
	WORKS(cuEventCreate(&recorded, CU_EVENT_DISABLE_TIMING));
	WORKS(cuEventCreate(&waited, CU_EVENT_DISABLE_TIMING));
	WORKS(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	WORKS(cuStreamWaitEvent(stream, waited, CU_EVENT_WAIT_EXTERNAL));
	WORKS(cuLaunchHostFunc(stream, nothing, path));
	WORKS(cuEventRecordWithFlags(recorded, stream, CU_EVENT_RECORD_EXTERNAL));
	WORKS(cuStreamEndCapture(stream, &graph));
	WORKS(cuGraphClone(&clone, graph));
	WORKS(cuGraphGetNodes(clone, nodes, &count));
	assert_int_equal(count, 3);
	for (size_t i = 0; i < 3; i++)
		parameters_expect(nodes[i], recorded, waited);
	WORKS(cuGraphDestroy(clone));
	WORKS(cuGraphGetNodes(graph, nodes, &count));
	assert_int_equal(count, 3);
	for (size_t i = 0; i < 3; i++)
		parameters_expect(nodes[i], recorded, waited);
	WORKS(cuGraphDestroy(graph));
	WORKS(cuEventDestroy_v2(recorded));
	WORKS(cuEventDestroy_v2(waited));
}

static char *text_read(void)
{
	FILE *file = fopen(path, "r");
	char *text = calloc(1, 1 << 20);

	assert_non_null(file);
	assert_non_null(text);
	assert_true(fread(text, 1, (1 << 20) - 1, file) > 0);
	fclose(file);
	return text;
}

/* Braces outside of quotes match, quotes end, and graphviz agrees where it is installed. */
static void text_check(const char *text)
{
	bool is_quoted = false;
	int depth = 0;

	assert_memory_equal(text, "digraph dot {", 13);
	for (const char *at = text; *at; at++) {
		if (is_quoted && *at == '\\') {
			at++;
			assert_int_not_equal(*at, 0);
		} else if (*at == '"') {
			is_quoted = !is_quoted;
		} else if (!is_quoted && *at == '{') {
			depth++;
		} else if (!is_quoted && *at == '}') {
			depth--;
			assert_true(depth >= 0);
		}
	}
	assert_false(is_quoted);
	assert_int_equal(depth, 0);
	if (system("command -v dot >/dev/null") == 0) {
		char command[200];

		snprintf(command, sizeof(command), "dot -Tcanon '%s' >/dev/null", path);
		assert_int_equal(system(command), 0);
	}
}

static size_t count_of(const char *text, const char *part)
{
	size_t count = 0;

	while ((text = strstr(text, part))) {
		count++;
		text += strlen(part);
	}
	return count;
}

/* Nodes are named by graph and place, in the order of cuGraphGetNodes(); each edge is there once. */
static void test_written(void **state)
{
	CUgraph graph, child;
	CUgraphNode first, kernel, embedded;
	char *text;

	(void)state;
	WORKS(cuGraphCreate(&child, 0));
	increment_add(child, increment_add(child, NULL));
	WORKS(cuGraphCreate(&graph, 0));
	first = fill_add(graph, NULL, 0x1234);
	kernel = increment_add(graph, first);
	WORKS(cuGraphAddChildGraphNode(&embedded, graph, &kernel, 1, child));
	WORKS(cuGraphAddEmptyNode(&embedded, graph, &embedded, 1));
	WORKS(cuGraphDebugDotPrint(graph, path, 0));
	text = text_read();
	text_check(text);
	assert_int_equal(count_of(text, "subgraph cluster_"), 2);
	assert_int_equal(count_of(text, "_node_0\"["), 2);
	assert_int_equal(count_of(text, "_node_3\"["), 1);
	assert_int_equal(count_of(text, " -> "), 4);
	assert_int_equal(count_of(text, "increment"), 3);
	assert_null(strstr(text, "blockDim"));
	free(text);

	WORKS(cuGraphDebugDotPrint(graph, path, CU_GRAPH_DEBUG_DOT_FLAGS_MEMSET_NODE_PARAMS));
	text = text_read();
	text_check(text);
	assert_non_null(strstr(text, "elementSize"));
	assert_non_null(strstr(text, "4660"));
	assert_null(strstr(text, "handle"));
	free(text);

	WORKS(cuGraphDebugDotPrint(graph, path, CU_GRAPH_DEBUG_DOT_FLAGS_VERBOSE));
	text = text_read();
	text_check(text);
	assert_non_null(strstr(text, "\\<\\<\\<2,128,0\\>\\>\\>"));
	assert_non_null(strstr(text, "node handle"));
	assert_non_null(strstr(text, "elementSize"));
	free(text);

	/* A captured graph of which nobody has asked anything. */
	WORKS(cuGraphDestroy(graph));
	WORKS(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	WORKS(cuMemsetD8Async(words, 0, WORDS * 4, stream));
	WORKS(cuLaunchKernel(increment, 2, 1, 1, 128, 1, 1, 0, stream, (void *[]){&words}, NULL));
	WORKS(cuStreamEndCapture(stream, &graph));
	WORKS(cuGraphDebugDotPrint(graph, path, CU_GRAPH_DEBUG_DOT_FLAGS_VERBOSE));
	text = text_read();
	text_check(text);
	assert_int_equal(count_of(text, "_node_1\"["), 1);
	assert_non_null(strstr(text, "increment"));
	free(text);
	assert_int_not_equal(cuGraphDebugDotPrint(graph, "/nowhere/at/all", 0), CUDA_SUCCESS);
	assert_int_not_equal(cuGraphDebugDotPrint(graph, NULL, 0), CUDA_SUCCESS);
	WORKS(cuGraphDestroy(graph));
	WORKS(cuGraphDestroy(child));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_found_captured),
		cmocka_unit_test(test_captured_parameters),
		cmocka_unit_test(test_written),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
