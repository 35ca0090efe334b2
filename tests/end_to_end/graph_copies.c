/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies from, to and within the program's ordinary memory as parts of graphs, with any libcuda.so.1. Run by
 * test_streams.py; with the argument "quota" it makes more of them, one after the other, than a tenant with 64 MiB
 * of pinned memory may have at a time.
 */
#include "graph_copies.h"

/* The bytes move at each launch, not at the capture. */
static void test_captured(void **state)
{
	CUgraph graph, clone;
	CUgraphExec exec, cloned;

	(void)state;
	words_set(in, 1);
	memset(out, 0, BYTES);
	graph = capture();
	assert_int_equal(out[0], 0);
	assert_int_equal(node_count(graph), 3);
	exec = instantiate(graph);
	WORKS(cuGraphClone(&clone, graph));
	WORKS(cuGraphDestroy(graph));
	for (uint32_t i = 0; i < 20; i++) {
		words_set(in, i * 1000);
		run(exec);
		words_expect(out, i * 1000 + 1);
	}
	/* Without waiting in between. */
	words_set(in, 7);
	for (uint32_t i = 0; i < 10; i++)
		WORKS(cuGraphLaunch(exec, stream));
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuStreamSynchronize(stream));
	words_expect(out, 8);
	cloned = instantiate(clone);
	WORKS(cuGraphDestroy(clone));
	words_set(in, 40);
	run(cloned);
	words_expect(out, 41);
	WORKS(cuGraphExecDestroy(cloned));
}

static void add_one(void *data)
{
	for (uint32_t i = 0; i < WORDS; i++)
		((uint32_t *)data)[i] += 100;
}

/* What a copy brings is there for the host function after it, and what that makes for the copy after that. */
static void test_order(void **state)
{
	uint32_t *between = malloc(BYTES);
	CUgraph graph = NULL;
	CUgraphExec exec;

	(void)state;
	/* Driver 580.159.04 itself reads the second copy's source before the function has run (2026-11-29, H200). */
	if (getenv("VGPU_NATIVE"))
		skip();
	assert_non_null(between);
	words_set(in, 5);
	WORKS(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	WORKS(cuMemcpyHtoDAsync_v2(device, in, BYTES, stream));
	increment_launch(device);
	WORKS(cuMemcpyDtoHAsync_v2(between, device, BYTES, stream));
	WORKS(cuLaunchHostFunc(stream, add_one, between));
	WORKS(cuMemcpyHtoDAsync_v2(other, between, BYTES, stream));
	increment_launch(other);
	WORKS(cuMemcpyDtoHAsync_v2(out, other, BYTES, stream));
	WORKS(cuStreamEndCapture(stream, &graph));
	exec = instantiate(graph);
	WORKS(cuGraphDestroy(graph));
	for (uint32_t i = 0; i < 5; i++) {
		words_set(in, i);
		run(exec);
		words_expect(between, i + 101);
		words_expect(out, i + 102);
	}
	WORKS(cuGraphExecDestroy(exec));
	free(between);
}

/* Within the program's memory, and between the two untyped. */
static void test_within_program(void **state)
{
	CUgraph graph = NULL;
	CUgraphExec exec;

	(void)state;
	words_set(in, 3);
	memset(out, 0, BYTES);
	WORKS(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	WORKS(cuMemcpyAsync((uintptr_t)out, (uintptr_t)in, BYTES, stream));
	WORKS(cuMemcpyAsync(device, (uintptr_t)out, BYTES, stream));
	increment_launch(device);
	WORKS(cuMemcpyAsync((uintptr_t)in, device, BYTES, stream));
	WORKS(cuStreamEndCapture(stream, &graph));
	assert_int_equal(out[0], 0);
	exec = instantiate(graph);
	for (uint32_t i = 0; i < 3; i++)
		run(exec);
	words_expect(out, 5);
	words_expect(in, 6);
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graph));
}

