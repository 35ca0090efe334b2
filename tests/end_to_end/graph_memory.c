/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Graphs that allocate memory and free it, with any libcuda.so.1. Run by test_streams.py; with the argument "quota"
 * it looks at what is charged to a tenant that may have 256 MiB.
 */
#include "graph_memory.h"

static void test_captured(void **state)
{
	CUdeviceptr address;
	CUmemorytype type;
	CUgraphExec exec;
	CUgraph graph;
	int device = -1;

	(void)state;
	begin();
	address = capture(41, 1);
	graph = end();
	/* NVIDIA's driver knows no such address before the graph has run (580.159.04, 2026-11-29). */
	if (!getenv("VGPU_NATIVE")) {
		WORKS(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, address));
		assert_int_equal(type, CU_MEMORYTYPE_DEVICE);
		WORKS(cuPointerGetAttribute(&device, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, address));
		assert_int_equal(device, 0);
	}
	expect_types(graph, 1, 1);
	exec = instantiate(graph, 0);
	for (int turn = 0; turn < 3; turn++) {
		WORKS(cuMemsetD32_v2(plain, 0, WORDS));
		WORKS(cuCtxSynchronize());
		run(exec);
		expect_plain(42);
	}
	/* It is freed in the graph. */
	REFUSED(cuMemFree_v2(address));
	WORKS(cuGraphDestroy(graph));
	run(exec);
	WORKS(cuGraphExecDestroy(exec));
}

/* What is not freed in the graph is there until somebody frees it. */
static void test_freed_outside(void **state)
{
	CUdeviceptr address;
	CUgraphExec exec;
	CUgraph graph;

	(void)state;
	begin();
	address = capture(6, 0);
	graph = end();
	expect_types(graph, 1, 0);
	exec = instantiate(graph, 0);
	for (int turn = 0; turn < 4; turn++) {
		run(exec);
		expect_plain(7);
		increment_submit(address);
		WORKS(cuMemcpyDtoDAsync_v2(plain, address, WORDS * 4, stream));
		if (turn % 2) {
			WORKS(cuMemFreeAsync(address, stream));
			WORKS(cuStreamSynchronize(stream));
		} else {
			WORKS(cuStreamSynchronize(stream));
			WORKS(cuMemFree_v2(address));
		}
		expect_plain(8);
	}
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graph));
}

static void test_freed_at_launch(void **state)
{
	CUdeviceptr address;
	CUgraphExec exec;
	CUgraph graph;

	(void)state;
	begin();
	address = capture(1, 0);
	graph = end();
	exec = instantiate(graph, CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH);
	for (int turn = 0; turn < 3; turn++)
		run(exec);
	expect_plain(2);
	WORKS(cuMemFree_v2(address));
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graph));
}

static void test_freed_by_another_graph(void **state)
{
	CUgraphExec allocates, frees;
	CUgraph allocating, freeing;
	CUdeviceptr address;

	(void)state;
	begin();
	address = capture(10, 0);
	allocating = end();
	begin();
	increment_submit(address);
	WORKS(cuMemcpyDtoDAsync_v2(plain, address, WORDS * 4, stream));
	WORKS(cuMemFreeAsync(address, stream));
	freeing = end();
	expect_types(freeing, 0, 1);
	allocates = instantiate(allocating, 0);
	frees = instantiate(freeing, 0);
	for (int turn = 0; turn < 3; turn++) {
		run(allocates);
		expect_plain(11);
		run(frees);
		expect_plain(12);
	}
	WORKS(cuGraphExecDestroy(frees));
	WORKS(cuGraphExecDestroy(allocates));
	WORKS(cuGraphDestroy(freeing));
	WORKS(cuGraphDestroy(allocating));
}

