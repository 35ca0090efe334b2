/* SPDX-License-Identifier: Apache-2.0 */
/* Sums, five ways: shared tree, warp shuffle, one atomic per element, last block done, and a generic maximum. */

extern "C" __global__ void reduce_shared(const int *input, int *block_sums, unsigned count)
{
	__shared__ int partial[256];
	unsigned index = blockIdx.x * blockDim.x * 2 + threadIdx.x;
	int sum = 0;
	if (index < count)
		sum = input[index];
	if (index + blockDim.x < count)
		sum += input[index + blockDim.x];
	partial[threadIdx.x] = sum;
	__syncthreads();
	for (unsigned step = blockDim.x / 2; step > 0; step >>= 1) {
		if (threadIdx.x < step)
			partial[threadIdx.x] += partial[threadIdx.x + step];
		__syncthreads();
	}
	if (threadIdx.x == 0)
		block_sums[blockIdx.x] = partial[0];
}

__device__ static float warp_sum(float value)
{
	for (int offset = 16; offset > 0; offset >>= 1)
		value = __fadd_rn(value, __shfl_down_sync(0xffffffffu, value, offset));
	return value;
}

/* The order of additions is fixed, so the host can repeat it bit for bit. */
extern "C" __global__ void reduce_shuffle(const float *input, float *block_sums, unsigned count)
{
	__shared__ float warp_sums[32];
	unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
	unsigned lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
	float value = warp_sum(index < count ? input[index] : 0.0f);
	if (lane == 0)
		warp_sums[warp] = value;
	__syncthreads();
	if (warp == 0) {
		value = warp_sum(lane < blockDim.x / 32 ? warp_sums[lane] : 0.0f);
		if (lane == 0)
			block_sums[blockIdx.x] = value;
	}
}

extern "C" __global__ void reduce_atomic(const int *input, unsigned long long *sum, int *smallest, int *largest,
					 unsigned count)
{
	for (unsigned index = blockIdx.x * blockDim.x + threadIdx.x; index < count; index += gridDim.x * blockDim.x) {
		atomicAdd(sum, (unsigned long long)(long long)input[index]);
		atomicMin(smallest, input[index]);
		atomicMax(largest, input[index]);
	}
}

__device__ unsigned blocks_done;

/* The block that finishes last adds up what the others left in memory: volatile, fences, and a counter that wraps. */
extern "C" __global__ void reduce_last_block(const unsigned *input, volatile unsigned *block_sums, unsigned *result,
					     unsigned count)
{
	__shared__ unsigned partial[128];
	__shared__ bool is_last;
	unsigned sum = 0;
	for (unsigned index = blockIdx.x * blockDim.x + threadIdx.x; index < count; index += gridDim.x * blockDim.x)
		sum += input[index];
	partial[threadIdx.x] = sum;
	__syncthreads();
	if (threadIdx.x == 0) {
		sum = 0;
		for (unsigned i = 0; i < blockDim.x; i++)
			sum += partial[i];
		block_sums[blockIdx.x] = sum;
		__threadfence();
		is_last = atomicInc(&blocks_done, gridDim.x - 1) == gridDim.x - 1;
	}
	__syncthreads();
	if (is_last && threadIdx.x == 0) {
		sum = 0;
		for (unsigned i = 0; i < gridDim.x; i++)
			sum += block_sums[i];
		*result = sum;
	}
}
