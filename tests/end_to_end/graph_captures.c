/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Captures that are looked into and changed while they go on, and user objects of graphs, with any libcuda.so.1. Run
 * by test_streams.py.
 */
#include "graph_captures.h"

static void test_position(void **state)
{
	static const CUgraphEdgeData plain;
	struct info info = info_of(stream), later;
	const CUgraphNode *nodes;
	CUgraph graph = NULL;
	CUgraphNode filled;
	size_t count = 0;

	(void)state;
	assert_int_equal(info.status, CU_STREAM_CAPTURE_STATUS_NONE);
	begin();
	info = info_of(stream);
	assert_int_equal(info.status, CU_STREAM_CAPTURE_STATUS_ACTIVE);
	assert_int_not_equal(info.id, 0);
	assert_non_null(info.graph);
	assert_int_equal(info.count, 0);
	fill(stream, first, 1);
	later = info_of(stream);
	assert_int_equal(later.id, info.id);
	assert_ptr_equal(later.graph, info.graph);
	assert_int_equal(later.count, 1);
	assert_true(!later.edges || memcmp(later.edges, &plain, sizeof(plain)) == 0);
	filled = later.nodes[0];
	expect_type(filled, CU_GRAPH_NODE_TYPE_MEMSET);
	/* The same node by the same handle; and the graph's own. */
	WORKS(cuStreamGetCaptureInfo_v2(stream, &info.status, NULL, &graph, &nodes, &count));
	assert_int_equal(count, 1);
	assert_ptr_equal(nodes[0], filled);
	WORKS(cuGraphGetNodes(graph, NULL, &count));
	assert_int_equal(count, 1);
	fill(stream, second, 2);
	later = info_of(stream);
	assert_int_equal(later.count, 1);
	assert_ptr_not_equal(later.nodes[0], filled);
	WORKS(cuStreamEndCapture(stream, &graph));
	assert_ptr_equal(graph, info.graph);
	run(graph);
	bytes_expect(first, 1);
	bytes_expect(second, 2);
	WORKS(cuGraphDestroy(graph));
	assert_int_equal(info_of(stream).status, CU_STREAM_CAPTURE_STATUS_NONE);
}

/* Each stream has its own place in one graph; what was told of one holds while the other is asked. */
static void test_streams(void **state)
{
	struct info info, other;
	CUgraph graph = NULL;
	CUgraphNode node;

	(void)state;
	begin();
	fill(stream, first, 3);
	WORKS(cuEventRecord(fork_event, stream));
	WORKS(cuStreamWaitEvent(side, fork_event, 0));
	info = info_of(stream);
	other = info_of(side);
	assert_ptr_equal(info.graph, other.graph);
	assert_int_equal(other.count, 1);
	assert_ptr_equal(info.nodes[0], other.nodes[0]);
	fill(side, second, 4);
	other = info_of(side);
	node = other.nodes[0];
	assert_ptr_not_equal(node, info.nodes[0]);
	assert_ptr_equal(info_of(stream).nodes[0], info.nodes[0]);
	assert_ptr_equal(other.nodes[0], node);
	WORKS(cuEventRecord(join_event, side));
	WORKS(cuStreamWaitEvent(stream, join_event, 0));
	info = info_of(stream);
	assert_int_equal(info.count, 2);
	WORKS(cuStreamEndCapture(stream, &graph));
	WORKS(cuGraphDestroy(graph));
}

static atomic_int called;

static void call(void *data)
{
	(void)data;
	called++;
}