/* A second stream of the capture frees, and is destroyed before the capture ends. */
static void test_two_streams(void **state)
{
	CUevent forked, joined;
	CUdeviceptr address;
	CUgraphExec exec;
	CUstream side;
	CUgraph graph;

	(void)state;
	WORKS(cuStreamCreate(&side, CU_STREAM_NON_BLOCKING));
	WORKS(cuEventCreate(&forked, CU_EVENT_DISABLE_TIMING));
	WORKS(cuEventCreate(&joined, CU_EVENT_DISABLE_TIMING));
	begin();
	address = capture(20, 0);
	WORKS(cuEventRecord(forked, stream));
	WORKS(cuStreamWaitEvent(side, forked, 0));
	WORKS(cuMemFreeAsync(address, side));
	WORKS(cuEventRecord(joined, side));
	WORKS(cuStreamWaitEvent(stream, joined, 0));
	WORKS(cuStreamDestroy_v2(side));
	graph = end();
	expect_types(graph, 1, 1);
	exec = instantiate(graph, 0);
	for (int turn = 0; turn < 2; turn++)
		run(exec);
	expect_plain(21);
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graph));
	WORKS(cuEventDestroy_v2(forked));
	WORKS(cuEventDestroy_v2(joined));
}

static void test_copy_to_pinned(void **state)
{
	CUdeviceptr address;
	CUgraphExec exec;
	CUgraph graph;

	(void)state;
	begin();
	WORKS(cuMemAllocAsync(&address, WORDS * 4, stream));
	WORKS(cuMemsetD32Async(address, 99, WORDS, stream));
	WORKS(cuMemcpyDtoHAsync_v2(pinned, address, WORDS * 4, stream));
	WORKS(cuMemFreeAsync(address, stream));
	graph = end();
	exec = instantiate(graph, 0);
	memset(pinned, 0, WORDS * 4);
	run(exec);
	assert_int_equal(pinned[0], 99);
	assert_int_equal(pinned[WORDS - 1], 99);
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graph));
}

static void test_memory_comes_back(void **state)
{
	CUdeviceptr address;
	CUgraphExec exec;
	CUgraph graph;
	size_t before;

	(void)state;
	WORKS(cuDeviceGraphMemTrim(0));
	before = free_bytes();
	for (int turn = 0; turn < 4; turn++) {
		begin();
		WORKS(cuMemAllocAsync(&address, LARGE, stream));
		WORKS(cuMemsetD32Async(address, 1, LARGE / 4, stream));
		if (turn % 2)
			WORKS(cuMemFreeAsync(address, stream));
		graph = end();
		exec = instantiate(graph, 0);
		run(exec);
		if (!(turn % 2)) {
			assert_true(free_bytes() + LARGE <= before + SLACK);
			WORKS(cuMemFree_v2(address));
		}
		WORKS(cuGraphExecDestroy(exec));
		WORKS(cuGraphDestroy(graph));
	}
	WORKS(cuDeviceGraphMemTrim(0));
	assert_true(free_bytes() + SLACK >= before);
}

static cuuint64_t attribute(CUgraphMem_attribute name)
{
	cuuint64_t value = 0;

	WORKS(cuDeviceGetGraphMemAttribute(0, name, &value));
	return value;
}

static void test_attributes(void **state)
{
	cuuint64_t zero = 0, one = 1, used;
	CUdeviceptr address;
	CUgraphExec exec;
	CUgraph graph;

	(void)state;
	WORKS(cuDeviceGraphMemTrim(0));
	WORKS(cuDeviceSetGraphMemAttribute(0, CU_GRAPH_MEM_ATTR_USED_MEM_HIGH, &zero));
	WORKS(cuDeviceSetGraphMemAttribute(0, CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH, &zero));
	used = attribute(CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT);
	begin();
	WORKS(cuMemAllocAsync(&address, LARGE, stream));
	WORKS(cuMemsetD32Async(address, 1, LARGE / 4, stream));
	graph = end();
	exec = instantiate(graph, 0);
	run(exec);
	assert_true(attribute(CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT) >= used + LARGE);
	assert_true(attribute(CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT) >= LARGE);
	WORKS(cuMemFree_v2(address));
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graph));
	assert_true(attribute(CU_GRAPH_MEM_ATTR_USED_MEM_HIGH) >= used + LARGE);
	WORKS(cuDeviceGraphMemTrim(0));
	/* Not before: NVIDIA's driver counts what was freed outside of a graph until then. */
	assert_true(attribute(CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT) < used + LARGE);
	assert_true(attribute(CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH) >= LARGE);
	assert_true(attribute(CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT) < LARGE);
	WORKS(cuDeviceSetGraphMemAttribute(0, CU_GRAPH_MEM_ATTR_USED_MEM_HIGH, &zero));
	assert_true(attribute(CU_GRAPH_MEM_ATTR_USED_MEM_HIGH) < LARGE);
	REFUSED(cuDeviceSetGraphMemAttribute(0, CU_GRAPH_MEM_ATTR_USED_MEM_HIGH, &one));
	REFUSED(cuDeviceSetGraphMemAttribute(0, CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT, &zero));
	REFUSED(cuDeviceGetGraphMemAttribute(0, (CUgraphMem_attribute)4, &used));
	REFUSED(cuDeviceGetGraphMemAttribute(99, CU_GRAPH_MEM_ATTR_USED_MEM_HIGH, &used));
}