static CUDA_MEMCPY3D row(void)
{
	return (CUDA_MEMCPY3D){
		.srcPitch = BYTES,
		.srcHeight = 1,
		.dstPitch = BYTES,
		.dstHeight = 1,
		.WidthInBytes = BYTES,
		.Height = 1,
		.Depth = 1,
	};
}

static CUDA_MEMCPY3D copy_up(CUdeviceptr to, const void *from)
{
	CUDA_MEMCPY3D copy = row();

	copy.srcMemoryType = CU_MEMORYTYPE_HOST;
	copy.srcHost = from;
	copy.dstMemoryType = CU_MEMORYTYPE_DEVICE;
	copy.dstDevice = to;
	return copy;
}

static CUDA_MEMCPY3D copy_down(void *to, CUdeviceptr from)
{
	CUDA_MEMCPY3D copy = row();

	copy.srcMemoryType = CU_MEMORYTYPE_DEVICE;
	copy.srcDevice = from;
	copy.dstMemoryType = CU_MEMORYTYPE_HOST;
	copy.dstHost = to;
	return copy;
}

/* Nodes that the program makes, asks about and changes, in the graph and in executables of it. */
static void test_nodes(void **state)
{
	CUDA_MEMCPY3D up = copy_up(device, in), down = copy_down(out, device), told;
	uint32_t *second_in = malloc(BYTES), *second_out = malloc(BYTES);
	CUgraphNode up_node, down_node;
	CUgraphExec exec, second;
	CUgraphNodeType type;
	CUgraph graph;

	(void)state;
	assert_true(second_in && second_out);
	WORKS(cuGraphCreate(&graph, 0));
	WORKS(cuGraphAddMemcpyNode(&up_node, graph, NULL, 0, &up, context));
	WORKS(cuGraphAddMemcpyNode(&down_node, graph, &up_node, 1, &down, context));
	assert_int_equal(node_count(graph), 2);
	WORKS(cuGraphNodeGetType(up_node, &type));
	assert_int_equal(type, CU_GRAPH_NODE_TYPE_MEMCPY);
	WORKS(cuGraphMemcpyNodeGetParams(down_node, &told));
	assert_ptr_equal(told.dstHost, out);
	assert_int_equal(told.srcDevice, device);
	exec = instantiate(graph);
	words_set(in, 11);
	run(exec);
	words_expect(out, 11);

	/* Other memory in the executable. */
	words_set(in, 12);
	words_set(second_in, 22);
	up.srcHost = second_in;
	down.dstHost = second_out;
	WORKS(cuGraphExecMemcpyNodeSetParams(exec, up_node, &up, context));
	WORKS(cuGraphExecMemcpyNodeSetParams(exec, down_node, &down, context));
	run(exec);
	words_expect(second_out, 22);
	words_expect(out, 11);

	/* And in the graph, which changes no executable of before. */
	WORKS(cuGraphMemcpyNodeSetParams(down_node, &down));
	WORKS(cuGraphMemcpyNodeGetParams(down_node, &told));
	assert_ptr_equal(told.dstHost, second_out);
	second = instantiate(graph);
	WORKS(cuGraphDestroy(graph));
	memset(second_out, 0, BYTES);
	run(second);
	words_expect(second_out, 12);
	words_set(second_in, 23);
	run(exec);
	words_expect(second_out, 23);
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphExecDestroy(second));
	free(second_in);
	free(second_out);
}

