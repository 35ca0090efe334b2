/* SPDX-License-Identifier: Apache-2.0 */
/* More copies, one after the other, than a tenant with 64 MiB of pinned memory may have at a time. */
#include "graph_copies.h"

/*
 * 16 MiB each; where the memory of some that are gone is not free yet, it soon is. More at a time than the tenant
 * may have are refused.
 */
void test_quota(void **state)
{
	enum { LARGE = 16 << 20, AT_ONCE = 8 };
	uint8_t *large = calloc(1, LARGE);
	CUgraph graphs[AT_ONCE];
	CUgraphExec exec;
	CUdeviceptr to;
	int held = 0;

	(void)state;
	assert_non_null(large);
	WORKS(cuMemAlloc_v2(&to, LARGE));
	for (int i = 0; i < 20; i++) {
		CUgraph graph = NULL;
		CUresult result;

		large[LARGE - 1] = (uint8_t)i;
		WORKS(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
		for (int attempt = 0; (result = cuMemcpyHtoDAsync_v2(to, large, LARGE, stream)); attempt++) {
			const struct timespec pause = {.tv_nsec = 10000000};

			assert_int_equal(result, CUDA_ERROR_OUT_OF_MEMORY);
			assert_true(attempt < 3000);
			nanosleep(&pause, NULL);
		}
		WORKS(cuStreamEndCapture(stream, &graph));
		exec = instantiate(graph);
		WORKS(cuGraphDestroy(graph));
		run(exec);
		WORKS(cuGraphExecDestroy(exec));
		WORKS(cuMemcpyDtoH_v2(out, to + LARGE - 4, 4));
		assert_int_equal(out[0] >> 24, i);
	}
	for (; held < AT_ONCE; held++) {
		const CUDA_MEMCPY3D copy = {
			.srcMemoryType = CU_MEMORYTYPE_HOST,
			.srcHost = large,
			.dstMemoryType = CU_MEMORYTYPE_DEVICE,
			.dstDevice = to,
			.WidthInBytes = LARGE,
			.Height = 1,
			.Depth = 1,
		};
		CUgraphNode node;
		CUresult result;

		WORKS(cuGraphCreate(&graphs[held], 0));
		result = cuGraphAddMemcpyNode(&node, graphs[held], NULL, 0, &copy, context);
		if (!result)
			continue;
		assert_int_equal(result, CUDA_ERROR_OUT_OF_MEMORY);
		WORKS(cuGraphDestroy(graphs[held]));
		break;
	}
	assert_in_range(held, 1, 4);
	while (held-- > 0)
		WORKS(cuGraphDestroy(graphs[held]));
	WORKS(cuMemFree_v2(to));
	free(large);
}