/* A graph with such nodes is not copied and not taken apart, and has one executable. */
static void test_restrictions(void **state)
{
	CUgraph graph, other, parent;
	CUgraphExec exec, second;
	CUgraphNode node;
	size_t count = 1;

	(void)state;
	begin();
	capture(1, 1);
	graph = end();
	WORKS(cuGraphCreate(&parent, 0));
	REFUSED(cuGraphClone(&other, graph));
	REFUSED(cuGraphAddChildGraphNode(&node, parent, NULL, 0, graph));
	WORKS(cuGraphGetNodes(graph, &node, &count));
	REFUSED(cuGraphDestroyNode(node));
	exec = instantiate(graph, 0);
	REFUSED(cuGraphInstantiateWithFlags(&second, graph, 0));
	WORKS(cuGraphExecDestroy(exec));
	exec = instantiate(graph, 0);
	run(exec);
	expect_plain(2);
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graph));
	WORKS(cuGraphDestroy(parent));
}

/* Two blocks, of which one is freed in the graph, the other one outside. */
static void test_nodes(void **state)
{
	CUDA_MEM_ALLOC_NODE_PARAMS allocation = allocation_of(WORDS * 4), told;
	CUgraphNodeParams general = {.type = CU_GRAPH_NODE_TYPE_MEM_ALLOC, .alloc = allocation};
	CUDA_MEMSET_NODE_PARAMS fill = {.value = 5, .elementSize = 4, .width = WORDS, .height = 1};
	CUDA_MEMCPY3D copy = {
		.srcMemoryType = CU_MEMORYTYPE_DEVICE,
		.dstMemoryType = CU_MEMORYTYPE_DEVICE,
		.WidthInBytes = WORDS * 4,
		.Height = 1,
		.Depth = 1,
	};
	CUgraphNode first, second, filled, copied, freed, again;
	CUdeviceptr address = 0;
	CUgraphExec exec;
	CUgraph graph;

	(void)state;
	WORKS(cuGraphCreate(&graph, 0));
	WORKS(cuGraphAddMemAllocNode(&first, graph, NULL, 0, &allocation));
	assert_true(allocation.dptr);
	WORKS(cuGraphAddNode_v2(&second, graph, &first, NULL, 1, &general));
	assert_true(general.alloc.dptr && general.alloc.dptr != allocation.dptr);
	WORKS(cuGraphMemAllocNodeGetParams(first, &told));
	assert_int_equal(told.dptr, allocation.dptr);
	assert_int_equal(told.bytesize, WORDS * 4);
	assert_int_equal(told.poolProps.location.type, CU_MEM_LOCATION_TYPE_DEVICE);
	fill.dst = allocation.dptr;
	WORKS(cuGraphAddMemsetNode(&filled, graph, &second, 1, &fill, context));
	copy.srcDevice = allocation.dptr;
	copy.dstDevice = general.alloc.dptr;
	WORKS(cuGraphAddMemcpyNode(&copied, graph, &filled, 1, &copy, context));
	WORKS(cuGraphAddMemFreeNode(&freed, graph, &copied, 1, allocation.dptr));
	WORKS(cuGraphMemFreeNodeGetParams(freed, &address));
	assert_int_equal(address, allocation.dptr);
	expect_types(graph, 2, 1);
	/* Twice, of what is none, or of a type that it is not. */
	REFUSED(cuGraphAddMemFreeNode(&again, graph, &copied, 1, allocation.dptr));
	REFUSED(cuGraphAddMemFreeNode(&again, graph, &copied, 1, plain));
	REFUSED(cuGraphMemAllocNodeGetParams(freed, &told));
	REFUSED(cuGraphMemFreeNodeGetParams(filled, &address));
	exec = instantiate(graph, 0);
	for (int turn = 0; turn < 2; turn++) {
		run(exec);
		increment_submit(general.alloc.dptr);
		WORKS(cuMemcpyDtoDAsync_v2(plain, general.alloc.dptr, WORDS * 4, stream));
		WORKS(cuMemFreeAsync(general.alloc.dptr, stream));
		WORKS(cuStreamSynchronize(stream));
		expect_plain(6);
	}
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graph));
}

