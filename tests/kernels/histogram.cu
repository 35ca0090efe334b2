/* SPDX-License-Identifier: Apache-2.0 */
/* Byte histogram: shared-memory atomics per block, then global atomics. */

extern "C" __global__ void histogram(const unsigned char *input, unsigned *bins, unsigned count)
{
	__shared__ unsigned block_bins[256];
	for (unsigned i = threadIdx.x; i < 256; i += blockDim.x)
		block_bins[i] = 0;
	__syncthreads();
	for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x)
		atomicAdd(&block_bins[input[i]], 1);
	__syncthreads();
	for (unsigned i = threadIdx.x; i < 256; i += blockDim.x)
		if (block_bins[i] != 0)
			atomicAdd(&bins[i], block_bins[i]);
}