/* A captured graph, and one of the same form, by which an executable is updated. */
static void test_update(void **state)
{
	uint32_t *own_in = in, *second_in = malloc(BYTES), *third_in = malloc(BYTES);
	CUgraphExecUpdateResultInfo info;
	CUgraphNode nodes[3];
	size_t count = 3, found = 0;
	CUDA_MEMCPY3D told;
	CUgraph graph, update;
	CUgraphExec exec;

	(void)state;
	assert_true(second_in && third_in);
	graph = capture();
	exec = instantiate(graph);
	in = second_in;
	update = capture();
	in = own_in;
	words_set(in, 1);
	words_set(second_in, 51);
	run(exec);
	words_expect(out, 2);
	WORKS(cuGraphExecUpdate_v2(exec, update, &info));
	WORKS(cuGraphDestroy(update));
	run(exec);
	words_expect(out, 52);
	/* The nodes of a capture are what they are natively. */
	WORKS(cuGraphGetNodes(graph, nodes, &count));
	for (size_t i = 0; i < count; i++) {
		CUgraphNodeType type;

		WORKS(cuGraphNodeGetType(nodes[i], &type));
		if (type != CU_GRAPH_NODE_TYPE_MEMCPY)
			continue;
		WORKS(cuGraphMemcpyNodeGetParams(nodes[i], &told));
		if (told.srcMemoryType == CU_MEMORYTYPE_HOST) {
			assert_ptr_equal(told.srcHost, in);
			/* And can be changed. */
			told.srcHost = third_in;
			WORKS(cuGraphExecMemcpyNodeSetParams(exec, nodes[i], &told, context));
		}
		found++;
	}
	assert_int_equal(found, 2);
	words_set(third_in, 81);
	run(exec);
	words_expect(out, 82);
	WORKS(cuGraphDestroy(graph));
	WORKS(cuGraphExecDestroy(exec));
	free(second_in);
	free(third_in);
}

/* Rows with gaps between them, and an array. */
static void test_shapes(void **state)
{
	enum { WIDTH = 300, ROWS = 70, SLICES = 3, PITCH = 512 };
	const CUDA_ARRAY3D_DESCRIPTOR descriptor = {.Width = WIDTH,
						    .Height = ROWS,
						    .Depth = SLICES,
						    .Format = CU_AD_FORMAT_UNSIGNED_INT8,
						    .NumChannels = 1};
	uint8_t *source = malloc(PITCH * ROWS * SLICES), *result = calloc(SLICES * ROWS, WIDTH + 1);
	CUDA_MEMCPY3D up = {
		.srcMemoryType = CU_MEMORYTYPE_HOST,
		.srcHost = source,
		.srcPitch = PITCH,
		.srcHeight = ROWS,
		.dstMemoryType = CU_MEMORYTYPE_ARRAY,
		.WidthInBytes = WIDTH,
		.Height = ROWS,
		.Depth = SLICES,
	};
	CUDA_MEMCPY3D down = {
		.srcMemoryType = CU_MEMORYTYPE_ARRAY,
		.dstMemoryType = CU_MEMORYTYPE_HOST,
		.dstHost = result,
		.dstPitch = WIDTH + 1,
		.dstHeight = ROWS,
		.WidthInBytes = WIDTH,
		.Height = ROWS,
		.Depth = SLICES,
	};
	const CUDA_MEMCPY2D plane = {
		.srcMemoryType = CU_MEMORYTYPE_HOST,
		.srcHost = source,
		.srcXInBytes = 1,
		.srcY = 2,
		.srcPitch = PITCH,
		.dstMemoryType = CU_MEMORYTYPE_DEVICE,
		.dstDevice = device,
		.dstPitch = PITCH,
		.WidthInBytes = 10,
		.Height = 20,
	};
	CUgraphNode node, end;
	CUgraph graph, captured = NULL;
	CUgraphExec exec;
	CUarray array;

	(void)state;
	assert_true(source && result);
	for (size_t i = 0; i < PITCH * ROWS * SLICES; i++)
		source[i] = (uint8_t)(i * 7 + i / 256);
	WORKS(cuArray3DCreate_v2(&array, &descriptor));
	up.dstArray = array;
	down.srcArray = array;
	WORKS(cuGraphCreate(&graph, 0));
	WORKS(cuGraphAddMemcpyNode(&node, graph, NULL, 0, &up, context));
	WORKS(cuGraphAddMemcpyNode(&end, graph, &node, 1, &down, context));
	exec = instantiate(graph);
	run(exec);
	for (size_t row = 0; row < ROWS * SLICES; row++) {
		assert_memory_equal(result + row * (WIDTH + 1), source + row * PITCH, WIDTH);
		assert_int_equal(result[row * (WIDTH + 1) + WIDTH], 0);
	}
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graph));

	WORKS(cuMemsetD32_v2(device, 0, WORDS));
	/* The stream does not wait for the default one. */
	WORKS(cuStreamSynchronize(NULL));
	WORKS(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	WORKS(cuMemcpy2DAsync_v2(&plane, stream));
	WORKS(cuStreamEndCapture(stream, &captured));
	exec = instantiate(captured);
	run(exec);
	WORKS(cuMemcpyDtoH_v2(out, device, PITCH * 20));
	for (size_t row = 0; row < 20; row++) {
		assert_memory_equal((uint8_t *)out + row * PITCH, source + (row + 2) * PITCH + 1, 10);
		assert_int_equal(((uint8_t *)out)[row * PITCH + 10], 0);
	}
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(captured));
	WORKS(cuArrayDestroy(array));
	free(source);
	free(result);
}

