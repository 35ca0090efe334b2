/* SPDX-License-Identifier: Apache-2.0 */
/* What tenant launches: work of a length that does not depend on who else uses the GPU, and misdeeds. */

/* The same arithmetic in every thread; the result can be computed on the host. */
extern "C" __global__ void work(unsigned *results, unsigned iterations, unsigned seed)
{
	unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
	unsigned value = index ^ seed;

	for (unsigned i = 0; i < iterations; i++)
		value = value * 1664525u + 1013904223u;
	results[index] = value;
}

extern "C" __global__ void endless(volatile unsigned *flag)
{
	while (*flag == 0)
		;
}

extern "C" __global__ void illegal(unsigned *nowhere)
{
	nowhere[threadIdx.x] = 1;
}

extern "C" __global__ void trap(void)
{
	asm("trap;");
}
