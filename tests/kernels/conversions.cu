/* SPDX-License-Identifier: Apache-2.0 */
/* Conversions between number types: four roundings, saturation out of range, NaN to 0. */

extern "C" __global__ void convert_to_integers(const float *a, const double *b, long long *results, unsigned count)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i >= count)
		return;
	float x = a[i];
	double y = b[i];
	results += i * 16;
	results[0] = __float2int_rn(x);
	results[1] = __float2int_rz(x);
	results[2] = __float2int_ru(x);
	results[3] = __float2int_rd(x);
	results[4] = __float2uint_rn(x);
	results[5] = __float2uint_rz(x);
	results[6] = __float2ll_rn(x);
	results[7] = (long long)__float2ull_rz(x);
	results[8] = __double2int_rn(y);
	results[9] = __double2int_rd(y);
	results[10] = __double2uint_ru(y);
	results[11] = __double2ll_rz(y);
	results[12] = (long long)__double2ull_rn(y);
	results[13] = __double2hiint(y);
	results[14] = __double2loint(y);
	results[15] = (signed char)(int)__float2int_rz(fminf(fmaxf(x, -128.0f), 127.0f));
}

extern "C" __global__ void convert_to_floats(const long long *a, const double *b, double *results, unsigned count)
{
	unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i >= count)
		return;
	long long x = a[i];
	results += i * 14;
	results[0] = __int2float_rn((int)x);
	results[1] = __int2float_rz((int)x);
	results[2] = __uint2float_rn((unsigned)x);
	results[3] = __uint2float_ru((unsigned)x);
	results[4] = __ll2float_rn(x);
	results[5] = __ull2float_rd((unsigned long long)x);
	results[6] = __int2double_rn((int)x);
	results[7] = __ll2double_rn(x);
	results[8] = __ll2double_rz(x);
	results[9] = __ull2double_ru((unsigned long long)x);
	results[10] = __double2float_rn(b[i]);
	results[11] = __double2float_rz(b[i]);
	results[12] = __double2float_ru(b[i]);
	results[13] = (float)(unsigned char)x + (float)(short)x;
}