/* A node that the program adds by itself, and has the stream go on from. */
static void test_update(void **state)
{
	const CUDA_HOST_NODE_PARAMS host = {.fn = call};
	struct info info;
	CUgraph graph = NULL;
	CUgraphNode node, nodes[4];
	size_t count = 4;

	(void)state;
	begin();
	fill(stream, first, 5);
	info = info_of(stream);
	WORKS(cuGraphAddHostNode(&node, info.graph, info.nodes, info.count, &host));
	WORKS(cuStreamUpdateCaptureDependencies(stream, &node, 1, CU_STREAM_SET_CAPTURE_DEPENDENCIES));
	info = info_of(stream);
	assert_int_equal(info.count, 1);
	assert_ptr_equal(info.nodes[0], node);
	fill(stream, first, 6);
	WORKS(cuStreamEndCapture(stream, &graph));
	WORKS(cuGraphNodeGetDependentNodes_v2(node, nodes, NULL, &count));
	assert_int_equal(count, 1);
	expect_type(nodes[0], CU_GRAPH_NODE_TYPE_MEMSET);
	called = 0;
	run(graph);
	assert_int_equal(called, 1);
	bytes_expect(first, 6);
	WORKS(cuGraphDestroy(graph));

	/* Beside what there is; and what is taken away need not be joined. */
	begin();
	fill(stream, first, 7);
	info = info_of(stream);
	WORKS(cuGraphAddHostNode(&node, info.graph, NULL, 0, &host));
	WORKS(cuStreamUpdateCaptureDependencies_v2(stream, &node, NULL, 1, CU_STREAM_ADD_CAPTURE_DEPENDENCIES));
	assert_int_equal(info_of(stream).count, 2);
	WORKS(cuStreamUpdateCaptureDependencies(stream, NULL, 0, CU_STREAM_SET_CAPTURE_DEPENDENCIES));
	assert_int_equal(info_of(stream).count, 0);
	fill(stream, second, 8);
	WORKS(cuStreamEndCapture(stream, &graph));
	run(graph);
	bytes_expect(first, 7);
	bytes_expect(second, 8);
	WORKS(cuGraphDestroy(graph));
	assert_int_not_equal(cuStreamUpdateCaptureDependencies(stream, NULL, 0, CU_STREAM_SET_CAPTURE_DEPENDENCIES),
			     CUDA_SUCCESS);
}

/* Where a capture goes into a graph of the program, that is told. */
static void test_own_graph(void **state)
{
	CUgraph graph, captured = NULL;
	struct info info;
	CUgraphNode node;

	(void)state;
	WORKS(cuGraphCreate(&graph, 0));
	WORKS(cuGraphAddEmptyNode(&node, graph, NULL, 0));
	WORKS(cuStreamBeginCaptureToGraph(stream, graph, &node, NULL, 1, CU_STREAM_CAPTURE_MODE_RELAXED));
	info = info_of(stream);
	assert_ptr_equal(info.graph, graph);
	assert_int_equal(info.count, 1);
	assert_ptr_equal(info.nodes[0], node);
	fill(stream, first, 9);
	expect_type(info_of(stream).nodes[0], CU_GRAPH_NODE_TYPE_MEMSET);
	WORKS(cuStreamEndCapture(stream, &captured));
	assert_ptr_equal(captured, graph);
	WORKS(cuGraphDestroy(graph));
}

