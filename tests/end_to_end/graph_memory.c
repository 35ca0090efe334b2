/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Graphs that allocate memory and free it, with any libcuda.so.1. Run by test_streams.py; with the argument "quota"
 * it looks at what is charged to a tenant that may have 256 MiB.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cuda_abi.h"
#include "graph_calls.h"
#include "increment.h"

#define WORKS(call)   assert_int_equal(call, CUDA_SUCCESS)
#define REFUSED(call) assert_int_not_equal(call, CUDA_SUCCESS)

#define WORDS	1024u
#define MIB	((size_t)1 << 20)
#define LARGE	(64 * MIB)
#define SLACK	(32 * MIB) /* what a driver keeps for itself */
#define THREADS 128u

CUresult cuMemAllocAsync(CUdeviceptr *address, size_t bytes, CUstream stream);
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream);
CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream stream);
CUresult cuMemsetD32Async(CUdeviceptr to, unsigned int value, size_t words, CUstream stream);
CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned int flags);
CUresult cuDeviceGraphMemTrim(CUdevice device);
CUresult cuDeviceGetGraphMemAttribute(CUdevice device, CUgraphMem_attribute attribute, void *value);
CUresult cuDeviceSetGraphMemAttribute(CUdevice device, CUgraphMem_attribute attribute, void *value);
CUresult cuPointerGetAttribute(void *value, CUpointer_attribute attribute, CUdeviceptr pointer);

CUresult cuGraphAddMemAllocNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies, size_t count,
				CUDA_MEM_ALLOC_NODE_PARAMS *parameters);
CUresult cuGraphAddMemFreeNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies, size_t count,
			       CUdeviceptr address);
CUresult cuGraphMemAllocNodeGetParams(CUgraphNode node, CUDA_MEM_ALLOC_NODE_PARAMS *parameters);
CUresult cuGraphMemFreeNodeGetParams(CUgraphNode node, CUdeviceptr *address);

static CUstream stream;
static CUdeviceptr plain;
static uint32_t *pinned;

static int setup(void **state)
{
	(void)state;
	return increment_load() || cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING) ||
	       cuMemAlloc_v2(&plain, WORDS * 4) || cuMemHostAlloc((void **)&pinned, WORDS * 4, 0);
}

static void begin(void)
{
	WORKS(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
}

static CUgraph end(void)
{
	CUgraph graph = NULL;

	WORKS(cuStreamEndCapture(stream, &graph));
	return graph;
}

static CUgraphExec instantiate(CUgraph graph, unsigned long long flags)
{
	CUgraphExec exec = NULL;

	WORKS(cuGraphInstantiateWithFlags(&exec, graph, flags));
	return exec;
}

static void run(CUgraphExec exec)
{
	WORKS(cuGraphLaunch(exec, stream));
	WORKS(cuStreamSynchronize(stream));
}

static void expect_plain(uint32_t value)
{
	static uint32_t words[WORDS];

	WORKS(cuMemcpyDtoH_v2(words, plain, sizeof(words)));
	for (size_t i = 0; i < WORDS; i++)
		assert_int_equal(words[i], value);
}

static void increment_submit(CUdeviceptr at)
{
	void *parameters[] = {&at};

	WORKS(cuLaunchKernel(increment, WORDS / THREADS, 1, 1, THREADS, 1, 1, 0, stream, parameters, NULL));
}

/* value is written and incremented in memory that the capture allocates, and copied from there. */
static CUdeviceptr capture(uint32_t value, int frees)
{
	CUdeviceptr address = 0;

	WORKS(cuMemAllocAsync(&address, WORDS * 4, stream));
	assert_true(address);
	WORKS(cuMemsetD32Async(address, value, WORDS, stream));
	increment_submit(address);
	WORKS(cuMemcpyDtoDAsync_v2(plain, address, WORDS * 4, stream));
	if (frees)
		WORKS(cuMemFreeAsync(address, stream));
	return address;
}

static size_t free_bytes(void)
{
	size_t bytes = 0, total;

	WORKS(cuMemGetInfo_v2(&bytes, &total));
	return bytes;
}

static void expect_types(CUgraph graph, size_t allocations, size_t frees)
{
	CUgraphNode nodes[16];
	size_t count = 16;

	WORKS(cuGraphGetNodes(graph, nodes, &count));
	assert_true(count <= 16);
	for (size_t i = 0; i < count; i++) {
		CUgraphNodeType type;

		WORKS(cuGraphNodeGetType(nodes[i], &type));
		allocations -= type == CU_GRAPH_NODE_TYPE_MEM_ALLOC;
		frees -= type == CU_GRAPH_NODE_TYPE_MEM_FREE;
	}
	assert_int_equal(allocations, 0);
	assert_int_equal(frees, 0);
}

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

static CUDA_MEM_ALLOC_NODE_PARAMS allocation_of(size_t bytes)
{
	return (CUDA_MEM_ALLOC_NODE_PARAMS){
		.poolProps = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
			      .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}},
		.bytesize = bytes,
	};
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

