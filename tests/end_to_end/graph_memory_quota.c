/* SPDX-License-Identifier: Apache-2.0 */
/* What is charged for the memory of graphs to a tenant that may have 256 MiB. */
#include "graph_memory.h"

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

void test_quota(void **state)
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