/* A capture that is broken has no graph, and the next one does. */
static void test_invalid(void **state)
{
	struct info info;
	CUgraph graph = NULL;

	(void)state;
	for (int i = 0; i < 3; i++) {
		begin();
		fill(stream, first, 10);
		info = info_of(stream);
		assert_int_equal(info.count, 1);
		assert_int_equal(cuStreamSynchronize(stream), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
		WORKS(cuStreamGetCaptureInfo_v3(stream, &info.status, NULL, NULL, NULL, NULL, NULL));
		assert_int_equal(info.status, CU_STREAM_CAPTURE_STATUS_INVALIDATED);
		assert_int_equal(cuStreamEndCapture(stream, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
		assert_null(graph);
	}
	begin();
	fill(stream, first, 11);
	assert_int_equal(info_of(stream).count, 1);
	WORKS(cuStreamEndCapture(stream, &graph));
	run(graph);
	bytes_expect(first, 11);
	WORKS(cuGraphDestroy(graph));
}

/* More nodes than cross without being asked for a second time. */
static void test_many(void **state)
{
	enum { MANY = 100 };
	CUgraphNode nodes[MANY];
	struct info info;
	CUgraph graph = NULL;

	(void)state;
	begin();
	fill(stream, first, 12);
	info = info_of(stream);
	for (int i = 0; i < MANY; i++)
		WORKS(cuGraphAddEmptyNode(&nodes[i], info.graph, info.nodes, 1));
	WORKS(cuStreamUpdateCaptureDependencies(stream, nodes, MANY, CU_STREAM_SET_CAPTURE_DEPENDENCIES));
	info = info_of(stream);
	assert_int_equal(info.count, MANY);
	fill(stream, second, 0);
	assert_int_equal(info_of(stream).count, 1);
	WORKS(cuStreamEndCapture(stream, &graph));
	WORKS(cuGraphDestroy(graph));
	/* The driver's own, which have no handles here before they are told. */
	begin();
	WORKS(cuEventRecord(fork_event, stream));
	WORKS(cuStreamWaitEvent(side, fork_event, 0));
	for (int i = 0; i < 40; i++) {
		WORKS(cuStreamUpdateCaptureDependencies(side, NULL, 0, CU_STREAM_SET_CAPTURE_DEPENDENCIES));
		fill(side, second, 1);
		WORKS(cuEventRecord(join_event, side));
		WORKS(cuStreamWaitEvent(stream, join_event, 0));
	}
	info = info_of(stream);
	assert_int_equal(info.count, 40);
	for (size_t i = 0; i < info.count; i++)
		expect_type(info.nodes[i], CU_GRAPH_NODE_TYPE_MEMSET);
	WORKS(cuStreamEndCapture(stream, &graph));
	WORKS(cuGraphDestroy(graph));
}

enum attempt { UP, DOWN, WITHIN_PROGRAM, WAIT, ATTEMPTS };

static CUresult default_stream_use(enum attempt attempt)
{
	unsigned char bytes[BYTES] = {0}, others[BYTES];

	switch (attempt) {
	case UP:
		return cuMemcpyHtoD_v2(first, bytes, BYTES);
	case DOWN:
		return cuMemcpyDtoH_v2(bytes, first, BYTES);
	case WITHIN_PROGRAM:
		return cuMemcpyAsync((uintptr_t)others, (uintptr_t)bytes, BYTES, NULL);
	default:
		return cuStreamSynchronize(NULL);
	}
}

/*
 * A capture in a blocking stream excludes the default stream: who asks leaves it valid (API reference,
 * cuStreamIsCapturing), who uses that stream does not (programming guide, "Prohibited and Unhandled Operations").
 */
static void test_default_stream(void **state)
{
	CUstreamCaptureStatus status;
	CUstream blocking;
	CUgraph graph;

	(void)state;
	WORKS(cuStreamCreate(&blocking, CU_STREAM_DEFAULT));
	for (enum attempt attempt = UP; attempt < ATTEMPTS; attempt++) {
		WORKS(cuStreamBeginCapture_v2(blocking, CU_STREAM_CAPTURE_MODE_RELAXED));
		fill(blocking, first, 1);
		assert_int_equal(cuStreamIsCapturing(NULL, &status), CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
		WORKS(cuStreamIsCapturing(blocking, &status));
		assert_int_equal(status, CU_STREAM_CAPTURE_STATUS_ACTIVE);
		assert_int_equal(default_stream_use(attempt), CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
		WORKS(cuStreamIsCapturing(blocking, &status));
		assert_int_equal(status, CU_STREAM_CAPTURE_STATUS_INVALIDATED);
		assert_int_equal(cuStreamEndCapture(blocking, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
		WORKS(cuStreamSynchronize(NULL));
	}
	WORKS(cuStreamDestroy_v2(blocking));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_position),       cmocka_unit_test(test_streams),
		cmocka_unit_test(test_update),	       cmocka_unit_test(test_own_graph),
		cmocka_unit_test(test_invalid),	       cmocka_unit_test(test_many),
		cmocka_unit_test(test_user_objects),   cmocka_unit_test(test_object_of_capture),
		cmocka_unit_test(test_default_stream),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
