/* SPDX-License-Identifier: Apache-2.0 */
#include "graph_copies.h"

CUstream stream;
CUdeviceptr device, other;
uint32_t *in, *out;

int setup(void **state)
{
	(void)state;
	in = malloc(BYTES);
	out = malloc(BYTES);
	/* The kernel writes whole blocks. */
	return !in || !out || increment_load() || cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING) ||
	       cuMemAlloc_v2(&device, BYTES + 1024) || cuMemAlloc_v2(&other, BYTES + 1024);
}

void words_set(uint32_t *words, uint32_t value)
{
	for (uint32_t i = 0; i < WORDS; i++)
		words[i] = value + i;
}

void words_expect(const uint32_t *words, uint32_t value)
{
	for (uint32_t i = 0; i < WORDS; i++)
		if (words[i] != value + i)
			fail_msg("word %u is %u, not %u", i, words[i], value + i);
}

void increment_launch_in(CUstream where, CUdeviceptr words)
{
	void *parameters[] = {&words};

	WORKS(cuLaunchKernel(increment, (WORDS + 127) / 128, 1, 1, 128, 1, 1, 0, where, parameters, NULL));
}

void increment_launch(CUdeviceptr words)
{
	increment_launch_in(stream, words);
}

size_t node_count(CUgraph graph)
{
	size_t count = 0;

	WORKS(cuGraphGetNodes(graph, NULL, &count));
	return count;
}

CUgraph capture(void)
{
	CUgraph graph = NULL;

	WORKS(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
	WORKS(cuMemcpyHtoDAsync_v2(device, in, BYTES, stream));
	increment_launch(device);
	WORKS(cuMemcpyDtoHAsync_v2(out, device, BYTES, stream));
	WORKS(cuStreamEndCapture(stream, &graph));
	return graph;
}
