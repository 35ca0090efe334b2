/* SPDX-License-Identifier: Apache-2.0 */
/* Bitonic sort (whole in shared memory, and one global step at a time) and one pass of a radix sort. */

extern "C" __global__ void bitonic_sort_block(unsigned *keys)
{
	__shared__ unsigned shared_keys[1024];
	unsigned thread = threadIdx.x;
	keys += blockIdx.x * 1024;
	shared_keys[thread] = keys[thread];
	shared_keys[thread + 512] = keys[thread + 512];
	for (unsigned size = 2; size <= 1024; size <<= 1) {
		for (unsigned stride = size >> 1; stride > 0; stride >>= 1) {
			__syncthreads();
			unsigned low = 2 * thread - (thread & (stride - 1)), high = low + stride;
			bool ascending = (low & size) == 0;
			unsigned a = shared_keys[low], b = shared_keys[high];
			if ((a > b) == ascending) {
				shared_keys[low] = b;
				shared_keys[high] = a;
			}
		}
	}
	__syncthreads();
	keys[thread] = shared_keys[thread];
	keys[thread + 512] = shared_keys[thread + 512];
}

extern "C" __global__ void bitonic_step(float *keys, unsigned size, unsigned stride)
{
	unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
	unsigned partner = index ^ stride;
	if (partner > index) {
		float a = keys[index], b = keys[partner];
		bool ascending = (index & size) == 0;
		if (ascending ? a > b : a < b) {
			keys[index] = b;
			keys[partner] = a;
		}
	}
}

/* Counts of one 4-bit digit: counts[digit * blocks + block]. */
extern "C" __global__ void radix_count(const unsigned *keys, unsigned *counts, unsigned shift)
{
	__shared__ unsigned digits[16];
	if (threadIdx.x < 16)
		digits[threadIdx.x] = 0;
	__syncthreads();
	unsigned key = keys[blockIdx.x * blockDim.x + threadIdx.x];
	atomicAdd(&digits[(key >> shift) & 15], 1);
	__syncthreads();
	if (threadIdx.x < 16)
		counts[threadIdx.x * gridDim.x + blockIdx.x] = digits[threadIdx.x];
}

/* Stable scatter: rank within the warp by matching digits, within the block by a scan over warps. */
extern "C" __global__ void radix_scatter(const unsigned *keys, unsigned *output, const unsigned *offsets,
					 unsigned shift)
{
	__shared__ unsigned warp_counts[16][32];
	unsigned lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
	for (unsigned i = threadIdx.x; i < 16 * 32; i += blockDim.x)
		warp_counts[i >> 5][i & 31] = 0;
	__syncthreads();
	unsigned key = keys[blockIdx.x * blockDim.x + threadIdx.x];
	unsigned digit = (key >> shift) & 15;
	unsigned peers = __match_any_sync(0xffffffffu, digit);
	unsigned rank = __popc(peers & ((1u << lane) - 1));
	if (rank == 0)
		warp_counts[digit][warp] = __popc(peers);
	__syncthreads();
	if (threadIdx.x < 16) {
		unsigned sum = 0;
		for (unsigned i = 0; i < warps; i++) {
			unsigned count = warp_counts[threadIdx.x][i];
			warp_counts[threadIdx.x][i] = sum;
			sum += count;
		}
	}
	__syncthreads();
	output[offsets[digit * gridDim.x + blockIdx.x] + warp_counts[digit][warp] + rank] = key;
}
