/* SPDX-License-Identifier: Apache-2.0 */
/* What launch_bench launches: nothing with no, four and a kilobyte of parameters; and a sum of vectors. */

struct kilobyte {
	unsigned words[256];
};

extern "C" __global__ void empty(void)
{
}

extern "C" __global__ void empty_four(const float *a, const float *b, float *c, unsigned count)
{
}

extern "C" __global__ void empty_kilobyte(const __grid_constant__ struct kilobyte words)
{
}

extern "C" __global__ void vector_add(const float *a, const float *b, float *sum, unsigned count)
{
	unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
	if (index < count)
		sum[index] = a[index] + b[index];
}