/* What nodes do that a capture has made. */
static void test_captured_nodes(void **state)
{
	CUDA_MEM_ALLOC_NODE_PARAMS told;
	CUdeviceptr address, freed;
	CUgraphNode nodes[8];
	CUgraph graph;
	size_t count = 8;

	(void)state;
	begin();
	address = capture(1, 1);
	graph = end();
	WORKS(cuGraphGetNodes(graph, nodes, &count));
	assert_int_equal(count, 5);
	for (size_t i = 0; i < count; i++) {
		CUgraphNodeType type;

		WORKS(cuGraphNodeGetType(nodes[i], &type));
		if (type == CU_GRAPH_NODE_TYPE_MEM_ALLOC) {
			WORKS(cuGraphMemAllocNodeGetParams(nodes[i], &told));
			assert_int_equal(told.dptr, address);
			assert_true(told.bytesize >= WORDS * 4);
		} else if (type == CU_GRAPH_NODE_TYPE_MEM_FREE) {
			WORKS(cuGraphMemFreeNodeGetParams(nodes[i], &freed));
			assert_int_equal(freed, address);
		}
	}
	WORKS(cuGraphDestroy(graph));
}

/* In a graph that is embedded in another one, with which it ends. */
static void test_embedded(void **state)
{
	CUgraphNodeParams parameters = {.type = CU_GRAPH_NODE_TYPE_GRAPH};
	CUgraph parent, child;
	CUgraphNode node;
	CUgraphExec exec;

	(void)state;
	begin();
	capture(70, 1);
	child = end();
	WORKS(cuGraphCreate(&parent, 0));
	parameters.graph.graph = child;
	parameters.graph.ownership = CU_GRAPH_CHILD_GRAPH_OWNERSHIP_MOVE;
	WORKS(cuGraphAddNode_v2(&node, parent, NULL, NULL, 0, &parameters));
	exec = instantiate(parent, 0);
	run(exec);
	expect_plain(71);
	WORKS(cuGraphDestroy(parent));
	run(exec);
	WORKS(cuGraphExecDestroy(exec));
}

int main(int argument_count, char **arguments)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_captured),	  cmocka_unit_test(test_freed_outside),
		cmocka_unit_test(test_freed_at_launch),	  cmocka_unit_test(test_freed_by_another_graph),
		cmocka_unit_test(test_copy_to_pinned),	  cmocka_unit_test(test_two_streams),
		cmocka_unit_test(test_memory_comes_back), cmocka_unit_test(test_attributes),
		cmocka_unit_test(test_restrictions),	  cmocka_unit_test(test_nodes),
		cmocka_unit_test(test_captured_nodes),	  cmocka_unit_test(test_embedded),
	};
	const struct CMUnitTest quota[] = {cmocka_unit_test(test_quota)};

	if (argument_count > 1 && strcmp(arguments[1], "quota") == 0)
		return cmocka_run_group_tests(quota, setup, NULL);
	return cmocka_run_group_tests(tests, setup, NULL);
}