/* As parts of other graphs, and of captures in more than one stream. */
static void test_embedded(void **state)
{
	CUgraph child, parent;
	CUgraphNode node;
	CUgraphExec exec;
	CUstream side;
	CUevent fork_event, join_event;

	(void)state;
	child = capture();
	WORKS(cuGraphCreate(&parent, 0));
	WORKS(cuGraphAddChildGraphNode(&node, parent, NULL, 0, child));
	WORKS(cuGraphDestroy(child));
	exec = instantiate(parent);
	WORKS(cuGraphDestroy(parent));
	words_set(in, 61);
	run(exec);
	words_expect(out, 62);
	WORKS(cuGraphExecDestroy(exec));

	WORKS(cuStreamCreate(&side, CU_STREAM_NON_BLOCKING));
	WORKS(cuEventCreate(&fork_event, CU_EVENT_DISABLE_TIMING));
	WORKS(cuEventCreate(&join_event, CU_EVENT_DISABLE_TIMING));
	WORKS(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	WORKS(cuMemcpyHtoDAsync_v2(device, in, BYTES, stream));
	WORKS(cuEventRecord(fork_event, stream));
	WORKS(cuStreamWaitEvent(side, fork_event, 0));
	WORKS(cuMemcpyDtoHAsync_v2(out, device, BYTES, side));
	increment_launch_in(side, device);
	/* It is to be joined as anything is. */
	assert_int_equal(cuStreamEndCapture(stream, &parent), CUDA_ERROR_STREAM_CAPTURE_UNJOINED);

	WORKS(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
	WORKS(cuMemcpyHtoDAsync_v2(device, in, BYTES, stream));
	WORKS(cuEventRecord(fork_event, stream));
	WORKS(cuStreamWaitEvent(side, fork_event, 0));
	WORKS(cuMemcpyDtoHAsync_v2(out, device, BYTES, side));
	WORKS(cuEventRecord(join_event, side));
	WORKS(cuStreamWaitEvent(stream, join_event, 0));
	increment_launch(device);
	WORKS(cuStreamEndCapture(stream, &parent));
	exec = instantiate(parent);
	words_set(in, 71);
	run(exec);
	words_expect(out, 71);
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(parent));
	WORKS(cuEventDestroy_v2(fork_event));
	WORKS(cuEventDestroy_v2(join_event));
	WORKS(cuStreamDestroy_v2(side));
}

int main(int argument_count, char **arguments)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_captured), cmocka_unit_test(test_order),	cmocka_unit_test(test_within_program),
		cmocka_unit_test(test_nodes),	 cmocka_unit_test(test_update), cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_embedded),
	};
	const struct CMUnitTest quota[] = {cmocka_unit_test(test_quota)};

	if (argument_count > 1 && strcmp(arguments[1], "quota") == 0)
		return cmocka_run_group_tests(quota, setup, NULL);
	return cmocka_run_group_tests(tests, setup, NULL);
}
