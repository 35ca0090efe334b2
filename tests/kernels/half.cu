/* SPDX-License-Identifier: Apache-2.0 */
/* Half precision: scalar and half2 arithmetic, conversions with all roundings, comparisons. */
#include <cuda_fp16.h>

/* y = a * x + y on pairs; one rounding per fused operation. */
extern "C" __global__ void half2_axpy(const __half2 *x, __half2 *y, float a, unsigned pairs)
{
	unsigned index = blockIdx.x * blockDim.x + threadIdx.x;
	if (index < pairs)
		y[index] = __hfma2(__float2half2_rn(a), x[index], y[index]);
}

/* Eight results per pair of inputs: sum, difference, product, fused, larger, smaller, negated, absolute. */
extern "C" __global__ void half_arithmetic(const __half *a, const __half *b, __half *results, unsigned count)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i >= count)
		return;
	__half x = a[i], y = b[i];
	results += i * 8;
	results[0] = __hadd(x, y);
	results[1] = __hsub(x, y);
	results[2] = __hmul(x, y);
	results[3] = __hfma(x, y, x);
	results[4] = __hgt(x, y) ? x : y;
	results[5] = __hlt(x, y) ? x : y;
	results[6] = __hneg(x);
	results[7] = __habs(y);
}

extern "C" __global__ void half_conversions(const float *input, unsigned short *nearest, unsigned short *down,
					    unsigned short *up, unsigned short *zero, float *back, int *integers,
					    unsigned count)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i >= count)
		return;
	nearest[i] = __half_as_ushort(__float2half_rn(input[i]));
	down[i] = __half_as_ushort(__float2half_rd(input[i]));
	up[i] = __half_as_ushort(__float2half_ru(input[i]));
	zero[i] = __half_as_ushort(__float2half_rz(input[i]));
	back[i] = __half2float(__ushort_as_half(nearest[i]));
	integers[i] = __half2int_rn(__ushort_as_half(nearest[i]));
}
