/* SPDX-License-Identifier: Apache-2.0 */
#include "graph_memory.h"

CUstream stream;
CUdeviceptr plain;
uint32_t *pinned;

int setup(void **state)
{
	(void)state;
	return increment_load() || cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING) ||
	       cuMemAlloc_v2(&plain, WORDS * 4) || cuMemHostAlloc((void **)&pinned, WORDS * 4, 0);
}

void begin(void)
{
	WORKS(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
}

CUgraph end(void)
{
	CUgraph graph = NULL;

	WORKS(cuStreamEndCapture(stream, &graph));
	return graph;
}

CUgraphExec instantiate(CUgraph graph, unsigned long long flags)
{
	CUgraphExec exec = NULL;

	WORKS(cuGraphInstantiateWithFlags(&exec, graph, flags));
	return exec;
}

void run(CUgraphExec exec)
{
	WORKS(cuGraphLaunch(exec, stream));
	WORKS(cuStreamSynchronize(stream));
}

void expect_plain(uint32_t value)
{
	static uint32_t words[WORDS];

	WORKS(cuMemcpyDtoH_v2(words, plain, sizeof(words)));
	for (size_t i = 0; i < WORDS; i++)
		assert_int_equal(words[i], value);
}

void increment_submit(CUdeviceptr at)
{
	void *parameters[] = {&at};

	WORKS(cuLaunchKernel(increment, WORDS / THREADS, 1, 1, THREADS, 1, 1, 0, stream, parameters, NULL));
}

CUdeviceptr capture(uint32_t value, int frees)
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

size_t free_bytes(void)
{
	size_t bytes = 0, total;

	WORKS(cuMemGetInfo_v2(&bytes, &total));
	return bytes;
}

void expect_types(CUgraph graph, size_t allocations, size_t frees)
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

CUDA_MEM_ALLOC_NODE_PARAMS allocation_of(size_t bytes)
{
	return (CUDA_MEM_ALLOC_NODE_PARAMS){
		.poolProps = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
			      .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}},
		.bytesize = bytes,
	};
}