static CUgraph capture_large(CUdeviceptr *ret_address, int frees)
{
	begin();
	WORKS(cuMemAllocAsync(ret_address, LARGE, stream));
	if (frees)
		WORKS(cuMemFreeAsync(*ret_address, stream));
	return end();
}

static void expect_left(size_t large_blocks)
{
	size_t bytes = free_bytes();

	assert_true(bytes <= large_blocks * LARGE && bytes + LARGE / 2 >= large_blocks * LARGE);
}

static void test_quota(void **state)
{
	CUdeviceptr addresses[4];
	CUDA_MEM_ALLOC_NODE_PARAMS large = allocation_of(LARGE);
	CUgraphNodeParams moved = {
		.type = CU_GRAPH_NODE_TYPE_GRAPH,
		.graph.ownership = CU_GRAPH_CHILD_GRAPH_OWNERSHIP_MOVE,
	};
	CUgraph graphs[4];
	CUstream other;
	CUgraphNode node;
	CUgraphExec exec;

	(void)state;
	expect_left(4);
	for (int i = 0; i < 3; i++)
		graphs[i] = capture_large(&addresses[i], i == 2);
	expect_left(1);
	begin();
	assert_int_equal(cuMemAllocAsync(&addresses[3], LARGE, stream), CUDA_ERROR_OUT_OF_MEMORY);
	(void)cuStreamEndCapture(stream, &graphs[3]);
	assert_int_equal(cuMemAlloc_v2(&addresses[3], LARGE), CUDA_ERROR_OUT_OF_MEMORY);

	/* An executable keeps it. */
	exec = instantiate(graphs[2], 0);
	WORKS(cuGraphDestroy(graphs[2]));
	run(exec);
	expect_left(1);
	WORKS(cuGraphExecDestroy(exec));
	expect_left(2);
	/* So does what a launch has allocated. */
	exec = instantiate(graphs[1], 0);
	run(exec);
	WORKS(cuMemFree_v2(addresses[1]));
	expect_left(2);
	run(exec);
	WORKS(cuGraphExecDestroy(exec));
	WORKS(cuGraphDestroy(graphs[1]));
	expect_left(2);
	/* And it is not given back twice. */
	WORKS(cuGraphDestroy(graphs[0]));
	expect_left(3);
	/* The same for nodes that are made one by one. */
	WORKS(cuGraphCreate(&graphs[1], 0));
	WORKS(cuGraphAddMemAllocNode(&node, graphs[1], NULL, 0, &large));
	expect_left(2);
	WORKS(cuGraphAddMemFreeNode(&node, graphs[1], &node, 1, large.dptr));
	large = allocation_of(3 * LARGE);
	assert_int_equal(cuGraphAddMemAllocNode(&node, graphs[1], NULL, 0, &large), CUDA_ERROR_OUT_OF_MEMORY);
	WORKS(cuGraphCreate(&graphs[2], 0));
	moved.graph.graph = graphs[1];
	WORKS(cuGraphAddNode_v2(&node, graphs[2], NULL, NULL, 0, &moved));
	exec = instantiate(graphs[2], 0);
	WORKS(cuGraphDestroy(graphs[2]));
	expect_left(2);
	WORKS(cuGraphExecDestroy(exec));
	expect_left(3);
	/* A capture that ends badly allocates nothing. */
	begin();
	WORKS(cuMemAllocAsync(&addresses[0], LARGE, stream));
	expect_left(2);
	REFUSED(cuStreamSynchronize(stream));
	REFUSED(cuStreamEndCapture(stream, &graphs[0]));
	expect_left(3);
	/* Nor does one whose stream goes. */
	WORKS(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
	WORKS(cuStreamBeginCapture_v2(other, CU_STREAM_CAPTURE_MODE_RELAXED));
	WORKS(cuMemAllocAsync(&addresses[0], LARGE, other));
	expect_left(2);
	WORKS(cuStreamDestroy_v2(other));
	expect_left(3);
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
