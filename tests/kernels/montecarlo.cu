/* SPDX-License-Identifier: Apache-2.0 */
/* Monte Carlo estimate of pi with an xorshift generator per thread: counts are integers, so exact. */

__device__ static unsigned xorshift(unsigned *state)
{
	unsigned x = *state;
	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return *state = x;
}

extern "C" __global__ void monte_carlo(unsigned seed, unsigned samples, unsigned long long *hits)
{
	unsigned thread = blockIdx.x * blockDim.x + threadIdx.x;
	unsigned state = seed ^ (thread * 2654435761u + 1);
	if (state == 0)
		state = 1;
	unsigned count = 0;
	for (unsigned i = 0; i < samples; i++) {
		float x = __fmul_rn((float)(xorshift(&state) >> 8), 1.0f / 16777216.0f);
		float y = __fmul_rn((float)(xorshift(&state) >> 8), 1.0f / 16777216.0f);
		if (__fadd_rn(__fmul_rn(x, x), __fmul_rn(y, y)) <= 1.0f)
			count++;
	}
	for (int offset = 16; offset > 0; offset >>= 1)
		count += __shfl_xor_sync(0xffffffffu, count, offset);
	if ((threadIdx.x & 31) == 0)
		atomicAdd(hits, (unsigned long long)count);
}
