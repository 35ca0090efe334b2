/* SPDX-License-Identifier: Apache-2.0 */
/* Atomics of all kinds, on global and shared memory, with and without their results. */

/* words: 0 add, 1 sub, 2 and, 3 or, 4 xor, 5 min, 6 max, 7 inc, 8 dec, 9 signed min, 10 signed max. */
extern "C" __global__ void atomic_integers(unsigned *words, unsigned long long *wide, unsigned *old_sum)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	unsigned long long big = (unsigned long long)i * 0x100000001ull;
	unsigned old = atomicAdd(&words[0], i);
	atomicSub(&words[1], i * 3);
	atomicAnd(&words[2], ~(1u << (i & 15)));
	atomicOr(&words[3], 1u << (i & 31));
	atomicXor(&words[4], i * 2654435761u);
	atomicMin(&words[5], i ^ 0x2a5);
	atomicMax(&words[6], i ^ 0x2a5);
	atomicInc(&words[7], 99);
	atomicDec(&words[8], 99);
	atomicMin((int *)&words[9], 100 - (int)i);
	atomicMax((int *)&words[10], (int)i - 100);
	atomicAdd(&wide[0], big);
	atomicMin(&wide[1], big + 17);
	atomicMax(&wide[2], big);
	atomicAnd(&wide[3], ~(1ull << (i & 63)));
	atomicOr(&wide[4], 1ull << (i & 63));
	atomicXor(&wide[5], big * 0x9e3779b97f4a7c15ull);
	atomicAdd(old_sum, old - old + 1);
}

/* Each ticket is given once; a lock by exchange guards a plain counter. */
extern "C" __global__ void atomic_tickets(unsigned *ticket, unsigned *owners, unsigned *lock, unsigned *guarded)
{
	unsigned mine = atomicAdd(ticket, 1);
	atomicAdd(&owners[mine], 1);
	if ((threadIdx.x & 31) == 0) {
		while (atomicExch(lock, 1) != 0)
			;
		__threadfence();
		*(volatile unsigned *)guarded = *(volatile unsigned *)guarded + 1;
		__threadfence();
		atomicExch(lock, 0);
	}
}

__device__ static void float_maximum(float *address, float value)
{
	int *word = (int *)address, old = *(volatile int *)word, assumed;
	do {
		assumed = old;
		if (__int_as_float(assumed) >= value)
			break;
		old = atomicCAS(word, assumed, __float_as_int(value));
	} while (old != assumed);
}

/* The values are multiples of 1/8 and small, so that every order of additions gives the same sum. */
extern "C" __global__ void atomic_floats(const float *input, float *sum, double *precise, float *maximum,
					 double *looped, unsigned count)
{
	__shared__ float block_sum;
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	if (threadIdx.x == 0)
		block_sum = 0;
	__syncthreads();
	if (i < count) {
		atomicAdd(&block_sum, input[i]);
		atomicAdd(precise, (double)input[i] * 0.5);
		float_maximum(maximum, input[i]);
		unsigned long long *word = (unsigned long long *)looped, old = *word, assumed;
		do {
			assumed = old;
			double value = __longlong_as_double(assumed) + input[i];
			old = atomicCAS(word, assumed, (unsigned long long)__double_as_longlong(value));
		} while (old != assumed);
	}
	__syncthreads();
	if (threadIdx.x == 0)
		atomicAdd(sum, block_sum);
}

extern "C" __global__ void atomic_shared(unsigned *output)
{
	__shared__ unsigned words[6];
	__shared__ unsigned long long wide;
	if (threadIdx.x < 6)
		words[threadIdx.x] = threadIdx.x == 3 ? 0xffffffffu : 0;
	if (threadIdx.x == 0)
		wide = 1;
	__syncthreads();
	atomicAdd(&words[0], threadIdx.x);
	atomicMax(&words[1], threadIdx.x ^ 0x55);
	atomicOr(&words[2], 1u << (threadIdx.x & 31));
	atomicMin(&words[3], threadIdx.x + 3);
	atomicXor(&words[4], threadIdx.x * 7);
	atomicCAS(&words[5], threadIdx.x == 77 ? 0u : 1u, 4242u);
	atomicAdd(&wide, 1ull << 33);
	__syncthreads();
	if (threadIdx.x < 6)
		output[blockIdx.x * 8 + threadIdx.x] = words[threadIdx.x];
	if (threadIdx.x == 6)
		output[blockIdx.x * 8 + 6] = (unsigned)wide;
	if (threadIdx.x == 7)
		output[blockIdx.x * 8 + 7] = (unsigned)(wide >> 32);
}
