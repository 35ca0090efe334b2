/* SPDX-License-Identifier: Apache-2.0 */
/* Warp-wide operations: shuffles of all modes and widths, votes, matches, and lanes that are not there. */

extern "C" __global__ void warp_shuffles(const int *input, const double *doubles, int *output, double *moved)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x, lane = threadIdx.x & 31;
	int value = input[i];
	output += i * 8;
	output[0] = __shfl_sync(0xffffffffu, value, 7);
	output[1] = __shfl_sync(0xffffffffu, value, lane * 5);
	output[2] = __shfl_up_sync(0xffffffffu, value, 3);
	output[3] = __shfl_down_sync(0xffffffffu, value, 9);
	output[4] = __shfl_xor_sync(0xffffffffu, value, 21);
	output[5] = __shfl_sync(0xffffffffu, value, lane + 3, 8);
	output[6] = __shfl_up_sync(0xffffffffu, value, 2, 16);
	output[7] = __shfl_down_sync(0xffffffffu, value, 1, 4);
	moved[i] = __shfl_xor_sync(0xffffffffu, doubles[i], 1) + __shfl_sync(0xffffffffu, doubles[i], 31);
}

extern "C" __global__ void warp_votes(const unsigned *input, unsigned *output)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	unsigned value = input[i];
	int same;
	output += i * 7;
	output[0] = __all_sync(0xffffffffu, value < 200);
	output[1] = __any_sync(0xffffffffu, value == 3);
	output[2] = __ballot_sync(0xffffffffu, value & 1);
	output[3] = __match_any_sync(0xffffffffu, value % 6);
	output[4] = __match_all_sync(0xffffffffu, value / 256, &same);
	output[5] = same;
	output[6] = __match_any_sync(0xffffffffu, (unsigned long long)(value % 3) << 40);
}

extern "C" __global__ void block_votes(const unsigned *input, int *output)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	int counted = __syncthreads_count(input[i] & 1);
	int all = __syncthreads_and(input[i] < 250);
	int any = __syncthreads_or(input[i] == 77);
	output[i] = counted << 2 | (all ? 2 : 0) | (any ? 1 : 0);
}

/* The block's last warp is not full, and half of its lanes return before the others shuffle. */
extern "C" __global__ void partial_warp(const int *input, int *output)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x, lane = threadIdx.x & 31;
	if (lane >= 8)
		return;
	int value = input[i];
	for (int offset = 4; offset > 0; offset >>= 1)
		value += __shfl_xor_sync(0xffu, value, offset);
	output[i] = value;
}
