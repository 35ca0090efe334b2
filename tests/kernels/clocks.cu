/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks that advance, a nanosecond sleep, and thread and block registers that must agree. */

extern "C" __global__ void clocks(unsigned long long *output, const unsigned *input)
{
	unsigned long long timer_start, timer_end;
	asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(timer_start));
	long long clock_start = clock64();
	unsigned value = input[threadIdx.x];
	for (unsigned i = 0; i < 20000; i++)
		value = value * 1664525u + 1013904223u + (value >> 7);
#if __CUDA_ARCH__ >= 700
	__nanosleep(1000);
#endif
	long long clock_end = clock64();
	asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(timer_end));
	output[threadIdx.x * 4] = (unsigned long long)(clock_end - clock_start);
	output[threadIdx.x * 4 + 1] = timer_end - timer_start;
	output[threadIdx.x * 4 + 2] = value;
	output[threadIdx.x * 4 + 3] = timer_start;
}
