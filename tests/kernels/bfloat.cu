/* SPDX-License-Identifier: Apache-2.0 */
/* bfloat16 arithmetic and conversions.  architecture: compute_90 */
#include <cuda_bf16.h>

extern "C" __global__ void bfloat_arithmetic(const __nv_bfloat16 *a, const __nv_bfloat16 *b, __nv_bfloat16 *results,
					     unsigned count)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i >= count)
		return;
	__nv_bfloat16 x = a[i], y = b[i];
	results += i * 6;
	results[0] = __hadd(x, y);
	results[1] = __hsub(x, y);
	results[2] = __hmul(x, y);
	results[3] = __hfma(x, y, x);
	results[4] = __hmax(x, y);
	results[5] = __hneg(__hmin(x, y));
}

extern "C" __global__ void bfloat_from_float(const float *input, unsigned short *bits, float *back, unsigned count)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i >= count)
		return;
	__nv_bfloat16 value = __float2bfloat16_rn(input[i]);
	bits[i] = __bfloat16_as_ushort(value);
	back[i] = __bfloat162float(value);
}

extern "C" __global__ void bfloat_pairs(const float2 *input, __nv_bfloat162 *output, __nv_bfloat162 factor,
					unsigned pairs)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < pairs)
		output[i] = __hmul2(__float22bfloat162_rn(input[i]), factor);
}
