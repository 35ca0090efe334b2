/* SPDX-License-Identifier: Apache-2.0 */
/* Occupancy and function attributes, which programs use to choose their launch. */
#include "program.h"

const char *const program_name = "occupancy";

__global__ static void smooth(const float *from, float *to, int count)
{
	__shared__ float tile[1024];
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	tile[threadIdx.x] = i < count ? from[i] : 0;
	__syncthreads();
	int left = threadIdx.x == 0 ? 0 : threadIdx.x - 1;
	if (i < count)
		to[i] = (tile[threadIdx.x] + tile[left]) * 0.5f;
}

__global__ static void __launch_bounds__(128, 2) bounded(float *values)
{
	values[threadIdx.x] += 1;
}

int main()
{
	int grid = 0, block = 0, blocks = 0, processors = 0;
	cudaFuncAttributes attributes;
	CHECK(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, 0));
	CHECK(cudaFuncGetAttributes(&attributes, smooth));
	if (attributes.sharedSizeBytes != 4096 || attributes.numRegs < 1 || attributes.maxThreadsPerBlock < 32)
		fail("shared %zu, registers %d, threads %d", attributes.sharedSizeBytes, attributes.numRegs,
		     attributes.maxThreadsPerBlock);
	CHECK(cudaFuncGetAttributes(&attributes, bounded));
	if (attributes.maxThreadsPerBlock != 128)
		fail("bounded to 128 threads, the attribute is %d", attributes.maxThreadsPerBlock);
	CHECK(cudaOccupancyMaxPotentialBlockSize(&grid, &block, smooth, 0, 0));
	CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, smooth, block, 0));
	if (block < 32 || block > 1024 || block % 32 != 0 || blocks < 1 || grid != blocks * processors)
		fail("grid %d, block %d, %d blocks on each of %d multiprocessors", grid, block, blocks, processors);
	int more = 0;
	CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&more, smooth, 32, 0));
	if (more < blocks)
		fail("%d blocks of 32 threads, but %d of %d", more, blocks, block);
	const int count = 10000;
	static float from[count], to[count];
	float *d_from, *d_to;
	for (int i = 0; i < count; i++)
		from[i] = i * i % 1000;
	CHECK(cudaMalloc(&d_from, sizeof(from)));
	CHECK(cudaMalloc(&d_to, sizeof(to)));
	CHECK(cudaMemcpy(d_from, from, sizeof(from), cudaMemcpyHostToDevice));
	smooth<<<(count + block - 1) / block, block>>>(d_from, d_to, count);
	CHECK(cudaMemcpy(to, d_to, sizeof(to), cudaMemcpyDeviceToHost));
	for (int i = 0; i < count; i++)
		if (to[i] != (from[i] + from[i % block == 0 ? i : i - 1]) * 0.5f)
			fail("element %d is %g", i, to[i]);
	pass();
}
