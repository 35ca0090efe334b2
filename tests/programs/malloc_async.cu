/* SPDX-License-Identifier: Apache-2.0 */
/* Stream-ordered memory: allocations and frees in the order of a stream, and the default pool. */
#include "program.h"

const char *const program_name = "malloc_async";

__global__ static void fill(int *values, int count, int value)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < count)
		values[i] = value + i;
}

int main()
{
	const int count = 50000;
	int supported = 0, *memory;
	static int host[count];
	cudaStream_t stream;
	CHECK(cudaDeviceGetAttribute(&supported, cudaDevAttrMemoryPoolsSupported, 0));
	CHECK(cudaStreamCreate(&stream));
	if (!supported) {
		EXPECT(cudaMallocAsync(&memory, sizeof(host), stream), cudaErrorNotSupported);
		skip("no memory pools, by the attribute and by the call");
	}
	for (int turn = 0; turn < 50; turn++) {
		CHECK(cudaMallocAsync(&memory, sizeof(host), stream));
		fill<<<(count + 127) / 128, 128, 0, stream>>>(memory, count, turn);
		CHECK(cudaGetLastError());
		CHECK(cudaMemcpyAsync(host, memory, sizeof(host), cudaMemcpyDeviceToHost, stream));
		CHECK(cudaFreeAsync(memory, stream));
		CHECK(cudaStreamSynchronize(stream));
		for (int i = 0; i < count; i++)
			if (host[i] != turn + i)
				fail("turn %d: element %d is %d", turn, i, host[i]);
	}
	cudaMemPool_t pool;
	CHECK(cudaDeviceGetDefaultMemPool(&pool, 0));
	CHECK(cudaMemPoolTrimTo(pool, 0));
	CHECK(cudaStreamDestroy(stream));
	pass();
}
